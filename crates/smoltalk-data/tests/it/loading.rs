//! Real files, and the order of rows.

use fixtures::shared;
use proptest::prelude::*;
use smoltalk_data::{
    ChatTokenizer, Conversation, DataError, DataLoader, DataPosition, LoaderConfig, Mask, Message, Packing, Source,
};
use std::path::Path;

fn count(path: &Path) -> usize {
    let mut count = 0;
    for conversation in Source::open(path).expect("a source").conversations() {
        conversation.expect("a conversation");
        count += 1;
    }
    count
}

#[test]
fn real_files_give_all_their_conversations() {
    for (name, expected) in [
        ("data/sft/everyday/train.jsonl", 2000),
        ("data/sft/everyday/data", 2000),
        ("data/sft/gpteacher", 6458),
        ("data/sft/hf_parquet", 3933),
        ("data/sft/oasst1", 188),
    ] {
        let Some(path) = shared(name) else { return };
        assert_eq!(count(&path), expected, "{name}");
    }
}

#[test]
fn parquet_and_jsonl_of_the_same_data_agree() {
    let (Some(parquet), Some(jsonl)) = (
        shared("data/sft/everyday/data"),
        shared("data/sft/everyday/train.jsonl"),
    ) else {
        return;
    };
    let all = |path: &Path| -> Vec<Vec<Message>> {
        let source = Source::open(path).expect("a source");
        source
            .conversations()
            .map(|found| found.expect("a conversation").messages)
            .collect()
    };
    assert!(all(&parquet) == all(&jsonl));
}

fn numbered(count: usize) -> Source {
    Source::from_conversations(
        (0..count)
            .map(|index| Conversation {
                messages: vec![
                    Message::user(format!("{index}?")),
                    Message::assistant(format!("{}!", index * 7)),
                ],
                source: None,
            })
            .collect(),
    )
}

fn loader(source: Source, packing: Packing, buffer: usize, seed: u64) -> DataLoader {
    loader_with(source, packing, |config| (config.buffer, config.seed) = (buffer, seed))
}

fn loader_with(source: Source, packing: Packing, set: impl FnOnce(&mut LoaderConfig)) -> DataLoader {
    let mut config = LoaderConfig {
        sequence_length: 192,
        packing,
        mask: Mask::AssistantOnly,
        seed: 1,
        ..LoaderConfig::default()
    };
    set(&mut config);
    DataLoader::new(source, ChatTokenizer::byte_level().expect("built in"), config).expect("a loader")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(fixtures::cases(24)))]

    #[test]
    fn a_resumed_loader_gives_the_same_rows(
        packing in prop_oneof![Just(Packing::Concat), Just(Packing::BestFit), Just(Packing::None)],
        conversations in 4usize..40,
        buffer in 2usize..50,
        stop in 0usize..60,
        seed in 0u64..1000,
    ) {
        let source = numbered(conversations);
        let mut whole = loader(source.clone(), packing, buffer, seed);
        let skipped = whole.next_rows(stop);
        prop_assume!(skipped.is_ok());
        let position = whole.position();
        let saved: DataPosition =
            serde_json::from_str(&serde_json::to_string(&position).expect("JSON")).expect("a position");
        let mut resumed = loader(source, packing, buffer, seed);
        resumed.next_row().expect("a row");
        resumed.seek(saved).expect("resumed");
        prop_assert_eq!(resumed.position(), position);
        prop_assert_eq!(resumed.next_rows(40).expect("rows"), whole.next_rows(40).expect("rows"));
    }
}

/// Before `buffer_rows`, a buffer ended after `buffer` conversations, whatever their tokens.
#[test]
fn a_position_of_an_earlier_version_gives_the_rows_of_that_version() {
    for packing in [Packing::Concat, Packing::BestFit, Packing::None] {
        let loader = |buffer_rows| {
            loader_with(numbered(40), packing, |config| {
                (config.buffer, config.buffer_rows) = (20, buffer_rows);
            })
        };
        let mut earlier = loader(usize::MAX);
        let skipped = earlier.next_rows(3).expect("rows");
        assert!(skipped.len() == 3 && earlier.position().buffered == 20);
        let mut saved = serde_json::to_value(earlier.position()).expect("JSON");
        saved.as_object_mut().expect("an object").remove("buffered");
        let saved = serde_json::from_value(saved).expect("a position");
        let mut resumed = loader(2);
        resumed.seek(saved).expect("resumed");
        // The buffer ends as it did, the next begins where it did.
        assert_eq!(resumed.position(), earlier.position(), "{packing:?}");
        let mut row = resumed.next_row().expect("a row");
        while resumed.position().conversations == 0 {
            assert_eq!(row, earlier.next_row().expect("a row"), "{packing:?}");
            row = resumed.next_row().expect("a row");
        }
        earlier.next_row().expect("a row");
        for loader in [resumed, earlier] {
            assert_eq!(loader.position().conversations, 20, "{packing:?}");
        }
    }
}

