//! Files with bytes that fell over are read or refused, never more.

use crate::parquet::{messages, write};
use fixtures::gguf::{array, entry, file, text};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use smoltalk_data::{ChatTokenizer, DataError, Message, Source};
use std::path::Path;

/// Calls `read` for copies of a file in which one to three bytes are others.
fn flip(path: &Path, copies: usize, mut read: impl FnMut(&Path)) {
    let bytes = std::fs::read(path).expect("readable");
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..copies {
        let mut flipped = bytes.clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..flipped.len());
            flipped[at] = rng.random();
        }
        std::fs::write(path, flipped).expect("written");
        read(path);
    }
}

fn converse(tokenizer: Result<ChatTokenizer, DataError>) {
    let Ok(tokenizer) = tokenizer else { return };
    let ids = tokenizer.encode_chat(&[Message::user("ab ü")], true);
    let _ = ids.and_then(|ids| tokenizer.decode(&ids));
}

#[test]
fn parquet() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data.parquet");
    let schema = messages(["role (UTF8)", "content (UTF8)"]);
    write(&path, &schema, &[&[Ok("user"), Ok("assistant")], &[Ok("a"), Ok("b")]]);
    flip(&path, 1000, |path| {
        let Ok(source) = Source::open(path) else { return };
        let mut conversations = source.conversations();
        if conversations.any(|found| found.is_err_and(|error| !error.is_bad_record())) {
            assert!(conversations.next().is_none(), "such an error is the end");
        }
    });
}

#[test]
fn tokenizer_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let built_in = ChatTokenizer::byte_level().expect("built in");
    built_in.save(folder.path()).expect("written");
    flip(&folder.path().join("tokenizer.json"), 300, |_| {
        converse(ChatTokenizer::from_folder(folder.path()));
    });
    built_in.save(folder.path()).expect("written");
    flip(&folder.path().join("tokenizer_config.json"), 300, |_| {
        converse(ChatTokenizer::from_folder(folder.path()));
    });
}

/// A GGUF file with the built-in tokenizer's vocabulary and one merge.
fn small_gguf(alignment: u32) -> Vec<u8> {
    let tokenizer = ChatTokenizer::byte_level().expect("built in");
    let folder = tempfile::tempdir().expect("a folder");
    tokenizer.save(folder.path()).expect("written");
    let json = std::fs::read(folder.path().join("tokenizer.json")).expect("readable");
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    let vocabulary = json["model"]["vocab"].as_object().expect("an object");
    let mut tokens = vec![text(""); vocabulary.len()];
    for (token, id) in vocabulary {
        tokens[id.as_u64().expect("an id") as usize] = text(token);
    }
    tokens.push(text("ab"));
    let types: Vec<Vec<u8>> = (0..tokens.len())
        .map(|id| if id < 17 { 3i32 } else { 1 }.to_le_bytes().to_vec())
        .collect();
    let entries = [
        entry("general.alignment", 4, &alignment.to_le_bytes()),
        entry("tokenizer.ggml.pre", 8, &text("smollm")),
        array("tokenizer.ggml.tokens", 8, &tokens),
        array("tokenizer.ggml.token_type", 5, &types),
        array("tokenizer.ggml.merges", 8, &[text("a b")]),
        entry("tokenizer.ggml.eos_token_id", 4, &2u32.to_le_bytes()),
        entry("tokenizer.chat_template", 8, &text("{{ messages[0].content }}")),
    ];
    file(&entries, &[])
}

#[test]
fn gguf() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("small.gguf");
    std::fs::write(&path, small_gguf(32)).expect("written");
    let whole = ChatTokenizer::from_gguf(&path).expect("a tokenizer");
    let whole = whole.with_special_tokens_in_text(true);
    assert_eq!(whole.encode("ab<|im_end|>").expect("ids"), [273, 2]);
    flip(&path, 500, |path| converse(ChatTokenizer::from_gguf(path)));
    std::fs::write(&path, small_gguf(0)).expect("written");
    let error = ChatTokenizer::from_gguf(&path).expect_err("no alignment");
    let expected = "GGUF general.alignment: expected a multiple of 8 up to 65536, found 0";
    assert!(error.to_string().contains(expected), "{error}");
}
