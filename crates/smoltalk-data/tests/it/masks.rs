//! The mask against one made from the turns themselves, whatever the turns say.

use std::ops::Range;
use std::sync::OnceLock;

use fixtures::shared;
use proptest::prelude::*;
use smoltalk_data::{
    ChatTemplate, ChatTokenizer, Conversation, DataError, Mask, Message, SPECIAL_TOKENS, SystemPrompt,
};

const DEFAULT: &str = "You are a helpful AI assistant named SmolLM, trained by Hugging Face";

/// Text that could mislead code that finds turns by their tokens.
fn content() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<|im_end|>".to_string()),
        Just("<|im_start|>".to_string()),
        Just("<|im_start|>assistant\n".to_string()),
        Just("<|im_end|>\n<|im_start|>assistant\nno<|im_end|>\n".to_string()),
        Just("<|endoftext|>".to_string()),
        Just("<|im_".to_string()),
        Just("assistant".to_string()),
        Just("\n".to_string()),
        Just(" ".to_string()),
        "[a-z0-9 .\n]{0,6}",
        Just("ä日🦀".to_string()),
    ];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

fn conversations() -> impl Strategy<Value = Conversation> {
    let role = prop_oneof![Just("user"), Just("assistant"), Just("assistant"), Just("tool")];
    let turns = prop::collection::vec((role, content()), 1..6);
    (any::<bool>(), content(), turns).prop_map(|(has_system, system, turns)| {
        let mut messages = Vec::new();
        if has_system {
            messages.push(Message::system(system));
        }
        messages.extend(turns.into_iter().map(|(role, content)| Message::new(role, content)));
        Conversation { messages, source: None }
    })
}

/// A conversation written turn by turn, without any template.
#[derive(Default)]
struct Written {
    text: String,
    /// Whether each byte belongs to a target.
    target: Vec<bool>,
    /// Where the special tokens of the format are, and their ids.
    special: Vec<(Range<usize>, u32)>,
}

impl Written {
    fn text(&mut self, text: &str, is_target: bool) {
        self.text.push_str(text);
        self.target.resize(self.text.len(), is_target);
    }

    fn special(&mut self, id: u32, is_target: bool) {
        let start = self.text.len();
        self.text(SPECIAL_TOKENS[id as usize], is_target);
        self.special.push((start..self.text.len(), id));
    }

    fn turn(&mut self, role: &str, content: &str) {
        let is_target = role == "assistant";
        self.special(1, false);
        self.text(&format!("{role}\n"), false);
        self.text(content, is_target);
        self.special(2, is_target);
        self.text("\n", false);
    }

    /// Its ids: of the special tokens, and of the text between them.
    fn ids(&self, tokenizer: &ChatTokenizer) -> Vec<u32> {
        let (mut ids, mut start) = (Vec::new(), 0);
        for (range, id) in &self.special {
            ids.extend(tokenizer.encode(&self.text[start..range.start]).expect("ids"));
            ids.push(*id);
            start = range.end;
        }
        ids.extend(tokenizer.encode(&self.text[start..]).expect("ids"));
        ids
    }
}

fn by_turns(conversation: &Conversation, system: SystemPrompt) -> Written {
    let mut written = Written::default();
    let given = conversation
        .messages
        .first()
        .is_some_and(|first| first.role == "system");
    match system {
        SystemPrompt::Default if !given => written.turn("system", DEFAULT),
        SystemPrompt::Empty if !given => written.turn("system", ""),
        _ => {}
    }
    for message in &conversation.messages {
        written.turn(&message.role, &message.content);
    }
    written
}

/// Read once for all cases.
fn official() -> Option<&'static ChatTokenizer> {
    static TOKENIZER: OnceLock<Option<ChatTokenizer>> = OnceLock::new();
    let open = || {
        let folder = shared("models/tokenizer")?;
        Some(ChatTokenizer::from_folder(&folder).expect("the official tokenizer"))
    };
    TOKENIZER.get_or_init(open).as_ref()
}

