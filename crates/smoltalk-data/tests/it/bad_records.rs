//! Records that cannot be used are skipped, counted and named, up to a limit, and after a resume too.

use smoltalk_data::{
    ChatTemplate, ChatTokenizer, DataError, DataLoader, LoaderConfig, LoaderObserver, Mask, PackedRow, Packing, Source,
};
use std::path::Path;
use std::sync::{Arc, Mutex};

const BAD: [&str; 5] = [
    r#"{"messages":[{"role":"user","content":null}]}"#,
    r#"{"messages":[{"role":"user","content":"cut"#,
    r#"{"messages":[{"role":"user","content":"refuse"},{"role":"assistant","content":"a"}]}"#,
    r#"{"text":"no messages"}"#,
    "7",
];

fn good(index: usize) -> String {
    format!(
        r#"{{"messages":[{{"role":"user","content":"{index}?"}},{{"role":"assistant","content":"{}!"}}]}}"#,
        index * 7
    )
}

/// Forty conversations, with bad records at the lines 3, 12, 21, 30 and 45, the last, where `bad`.
fn write(path: &Path, bad: bool) {
    let mut lines: Vec<String> = (0..40).map(good).collect();
    for (index, line) in BAD.iter().enumerate().filter(|_| bad) {
        let place = if index == 4 { lines.len() } else { 2 + 9 * index };
        lines.insert(place, (*line).to_string());
    }
    std::fs::write(path, lines.join("\n")).expect("written");
}

/// The built-in tokenizer with a template that refuses a conversation.
fn tokenizer() -> ChatTokenizer {
    let template = "{% for m in messages %}{% if m.content == 'refuse' %}{{ raise_exception('refused') }}{% endif %}\
                    <|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
                    {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    let template = ChatTemplate::new(template, "<|im_start|>", "<|im_end|>").expect("a template");
    ChatTokenizer::byte_level().expect("built in").with_template(template)
}

fn config(max_bad_records: u64) -> LoaderConfig {
    LoaderConfig {
        sequence_length: 64,
        packing: Packing::BestFit,
        mask: Mask::AssistantOnly,
        shuffle: false,
        buffer: 8,
        max_bad_records,
        ..LoaderConfig::default()
    }
}

fn loader(path: &Path, max_bad_records: u64) -> DataLoader {
    let source = Source::open(path).expect("a source");
    DataLoader::new(source, tokenizer(), config(max_bad_records)).expect("a loader")
}

/// Every conversation of a pass once.
fn ids(rows: &[PackedRow]) -> Vec<Vec<u32>> {
    let mut documents = Vec::new();
    for row in rows {
        let of = row.documents.as_ref().expect("documents");
        for document in of.chunk_by(|a, b| a == b).scan(0, |start, part| {
            let range = *start..*start + part.len();
            *start = range.end;
            Some(row.ids[range].to_vec())
        }) {
            documents.push(document);
        }
    }
    documents.retain(|document| document[0] == 1);
    documents.sort();
    documents
}

#[test]
fn the_rest_of_the_data_is_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let (clean, dirty) = (folder.path().join("clean.jsonl"), folder.path().join("dirty.jsonl"));
    write(&clean, false);
    write(&dirty, true);
    let rows = |path| loader(path, 5).one_pass(1000).expect("rows");
    assert_eq!(ids(&rows(&dirty)), ids(&rows(&clean)));
    assert_eq!(ids(&rows(&clean)).len(), 40);
}

#[test]
fn they_are_counted_in_each_pass_and_the_first_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("dirty.jsonl");
    write(&path, true);
    let mut loader = loader(&path, 5);
    while loader.position().epoch < 1 {
        loader.next_row().expect("a row");
    }
    // The first buffer of the next pass has met some again.
    let in_passes = |loader: &DataLoader| loader.counts().bad_records - loader.position().bad_records;
    assert_eq!(in_passes(&loader), 5);
    let first = loader.first_bad_records();
    for (line, problem) in [
        (3, "expected `messages[0].content` to be a string, found null"),
        (12, "expected a JSON object, found EOF"),
        (21, "chat template: "),
        (30, "expected a field `messages`, found an object with the fields text"),
        (45, "expected a JSON object, found a number"),
    ] {
        let place = format!("dirty.jsonl:{line}: ");
        let named = first.iter().find(|message| message.contains(&place));
        assert!(
            named.is_some_and(|message| message.contains(problem)),
            "{line}: {first:#?}"
        );
    }
    // The limit is of a pass, not of a run.
    while loader.position().epoch < 3 {
        loader.next_row().expect("a row");
    }
    assert_eq!(in_passes(&loader), 15);
    assert_eq!(loader.first_bad_records().len(), 5);
}

#[test]
fn one_more_than_the_limit_is_an_error_that_names_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("dirty.jsonl");
    write(&path, true);
    let error = loader(&path, 4).next_rows(1000).expect_err("too many");
    let DataError::TooManyBadRecords { most: 4, first, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(first.len(), 5);
    let message = error.to_string();
    assert!(
        message.contains("max_bad_records") && message.contains("dirty.jsonl:45"),
        "{message}"
    );
    // None at all: the first one itself.
    let error = loader(&path, 0).next_rows(1000).expect_err("one is too many");
    assert!(
        error.is_bad_record() && error.to_string().contains("dirty.jsonl:3: "),
        "{error}"
    );
}

