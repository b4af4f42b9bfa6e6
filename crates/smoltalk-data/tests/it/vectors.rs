//! Tokens, templates and masks against the official tokenizer's answers.

use fixtures::shared;
use serde::Deserialize;
use smoltalk_data::{ChatTokenizer, Conversation, Mask, Message, SPECIAL_TOKENS, SystemPrompt};
use std::path::Path;

#[derive(Deserialize)]
struct Encoded {
    text: String,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct Rendered {
    messages: Vec<Message>,
    add_generation_prompt: bool,
    text: String,
    ids: Vec<u32>,
}

fn lines<T: for<'a> Deserialize<'a>>(path: &Path) -> Vec<T> {
    let text = std::fs::read_to_string(path).expect("a readable file");
    text.split('\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str(line).expect("a vector"))
        .collect()
}

/// The official tokenizer.json and the one inside the GGUF file.
fn tokenizers() -> Option<Vec<ChatTokenizer>> {
    let folder = shared("models/tokenizer")?;
    let gguf = shared("models/SmolLM2-135M-Instruct.Q4_1.gguf")?;
    Some(vec![
        ChatTokenizer::from_folder(&folder).expect("the official tokenizer"),
        ChatTokenizer::from_gguf(&gguf).expect("the GGUF file's tokenizer"),
    ])
}

#[test]
fn ids_equal_the_official_tokenizers() {
    let (Some(tokenizers), Some(path)) = (tokenizers(), shared("reference/encode_vectors.jsonl")) else {
        return;
    };
    let vectors: Vec<Encoded> = lines(&path);
    assert_eq!(vectors.len(), 500);
    for tokenizer in tokenizers {
        for vector in vectors
            .iter()
            .filter(|vector| !spells_out_a_special_token(&vector.text))
        {
            let ids = tokenizer.encode(&vector.text).expect("ids");
            assert_eq!(ids, vector.ids, "{:?}", vector.text);
        }
        let tokenizer = tokenizer.with_special_tokens_in_text(true);
        for vector in &vectors {
            let ids = tokenizer.encode(&vector.text).expect("ids");
            assert_eq!(ids, vector.ids, "{:?}", vector.text);
        }
    }
}

fn spells_out_a_special_token(text: &str) -> bool {
    SPECIAL_TOKENS.iter().any(|token| text.contains(token))
}

#[test]
fn chats_equal_the_official_template() {
    let (Some(tokenizers), Some(path)) = (tokenizers(), shared("reference/chat_vectors.jsonl")) else {
        return;
    };
    let vectors: Vec<Rendered> = lines(&path);
    assert_eq!(vectors.len(), 45);
    let trusted = |vector: &&Rendered| {
        let mut contents = vector.messages.iter().map(|message| &message.content);
        !contents.any(|content| spells_out_a_special_token(content))
    };
    assert!(vectors.iter().filter(trusted).count() > 20);
    for tokenizer in tokenizers {
        for vector in vectors.iter().filter(trusted) {
            let rendered = tokenizer
                .apply_chat_template(&vector.messages, vector.add_generation_prompt)
                .expect("a text");
            assert_eq!(rendered.text, vector.text);
            assert_eq!(tokenizer.encode_rendered(&rendered).expect("ids"), vector.ids);
        }
        let tokenizer = tokenizer.with_special_tokens_in_text(true);
        for vector in &vectors {
            let ids = tokenizer.encode_chat(&vector.messages, vector.add_generation_prompt);
            assert_eq!(ids.expect("ids"), vector.ids);
        }
    }
}

#[test]
fn streamed_text_equals_text_at_once() {
    let Some(tokenizers) = tokenizers() else { return };
    for text in [
        "Hello, world!",
        "naïve café — “quotes” … ½",
        "日本語のテキスト 🦀🇫🇮 ok",
        "\u{FFFD} kept",
    ] {
        for tokenizer in tokenizers
            .iter()
            .chain(&[ChatTokenizer::byte_level().expect("built in")])
        {
            let ids = tokenizer.encode(text).expect("ids");
            let mut stream = tokenizer.decode_stream();
            let mut streamed = String::new();
            for (index, id) in ids.iter().enumerate() {
                streamed.push_str(&stream.push(*id).expect("text"));
                let whole: String = text.chars().take(streamed.chars().count()).collect();
                assert_eq!(streamed, whole, "half a character after token {index}");
            }
            streamed.push_str(&stream.finish().expect("text"));
            assert_eq!(streamed, text);
            assert_eq!(tokenizer.decode(&ids).expect("text"), text);
        }
    }
}

#[test]
fn only_the_assistants_words_and_the_end_of_its_turn_are_targets() {
    let mut all = vec![ChatTokenizer::byte_level().expect("built in")];
    all.extend(tokenizers().unwrap_or_default());
    let conversation = Conversation {
        messages: vec![
            Message::user("Say <|im_end|> twice."),
            Message::assistant("\nOne."),
            Message::user("One."),
            Message::assistant("Two"),
        ],
        source: None,
    };
    for tokenizer in &all {
        for system in [SystemPrompt::Default, SystemPrompt::Empty, SystemPrompt::None] {
            let encoded = tokenizer
                .encode_conversation(&conversation, Mask::AssistantOnly, system)
                .expect("a mask");
            let targets: Vec<u32> = encoded
                .ids
                .iter()
                .zip(&encoded.loss_mask)
                .filter(|(_, target)| **target)
                .map(|(id, _)| *id)
                .collect();
            let text = tokenizer.decode_with_special(&targets).expect("text");
            // With merges, "\n\n" is one token that begins in the header and is no target.
            assert!(
                text == "\nOne.<|im_end|>Two<|im_end|>" || text == "One.<|im_end|>Two<|im_end|>",
                "{system:?}: {text:?}"
            );
        }
    }
}

#[test]
fn an_opening_assistant_turn_is_found() {
    let tokenizer = ChatTokenizer::byte_level().expect("built in");
    let conversation = Conversation {
        messages: vec![Message::assistant("Hi")],
        source: None,
    };
    let encoded = tokenizer
        .encode_conversation(&conversation, Mask::AssistantOnly, SystemPrompt::Default)
        .expect("a mask");
    let targets: Vec<u32> = encoded
        .ids
        .iter()
        .zip(&encoded.loss_mask)
        .filter(|(_, target)| **target)
        .map(|(id, _)| *id)
        .collect();
    assert_eq!(tokenizer.decode_with_special(&targets).expect("text"), "Hi<|im_end|>");
}

#[test]
fn the_system_prompt_is_what_was_asked_for() {
    let tokenizer = ChatTokenizer::byte_level().expect("built in");
    let conversation = Conversation {
        messages: vec![Message::user("Hi")],
        source: None,
    };
    let text = |system| {
        let encoded = tokenizer
            .encode_conversation(&conversation, Mask::All, system)
            .expect("ids");
        tokenizer.decode_with_special(&encoded.ids).expect("text")
    };
    let turn = "<|im_start|>user\nHi<|im_end|>\n";
    assert_eq!(text(SystemPrompt::None), turn);
    assert_eq!(
        text(SystemPrompt::Empty),
        format!("<|im_start|>system\n<|im_end|>\n{turn}")
    );
    assert!(text(SystemPrompt::Default).starts_with("<|im_start|>system\nYou are a helpful AI assistant named SmolLM"));
}

#[test]
fn a_saved_tokenizer_opens_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let tokenizer = ChatTokenizer::byte_level().expect("built in");
    tokenizer.save(folder.path()).expect("written");
    let opened = ChatTokenizer::open(folder.path()).expect("opened");
    let text = "<|im_start|>user\nä 12<|im_end|>\n";
    assert_eq!(opened.encode(text).expect("ids"), tokenizer.encode(text).expect("ids"));
    assert_eq!(opened.template().source(), tokenizer.template().source());
    assert_eq!((opened.bos_id(), opened.eos_id(), opened.pad_id()), (1, 2, 2));
    assert_eq!(opened.vocab_size(), 273);
}
