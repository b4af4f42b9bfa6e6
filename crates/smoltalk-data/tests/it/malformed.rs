//! Every kind of broken input lands in its named error.

use fixtures::shared;
use smoltalk_data::{ChatTemplate, ChatTokenizer, DataError, Message, Source};
use std::path::{Path, PathBuf};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    }
}

fn first_error(path: &Path) -> DataError {
    match Source::open(path) {
        Err(error) => error,
        Ok(source) => source.conversations().find_map(Result::err).expect("an error"),
    }
}

#[test]
fn jsonl_errors_name_file_line_and_field() {
    let good = r#"{"messages":[{"role":"user","content":"a"}]}"#;
    for (bad, expected, found) in [
        ("{", "a JSON object", "EOF"),
        ("[1]", "a JSON object", "a list"),
        (r#"{"text":"a"}"#, "a field `messages`", "text"),
        (r#"{"messages":"a"}"#, "`messages` to be a list", "a string"),
        (
            r#"{"messages":[{"content":"a"}]}"#,
            "`messages[0].role` to be a string",
            "no such field",
        ),
        (
            r#"{"messages":[{"role":"user","content":null}]}"#,
            "`messages[0].content` to be a string",
            "null",
        ),
        (
            r#"{"messages":[{"role":7,"content":"a"}]}"#,
            "`messages[0].role` to be a string",
            "a number",
        ),
        (
            r#"{"messages":[3]}"#,
            "`messages[0]` to be an object with `role` and `content`",
            "a number",
        ),
    ] {
        let folder = Folder::new();
        let path = folder.file("bad.jsonl", format!("{good}\n{bad}\n{good}\n"));
        let error = first_error(&path);
        assert!(error.is_bad_record());
        let (message, place) = (error.to_string(), format!("{}:2: expected {expected}", path.display()));
        assert!(message.starts_with(&place), "{bad}: {message}");
        let rest = message.split_once(", found ").expect("what was found").1;
        assert!(rest.contains(found), "{bad}: {message}");
    }
}

#[test]
fn invalid_utf8_and_endless_lines_are_refused() {
    let folder = Folder::new();
    let error = first_error(&folder.file("bytes.jsonl", b"\xff\xfe\n"));
    assert!(error.to_string().contains("bytes.jsonl:1: expected UTF-8"), "{error}");
    let error = first_error(&folder.file("long.jsonl", vec![b' '; 65 << 20]));
    assert!(error.to_string().contains("at most"), "{error}");
}

#[test]
fn other_line_separators_do_not_split() {
    let folder = Folder::new();
    let text = "a\u{2028}b\u{85}c";
    let line = serde_json::json!({ "messages": [{ "role": "user", "content": text }] });
    let path = folder.file("lines.jsonl", format!("{line}\n"));
    let found: Vec<_> = Source::open(&path).expect("a source").conversations().collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].as_ref().expect("a conversation").messages[0].content, text);
}

#[test]
fn missing_and_foreign_paths_are_named() {
    let folder = Folder::new();
    assert!(matches!(
        first_error(&folder.0.path().join("none.jsonl")),
        DataError::Io { .. }
    ));
    assert!(matches!(first_error(folder.0.path()), DataError::NoSource { .. }));
    assert!(matches!(
        first_error(&folder.file("data.csv", "a,b")),
        DataError::NoSource { .. }
    ));
}

#[test]
fn broken_parquet_is_an_error() {
    let folder = Folder::new();
    for bytes in [
        &b""[..],
        b"PAR1",
        b"not a parquet file at all, but long enough",
        b"PAR1\0\0\0\0\xff\xff\xff\x7fPAR1",
    ] {
        let error = first_error(&folder.file("bad.parquet", bytes));
        assert!(
            matches!(error, DataError::Records(_)) && !error.is_bad_record(),
            "{error}"
        );
    }
    let Some(real) = shared("data/sft/everyday/data/train_sft-00000-of-00001.parquet") else {
        return;
    };
    let bytes = std::fs::read(real).expect("readable");
    let error = first_error(&folder.file("cut.parquet", &bytes[..bytes.len() / 2]));
    assert!(
        matches!(error, DataError::Records(_)) && !error.is_bad_record(),
        "{error}"
    );
}