#[test]
fn the_order_follows_the_seed() {
    let rows = |seed| {
        loader(numbered(50), Packing::None, 64, seed)
            .next_rows(50)
            .expect("rows")
    };
    assert_eq!(rows(1), rows(1));
    assert_ne!(rows(1), rows(2));
}

#[test]
fn each_pass_has_an_order_of_its_own_and_the_same_conversations() {
    let mut loader = loader(numbered(20), Packing::None, 64, 3);
    let (first, second) = (loader.next_rows(20).expect("rows"), loader.next_rows(20).expect("rows"));
    assert_ne!(first, second);
    let sorted = |mut rows: Vec<_>| {
        rows.sort_by_key(|row: &smoltalk_data::PackedRow| row.ids.clone());
        rows
    };
    assert_eq!(sorted(first), sorted(second));
}

#[test]
fn data_without_a_target_is_an_error_not_an_endless_loop() {
    let message = Message::user("only me");
    let source = Source::from_conversations(vec![Conversation {
        messages: vec![message],
        source: None,
    }]);
    let error = loader(source, Packing::BestFit, 8, 1)
        .next_row()
        .expect_err("no assistant");
    assert!(matches!(error, DataError::NoRows { .. }), "{error}");
}

#[test]
fn a_position_beyond_shrunken_data_is_an_error() {
    let position = DataPosition {
        epoch: 0,
        conversations: 30,
        ..DataPosition::default()
    };
    let error = loader(numbered(10), Packing::None, 8, 1)
        .seek(position)
        .expect_err("too short");
    assert!(
        matches!(
            error,
            DataError::Position {
                expected: 30,
                found: 10
            }
        ),
        "{error}"
    );
}

#[test]
fn held_out_rows_are_one_pass() {
    assert_eq!(
        loader(numbered(10), Packing::None, 4, 1)
            .one_pass(100)
            .expect("rows")
            .len(),
        10
    );
    assert_eq!(
        loader(numbered(10), Packing::None, 4, 1)
            .one_pass(3)
            .expect("rows")
            .len(),
        3
    );
}

#[test]
fn held_out_rows_are_those_that_training_would_see_first() {
    let whole = loader(numbered(40), Packing::None, 4, 1).next_rows(40).expect("rows");
    let held_out = loader(numbered(40), Packing::None, 4, 1).one_pass(40).expect("rows");
    // Buffer for buffer, so each has an order of its own.
    assert!(held_out == whole);
}

#[test]
fn held_out_rows_read_no_further_than_they_need() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("long.jsonl");
    let line = r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#;
    std::fs::write(&path, format!("{}no JSON\n", format!("{line}\n").repeat(100))).expect("written");
    for packing in [Packing::Concat, Packing::BestFit, Packing::None] {
        let source = || Source::open(&path).expect("a source");
        let loader = || loader_with(source(), packing, |config| config.max_bad_records = 0);
        assert_eq!(loader().one_pass(8).expect("rows").len(), 8);
        assert!(loader().one_pass(1000).is_err());
    }
}

/// Training reads a buffer at a time, whatever comes after it in the file.
#[test]
fn rows_come_before_the_rest_of_the_file_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let (jsonl, parquet) = (folder.path().join("a.jsonl"), folder.path().join("a.parquet"));
    let line = r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#;
    std::fs::write(&jsonl, format!("{}no JSON\n", format!("{line}\n").repeat(100))).expect("written");
    crate::parquet::write_broken_after(&parquet, 100);
    for path in [jsonl, parquet] {
        for packing in [Packing::Concat, Packing::BestFit, Packing::None] {
            let mut loader = loader_with(Source::open(&path).expect("a source"), packing, |config| {
                (config.buffer, config.max_bad_records) = (8, 0);
            });
            let mut rows = 0;
            let error = loop {
                match loader.next_row() {
                    Ok(_) => rows += 1,
                    Err(error) => break error,
                }
            };
            // Twelve whole buffers of eight.
            assert_eq!(loader.position().conversations, 96, "{packing:?}");
            assert!(rows >= 12 && loader.position().epoch == 0, "{packing:?}: {rows} rows");
            let message = error.to_string();
            let named = message.contains("a.jsonl:101: ") || message.contains("a.parquet: row 100: ");
            assert!(named, "{packing:?}: {error}");
        }
    }
}