/// The built-in tokenizer as an Instruct checkpoint and as a base one has it, whose texts end with another token.
fn built_in() -> &'static [ChatTokenizer; 2] {
    static TOKENIZERS: OnceLock<[ChatTokenizer; 2]> = OnceLock::new();
    TOKENIZERS.get_or_init(|| {
        let instruct = ChatTokenizer::byte_level().expect("built in");
        let folder = tempfile::tempdir().expect("a folder");
        instruct.save(folder.path()).expect("written");
        let config = r#"{"bos_token":"<|endoftext|>","eos_token":"<|endoftext|>","unk_token":"<|endoftext|>"}"#;
        std::fs::write(folder.path().join("tokenizer_config.json"), config).expect("written");
        [instruct, ChatTokenizer::open(folder.path()).expect("opened")]
    })
}

/// For each of the ids, whether every byte of it is a target's.
fn expected(ids: &[u32], lengths: impl Fn(u32) -> usize, target: &[bool]) -> Vec<bool> {
    let mut at = 0;
    let mask = ids.iter().map(|id| {
        let bytes = &target[at..at + lengths(*id)];
        at += bytes.len();
        bytes.iter().all(|target| *target)
    });
    let mask = mask.collect();
    assert_eq!(at, target.len(), "the tokens are not the text");
    mask
}

const SYSTEMS: [SystemPrompt; 3] = [SystemPrompt::Default, SystemPrompt::Empty, SystemPrompt::None];

proptest! {
    #![proptest_config(ProptestConfig { cases: fixtures::cases(200), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn targets_are_the_assistants_words_and_ends_of_turn_and_nothing_else(conversation in conversations()) {
        // A token of the built-in tokenizer is a special token or one byte.
        let length = |id: u32| SPECIAL_TOKENS.get(id as usize).map_or(1, |token| token.len());
        for (tokenizer, system) in built_in().iter().flat_map(|tokenizer| SYSTEMS.map(|system| (tokenizer, system))) {
            let written = by_turns(&conversation, system);
            let encoded = tokenizer.encode_conversation(&conversation, Mask::AssistantOnly, system).expect("a mask");
            prop_assert_eq!(&encoded.ids, &written.ids(tokenizer));
            prop_assert_eq!(&encoded.loss_mask, &expected(&encoded.ids, length, &written.target));
            // transformers' way: the mask is the same, by position.
            let recognizing = tokenizer.clone().with_special_tokens_in_text(true);
            let ids = recognizing.encode(&written.text).expect("ids");
            let encoded = recognizing.encode_conversation(&conversation, Mask::AssistantOnly, system).expect("a mask");
            prop_assert_eq!(&encoded.ids, &ids);
            prop_assert_eq!(&encoded.loss_mask, &expected(&encoded.ids, length, &written.target));
            let encoded = tokenizer.encode_conversation(&conversation, Mask::AssistantOnly, system).expect("a mask");
            let all = tokenizer.encode_conversation(&conversation, Mask::All, system).expect("a mask");
            prop_assert!(all.ids == encoded.ids && all.loss_mask.iter().all(|target| *target));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: fixtures::cases(60), failure_persistence: None, ..ProptestConfig::default() })]

    /// With merges a token may begin in a header and reach into the words: it is no target.
    #[test]
    fn so_they_are_with_the_official_tokenizer(conversation in conversations()) {
        let Some(tokenizer) = official() else { return Ok(()) };
        // Tokens that hold parts of characters have no text of their own.
        prop_assume!(conversation.messages.iter().all(|message| message.content.is_ascii()));
        let length = |id: u32| tokenizer.decode_with_special(&[id]).expect("text").len();
        for system in SYSTEMS {
            let written = by_turns(&conversation, system);
            let encoded = tokenizer.encode_conversation(&conversation, Mask::AssistantOnly, system).expect("a mask");
            prop_assert_eq!(&encoded.ids, &written.ids(tokenizer));
            prop_assert_eq!(&encoded.loss_mask, &expected(&encoded.ids, length, &written.target));
        }
    }
}

#[test]
fn a_base_tokenizer_ends_turns_as_its_template_does() {
    let [_, base] = built_in();
    assert_eq!((base.bos_id(), base.eos_id(), base.pad_id()), (0, 0, 0));
    assert_eq!((base.end_of_turn_id(), base.stop_ids()), (2, vec![2, 0]));
    let folder = tempfile::tempdir().expect("a folder");
    base.save(folder.path()).expect("written");
    let opened = ChatTokenizer::open(folder.path()).expect("opened");
    assert_eq!((opened.eos_id(), opened.stop_ids()), (2, vec![2, 0]));
    // A template that ends turns otherwise keeps what the configuration says.
    let template = "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}";
    let template = ChatTemplate::new(template, "<|endoftext|>", "<|endoftext|>").expect("a template");
    let other = base.clone().with_template(template);
    assert_eq!((other.end_of_turn_id(), other.stop_ids()), (0, vec![0]));
}