#[test]
fn a_resumed_run_skips_the_same_ones_and_counts_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("dirty.jsonl");
    write(&path, true);
    for taken in 0..40 {
        let mut whole = loader(&path, 5);
        whole.next_rows(taken).expect("rows");
        let (position, counts) = (whole.position(), whole.counts());
        let mut resumed = loader(&path, 5);
        resumed.seek(position).expect("resumed");
        assert_eq!((resumed.position(), resumed.counts()), (position, counts));
        assert_eq!(resumed.next_rows(30).expect("rows"), whole.next_rows(30).expect("rows"));
        assert_eq!(
            (resumed.position(), resumed.counts()),
            (whole.position(), whole.counts())
        );
    }
}

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<(u64, Vec<String>)>>);

impl LoaderObserver for Heard {
    fn tokenized(&mut self, _conversations: u64, tokens: u64) {
        let mut heard = self.0.lock().expect("not poisoned");
        heard.0 = heard.0.max(tokens);
    }

    fn bad_record(&mut self, error: &DataError) {
        self.0.lock().expect("not poisoned").1.push(error.to_string());
    }
}

#[test]
fn an_observer_is_told_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("dirty.jsonl");
    write(&path, true);
    let heard = Heard::default();
    let mut loader = loader(&path, 5).with_observer(Box::new(heard.clone()));
    while loader.position().conversations < 24 {
        loader.next_row().expect("a row");
    }
    let before = heard.0.lock().expect("not poisoned").clone();
    assert!(before.0 > 100 && before.1.len() >= 3, "{before:?}");
    loader.seek(loader.position()).expect("the same place");
    assert_eq!(heard.0.lock().expect("not poisoned").1, before.1);
}

#[test]
fn without_shuffling_rows_do_not_depend_on_the_seed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("clean.jsonl");
    write(&path, false);
    for packing in [Packing::Concat, Packing::BestFit, Packing::None] {
        let rows = |seed, shuffle| {
            let config = LoaderConfig {
                packing,
                seed,
                shuffle,
                ..config(0)
            };
            let loader = DataLoader::new(Source::open(&path).expect("a source"), tokenizer(), config);
            loader.expect("a loader").one_pass(6).expect("rows")
        };
        assert_eq!(rows(1, false), rows(2, false), "{packing:?}");
        assert_ne!(rows(1, true), rows(2, true), "{packing:?}");
    }
    // One conversation per row: in the order of the file.
    let config = LoaderConfig {
        packing: Packing::None,
        ..config(0)
    };
    let source = Source::open(&path).expect("a source");
    let rows = DataLoader::new(source, tokenizer(), config)
        .expect("a loader")
        .one_pass(40)
        .expect("rows");
    let text = |row: &PackedRow| tokenizer().decode(&row.ids).expect("text");
    let numbered = |(index, row)| text(row).contains(&format!("user\n{index}?"));
    assert!(rows.iter().enumerate().all(numbered));
}

#[test]
fn a_buffer_ends_with_the_tokens_of_its_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("clean.jsonl");
    write(&path, false);
    let config = LoaderConfig {
        packing: Packing::Concat,
        buffer: 1000,
        buffer_rows: 4,
        ..config(0)
    };
    let source = Source::open(&path).expect("a source");
    let mut loader = DataLoader::new(source, tokenizer(), config).expect("a loader");
    loader.next_row().expect("a row");
    let (read, position) = (loader.counts().packing, loader.position());
    assert!(
        (3..12).contains(&read.conversations) && read.tokens_in < 6 * 64,
        "{read:?}"
    );
    assert_eq!(position.buffered, read.conversations);
}

#[test]
fn counts_are_of_the_rows_handed_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("clean.jsonl");
    write(&path, false);
    let mut loader = loader(&path, 0);
    let rows = loader.next_rows(11).expect("rows");
    let targets = rows
        .iter()
        .flat_map(|row| &row.loss_mask)
        .filter(|target| **target)
        .count();
    let counts = loader.counts();
    assert_eq!(
        (counts.rows, counts.tokens, counts.targets),
        (11, 11 * 64, targets as u64)
    );
    assert!(counts.packing.rows >= 11);
}

/// The buffer that a position lies in has the conversations it had, whatever has come after them.
#[test]
fn data_may_grow_behind_a_last_short_buffer() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("grown.jsonl");
    let lines: Vec<String> = (0..43).map(good).collect();
    std::fs::write(&path, lines[..42].join("\n")).expect("written");
    let mut short = loader(&path, 0);
    while short.position().conversations < 40 {
        short.next_row().expect("a row");
    }
    let position = short.position();
    assert_eq!(position.buffered, 2);
    std::fs::write(&path, lines.join("\n")).expect("written");
    let mut grown = loader(&path, 0);
    grown.seek(position).expect("resumed");
    // The rest of the buffer, if any, and then the new conversation.
    while grown.position().conversations < 42 {
        grown.next_row().expect("a row");
    }
    assert_eq!((grown.position().epoch, grown.position().buffered), (0, 1));
}