#[test]
fn conversations_without_turns_make_no_rows_but_count() {
    let empty = Conversation {
        messages: Vec::new(),
        source: None,
    };
    for packing in [Packing::Concat, Packing::BestFit, Packing::None] {
        let config = LoaderConfig {
            sequence_length: 64,
            packing,
            ..LoaderConfig::default()
        };
        let source = Source::from_conversations(vec![empty.clone(); 300]);
        let tokenizer = ChatTokenizer::byte_level().expect("built in");
        let mut loader = DataLoader::new(source, tokenizer, config).expect("a loader");
        let error = loader.next_row().expect_err("nothing to train on");
        assert!(matches!(error, DataError::NoRows { .. }), "{error}");
        let counts = loader.counts().packing;
        assert_eq!(
            (counts.conversations_empty, counts.tokens_added),
            (counts.conversations, 0)
        );
    }
}

#[test]
fn a_position_in_other_rows_is_an_error_that_says_so() {
    let mut short = loader(numbered(20), Packing::Concat, 64, 1);
    short.next_rows(5).expect("rows");
    let config = LoaderConfig {
        sequence_length: 2048,
        ..short.config().clone()
    };
    let tokenizer = ChatTokenizer::byte_level().expect("built in");
    let mut long = DataLoader::new(numbered(20), tokenizer, config).expect("a loader");
    let error = long.seek(short.position()).expect_err("fewer rows");
    assert!(
        matches!(
            error,
            DataError::PositionRows {
                expected: 5,
                found: 0..5
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("length of the rows"), "{error}");
}

/// Long enough for the place, and of the same shape: only the words are others.
#[test]
fn a_position_in_other_data_is_an_error() {
    let of = |offset: usize| -> Vec<Conversation> {
        let numbers = numbered(60).conversations().skip(offset).take(40);
        numbers.map(|found| found.expect("a conversation")).collect()
    };
    let resumed = |conversations: Vec<Conversation>, position| {
        let source = Source::from_conversations(conversations);
        loader(source, Packing::None, 8, 1).seek(position)
    };
    let (data, mut late) = (of(0), of(0));
    late.swap(12, 39);
    for taken in [1, 13, 43] {
        let mut read = loader(Source::from_conversations(data.clone()), Packing::None, 8, 1);
        read.next_rows(taken).expect("rows");
        let position = read.position();
        for (other, differs) in [(of(20), true), (late.clone(), taken == 13)] {
            match resumed(other, position) {
                Ok(_) => assert!(!differs, "after {taken} rows"),
                Err(DataError::PositionData { expected, found }) => {
                    assert!(differs && expected == position.fingerprint && found != expected);
                }
                Err(other) => panic!("{other}"),
            }
        }
        // What has not been read yet may grow.
        let grown = of(0).into_iter().chain(of(20)).collect();
        assert!(resumed(grown, position).is_ok(), "after {taken} rows");
    }
}

/// Contents of the first message of every conversation in a folder with these files.
fn folder_of(names: &[&str]) -> Result<Vec<String>, DataError> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("data")).expect("a folder");
    for name in names {
        let line = format!("{{\"messages\":[{{\"role\":\"user\",\"content\":\"{name}\"}}]}}\n");
        std::fs::write(folder.path().join(name), line).expect("written");
    }
    let found = Source::open(folder.path())?.conversations();
    found.map(|found| Ok(found?.messages[0].content.clone())).collect()
}

#[test]
fn a_folder_named_as_on_the_hub_gives_its_training_split() {
    for (names, expected) in [
        (
            &["data/train-00000-of-00001.jsonl", "data/test-00000-of-00001.jsonl"][..],
            &[0][..],
        ),
        (&["test.jsonl", "train.jsonl", "notes.txt"], &[1]),
        (&["data/test_sft.jsonl", "data/train_sft.jsonl"], &[1]),
        // No name speaks of training: all of it.
        (&["a.jsonl", "b.jsonl", "data/c.jsonl"], &[0, 1, 2]),
        (&["training-notes.jsonl", "test.jsonl"], &[1, 0]),
    ] {
        let expected: Vec<&str> = expected.iter().map(|index| names[*index]).collect();
        assert_eq!(folder_of(names).expect("conversations"), expected);
    }
    for (names, words) in [
        (&["train-00000-of-00002.jsonl", "test.jsonl"][..], "in 2 files"),
        (&["train_a.jsonl", "train_b.jsonl"], "the splits train_a, train_b"),
    ] {
        let error = folder_of(names).expect_err("not the whole").to_string();
        assert!(error.contains(words), "{error}");
    }
}
