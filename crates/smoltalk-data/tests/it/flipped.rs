//! Files with bytes that fell over are read or refused, never more.

use crate::parquet::{messages, write};
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

/// A GGUF file of nothing but metadata.
struct Gguf(Vec<u8>);

impl Gguf {
    fn new(keys: u64) -> Self {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(0u64.to_le_bytes());
        bytes.extend(keys.to_le_bytes());
        Self(bytes)
    }

    fn text(&mut self, text: &str) {
        self.0.extend((text.len() as u64).to_le_bytes());
        self.0.extend(text.as_bytes());
    }

    /// A key, and the type of its value.
    fn key(&mut self, key: &str, kind: u32) {
        self.text(key);
        self.0.extend(kind.to_le_bytes());
    }

    fn number(mut self, key: &str, value: u32) -> Self {
        self.key(key, 4);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn string(mut self, key: &str, value: &str) -> Self {
        self.key(key, 8);
        self.text(value);
        self
    }

    fn array(mut self, key: &str, kind: u32, length: usize) -> Self {
        self.key(key, 9);
        self.0.extend(kind.to_le_bytes());
        self.0.extend((length as u64).to_le_bytes());
        self
    }

    fn strings(self, key: &str, values: &[String]) -> Self {
        let mut file = self.array(key, 8, values.len());
        values.iter().for_each(|value| file.text(value));
        file
    }

    /// The built-in tokenizer's vocabulary and one merge.
    fn small(alignment: u32) -> Self {
        let tokenizer = ChatTokenizer::byte_level().expect("built in");
        let folder = tempfile::tempdir().expect("a folder");
        tokenizer.save(folder.path()).expect("written");
        let json = std::fs::read(folder.path().join("tokenizer.json")).expect("readable");
        let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        let vocabulary = json["model"]["vocab"].as_object().expect("an object");
        let mut tokens = vec![String::new(); vocabulary.len()];
        for (token, id) in vocabulary {
            tokens[id.as_u64().expect("an id") as usize] = token.clone();
        }
        tokens.push("ab".to_string());
        let mut file = Self::new(7)
            .number("general.alignment", alignment)
            .string("tokenizer.ggml.pre", "smollm")
            .strings("tokenizer.ggml.tokens", &tokens)
            .array("tokenizer.ggml.token_type", 5, tokens.len());
        for id in 0..tokens.len() {
            file.0.extend(if id < 17 { 3i32 } else { 1 }.to_le_bytes());
        }
        file.strings("tokenizer.ggml.merges", &["a b".to_string()])
            .number("tokenizer.ggml.eos_token_id", 2)
            .string("tokenizer.chat_template", "{{ messages[0].content }}")
    }
}

#[test]
fn gguf() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("small.gguf");
    std::fs::write(&path, Gguf::small(32).0).expect("written");
    let whole = ChatTokenizer::from_gguf(&path).expect("a tokenizer");
    let whole = whole.with_special_tokens_in_text(true);
    assert_eq!(whole.encode("ab<|im_end|>").expect("ids"), [273, 2]);
    flip(&path, 500, |path| converse(ChatTokenizer::from_gguf(path)));
    // Its reader divides by it.
    std::fs::write(&path, Gguf::small(0).0).expect("written");
    let error = ChatTokenizer::from_gguf(&path).expect_err("no alignment");
    assert!(error.to_string().contains("header: expected a GGUF file"), "{error}");
}