#[test]
fn broken_tokenizers_are_errors() {
    let folder = Folder::new();
    for json in [
        "",
        "{",
        "[]",
        r#"{"model":{"type":"BPE","vocab":7,"merges":[]}}"#,
        r#"{"model":{"type":"Unheard"}}"#,
        // Where the library itself panics.
        r#"{"decoder":{"type":ByteLevel}}"#,
        r#"{"decoder":{"type":1e999}}"#,
        &format!(r#"{{"decoder":{}"#, "[".repeat(200)),
    ] {
        folder.file("tokenizer.json", json);
        let error = ChatTokenizer::from_folder(folder.0.path()).expect_err(json);
        assert!(matches!(error, DataError::Tokenizer { .. }), "{json}: {error}");
    }
    ChatTokenizer::byte_level()
        .expect("built in")
        .save(folder.0.path())
        .expect("written");
    folder.file("tokenizer_config.json", "{");
    assert!(matches!(
        ChatTokenizer::from_folder(folder.0.path()),
        Err(DataError::Tokenizer { .. })
    ));
    folder.file("tokenizer_config.json", r#"{"eos_token":"<absent>"}"#);
    let error = ChatTokenizer::from_folder(folder.0.path()).expect_err("no such token");
    assert!(error.to_string().contains("eos_token"), "{error}");
    folder.file(
        "tokenizer_config.json",
        r#"{"chat_template":[{"name":"rag","template":"x"}]}"#,
    );
    let error = ChatTokenizer::from_folder(folder.0.path()).expect_err("no default template");
    assert!(
        error.to_string().contains("chat_template") && error.to_string().contains("rag"),
        "{error}"
    );
    folder.file("tokenizer_config.json", r#"{"chat_template":7}"#);
    let error = ChatTokenizer::from_folder(folder.0.path()).expect_err("no template");
    assert!(error.to_string().contains("found 7"), "{error}");
    let nothing = Folder::new();
    assert!(matches!(
        ChatTokenizer::from_folder(nothing.0.path()),
        Err(DataError::Io { .. })
    ));
}

#[test]
fn tokenizer_files_too_large_to_read_are_named() {
    for name in ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"] {
        let folder = Folder::new();
        let tokenizer = ChatTokenizer::byte_level().expect("built in");
        tokenizer.save(folder.0.path()).expect("written");
        let file = std::fs::File::create(folder.0.path().join(name)).expect("created");
        file.set_len((128 << 20) + 1).expect("a sparse file");
        let error = ChatTokenizer::from_folder(folder.0.path()).expect_err("too large");
        assert!(matches!(error, DataError::Tokenizer { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains(name) && text.contains("at most 134217728 bytes"),
            "{text}"
        );
    }
}

/// minijinja's parser panics on an import of a tuple.
#[test]
fn templates_that_import_are_errors() {
    for source in [
        "{% import 'a' as b %}",
        "{% import 'a' as (b, c) %}",
        "{% include 'chat' %}",
    ] {
        let error = ChatTemplate::new(source, "", "").expect_err(source);
        assert!(matches!(error, DataError::Template { .. }), "{error}");
    }
}

/// As for weights: the file extension is compared without case, and ignored for a folder.
#[test]
fn gguf_files_are_known_by_their_ending_in_any_case() {
    let folder = Folder::new();
    for name in ["x.gguf", "X.GGUF"] {
        let error = ChatTokenizer::open(&folder.file(name, "no GGUF")).expect_err("broken");
        assert!(error.to_string().contains("expected a GGUF file"), "{error}");
    }
    let named = folder.0.path().join("folder.gguf");
    let tokenizer = ChatTokenizer::byte_level().expect("built in");
    tokenizer.save(&named).expect("written");
    assert_eq!(ChatTokenizer::open(&named).expect("a folder").vocab_size(), 273);
}

#[test]
fn broken_gguf_headers_are_errors() {
    let folder = Folder::new();
    let mut huge = b"GGUF\x03\0\0\0".to_vec();
    huge.extend(0u64.to_le_bytes());
    huge.extend(u64::MAX.to_le_bytes());
    let mut long_key = b"GGUF\x03\0\0\0".to_vec();
    long_key.extend(0u64.to_le_bytes());
    long_key.extend(1u64.to_le_bytes());
    long_key.extend((1u64 << 40).to_le_bytes());
    for bytes in [
        b"".to_vec(),
        b"GGUF".to_vec(),
        b"NOPE\x03\0\0\0".to_vec(),
        huge,
        long_key,
    ] {
        let error = ChatTokenizer::from_gguf(&folder.file("bad.gguf", bytes)).expect_err("broken");
        assert!(matches!(error, DataError::Gguf(_)), "{error}");
    }
}

#[test]
fn templates_that_do_not_parse_raise_or_run_away_are_errors() {
    let message = [Message::user("a")];
    for source in ["{% for %}", "{{ messages"] {
        let error = ChatTemplate::new(source, "", "").expect_err(source);
        assert!(matches!(error, DataError::Template { .. }), "{error}");
    }
    let endless = "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}";
    for source in [
        "{{ raise_exception('roles must alternate') }}",
        endless,
        "{{ messages[0].nothing.at_all }}",
    ] {
        let template = ChatTemplate::new(source, "", "").expect("it parses");
        let error = template.render(&message, false).expect_err(source);
        assert!(matches!(error, DataError::Template { .. }), "{error}");
    }
}

/// A tokenizer that leaves letters out, or refuses words, would train on less than the data says.
#[test]
fn tokenizers_that_cannot_write_text_are_refused() {
    let folder = Folder::new();
    for model in [
        r#"{"type":"WordLevel","vocab":{"<|im_end|>":0},"unk_token":"[UNK]"}"#,
        r#"{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,
            "fuse_unk":false,"byte_fallback":false,"ignore_merges":false,"vocab":{"<|im_end|>":0,"h":1,"l":2},"merges":[]}"#,
    ] {
        let json = format!(
            r#"{{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,
                "pre_tokenizer":null,"post_processor":null,"decoder":null,"model":{model}}}"#
        );
        folder.file("tokenizer.json", json);
        let error = ChatTokenizer::from_folder(folder.0.path()).expect_err(model);
        assert!(error.to_string().contains("expected one that writes"), "{error}");
    }
}

#[test]
fn a_stream_gives_what_is_good_and_ends_with_the_first_error_that_is_not_of_one_record() {
    let good = r#"{"messages":[{"role":"user","content":"a"}]}"#;
    let folder = Folder::new();
    let path = folder.file("a.jsonl", format!("{good}\n{{\n{good}\n"));
    folder.file("b.jsonl", "[\n");
    folder.file("c.jsonl", format!("{good}\n"));
    let of = |path: &Path| -> Vec<bool> {
        let conversations = Source::open(path).expect("a source").conversations();
        conversations.map(|found| found.is_ok()).collect()
    };
    assert_eq!(of(&path), [true, false, true]);
    assert_eq!(of(folder.0.path()), [true, false, true, false]);
}

#[test]
fn hidden_files_are_no_data() {
    let good = r#"{"messages":[{"role":"user","content":"a"}]}"#;
    let folder = Folder::new();
    folder.file("train.jsonl", format!("{good}\n"));
    for name in [
        "._train.jsonl",
        ".train.jsonl",
        ".train.jsonl.swp",
        ".train-00000-of-00001.parquet",
    ] {
        folder.file(name, "\0\0");
    }
    let found: Vec<_> = Source::open(folder.0.path())
        .expect("a source")
        .conversations()
        .collect();
    assert!(found.len() == 1 && found[0].is_ok(), "{found:?}");
}