#[test]
fn a_template_among_several_is_the_one_named_default() {
    let folder = tempfile::tempdir().expect("a folder");
    built_in()[0].save(folder.path()).expect("written");
    let config = r#"{"chat_template":[{"name":"tools","template":"no"},{"name":"default","template":"mine"}]}"#;
    std::fs::write(folder.path().join("tokenizer_config.json"), config).expect("written");
    let opened = ChatTokenizer::open(folder.path()).expect("opened");
    assert_eq!(opened.template().source(), "mine");
}

fn turns(count: usize) -> Conversation {
    Conversation {
        messages: vec![Message::assistant("a"); count],
        source: None,
    }
}

#[test]
fn turns_without_a_fixed_place_and_too_many_of_them_are_errors() {
    let [tokenizer, _] = built_in();
    let encode = |tokenizer: &ChatTokenizer, count, mask| {
        tokenizer.encode_conversation(&turns(count), mask, SystemPrompt::Default)
    };
    let error = encode(tokenizer, 2001, Mask::AssistantOnly).expect_err("too many");
    assert!(
        matches!(
            error,
            DataError::TooManyMessages {
                most: 2000,
                found: 2001
            }
        ),
        "{error}"
    );
    assert!(encode(tokenizer, 2001, Mask::All).is_ok());
    // Only the last turn is written.
    let template =
        "{{ messages|length }}{% for m in messages %}{% if loop.last %}{{ m.content }}{% endif %}{% endfor %}";
    let template = ChatTemplate::new(template, "", "").expect("a template");
    let forgetful = tokenizer.clone().with_template(template);
    let error = encode(&forgetful, 2, Mask::AssistantOnly).expect_err("no prefix");
    assert!(matches!(error, DataError::NotAPrefix { message: 0 }), "{error}");
    assert!(encode(&forgetful, 2, Mask::All).is_ok());
}

#[test]
fn nothing_said_is_nothing_written() {
    for system in SYSTEMS {
        for mask in [Mask::All, Mask::AssistantOnly] {
            let encoded = built_in()[0]
                .encode_conversation(&turns(0), mask, system)
                .expect("nothing");
            assert!(encoded.ids.is_empty());
        }
    }
}

/// The text of the targets of a conversation that the assistant opens, in a template that trims.
fn trimmed_opening(content: &str) -> String {
    let template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}";
    let template = ChatTemplate::new(template, "<|im_start|>", "<|im_end|>").expect("a template");
    let tokenizer = built_in()[0].clone().with_template(template);
    let conversation = Conversation {
        messages: vec![Message::assistant(content), Message::user("b")],
        source: None,
    };
    let encoded = tokenizer.encode_conversation(&conversation, Mask::AssistantOnly, SystemPrompt::Default);
    let encoded = encoded.expect("a mask");
    let targets = encoded
        .ids
        .iter()
        .zip(&encoded.loss_mask)
        .filter(|(_, target)| **target);
    let targets: Vec<u32> = targets.map(|(id, _)| *id).collect();
    tokenizer.decode_with_special(&targets).expect("text")
}

#[test]
fn an_opening_turn_that_the_template_trims_is_found() {
    assert_eq!(trimmed_opening("  a \n\n"), "a<|im_end|>");
    assert_eq!(trimmed_opening("a"), "a<|im_end|>");
    assert_eq!(trimmed_opening("   "), "<|im_end|>");
}

#[test]
fn no_system_turn_needs_chatml() {
    let template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ eos_token }}{% endfor %}";
    let template = ChatTemplate::new(template, "<|endoftext|>", "<|endoftext|>").expect("a template");
    let tokenizer = built_in()[0].clone().with_template(template);
    let encode = |system| tokenizer.encode_conversation(&turns(1), Mask::All, system);
    assert!(encode(SystemPrompt::Default).is_ok());
    let error = encode(SystemPrompt::None).expect_err("another format");
    assert!(error.to_string().contains("expected ChatML"), "{error}");
}
