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
    let message = |role: &str, content: String| Message {
        role: role.to_string(),
        content,
    };
    Source::from_conversations(
        (0..count)
            .map(|index| Conversation {
                messages: vec![
                    message("user", format!("{index}?")),
                    message("assistant", format!("{}!", index * 7)),
                ],
                source: None,
            })
            .collect(),
    )
}

fn loader(source: Source, packing: Packing, buffer: usize, seed: u64) -> DataLoader {
    let config = LoaderConfig {
        sequence_length: 192,
        packing,
        mask: Mask::AssistantOnly,
        buffer,
        seed,
        ..LoaderConfig::default()
    };
    DataLoader::new(source, ChatTokenizer::byte_level().expect("built in"), config).expect("a loader")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

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
        let mut resumed = loader(source, packing, buffer, seed).resume(saved).expect("resumed");
        prop_assert_eq!(resumed.position(), position);
        prop_assert_eq!(resumed.next_rows(40).expect("rows"), whole.next_rows(40).expect("rows"));
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
    let message = Message {
        role: "user".to_string(),
        content: "only me".to_string(),
    };
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
        rows: 0,
    };
    let error = loader(numbered(10), Packing::None, 8, 1)
        .resume(position)
        .err()
        .expect("too short");
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
            .one_pass(None)
            .expect("rows")
            .len(),
        10
    );
    assert_eq!(
        loader(numbered(10), Packing::None, 4, 1)
            .one_pass(Some(3))
            .expect("rows")
            .len(),
        3
    );
}
