//! The held-out share.

use std::collections::BTreeSet;

use fixtures::shared;
use smoltalk_data::{Conversation, DataError, Message, Source};

fn numbered(numbers: impl IntoIterator<Item = usize>) -> Source {
    let conversation = |number: usize| Conversation {
        messages: vec![Message::user(format!("number {number}"))],
        source: None,
    };
    Source::from_conversations(numbers.into_iter().map(conversation).collect())
}

fn words(source: &Source) -> Vec<String> {
    let found = source.conversations().map(|found| found.expect("a conversation"));
    found
        .map(|conversation| conversation.messages[0].content.clone())
        .collect()
}

fn set(source: &Source) -> BTreeSet<String> {
    words(source).into_iter().collect()
}

#[test]
fn every_conversation_is_on_one_side_in_its_order() {
    let all = words(&numbered(0..4000));
    for (share, expected) in [(0.05, 200.0), (0.5, 2000.0), (0.9, 3600.0f64)] {
        let (training, held_out) = numbered(0..4000).split(share).expect("a split");
        let (kept, held) = (set(&training), set(&held_out));
        assert!(kept.is_disjoint(&held));
        let kept_in_order: Vec<String> = all.iter().filter(|words| kept.contains(*words)).cloned().collect();
        assert_eq!(words(&training), kept_in_order);
        assert_eq!(kept.len() + held.len(), 4000);
        // Four standard deviations of as many independent draws.
        let slack = 4.0 * (expected * (1.0 - share)).sqrt();
        assert!((held.len() as f64 - expected).abs() < slack, "{share}: {}", held.len());
    }
}

#[test]
fn the_part_follows_the_text_alone() {
    let split = |source: Source| set(&source.split(0.2).expect("a split").1);
    let held = split(numbered(0..1000));
    assert_eq!(held, split(numbered(0..1000)));
    // Another order, every conversation twice, and more data: the same ones are held out.
    assert_eq!(held, split(numbered((0..1000).rev())));
    assert_eq!(held, split(numbered((0..1000).chain(0..1000))));
    let more = split(numbered(0..2000));
    assert!(held.is_subset(&more) && more.len() > held.len());
    // What a published split was stays what it is.
    let first: Vec<String> = words(&numbered(0..40).split(0.2).expect("a split").1);
    assert_eq!(first, FIRST);
}

/// Computed apart from this program.
const FIRST: [&str; 5] = ["number 7", "number 21", "number 24", "number 26", "number 27"];

#[test]
fn a_side_splits_again() {
    let (training, test) = numbered(0..3000).split(0.1).expect("a split");
    let (training, validation) = training.split(0.1).expect("a split");
    let sides = [set(&training), set(&validation), set(&test)];
    assert_eq!(sides.iter().map(BTreeSet::len).sum::<usize>(), 3000);
    assert!(sides.iter().all(|side| side.len() > 200));
    assert!(sides[0].is_disjoint(&sides[1]) && sides[1].is_disjoint(&sides[2]));
}

#[test]
fn shares_without_meaning_are_refused() {
    for share in [0.0, 1.0, -0.1, 2.0, f64::NAN, f64::INFINITY] {
        let error = numbered(0..3).split(share).expect_err("no share");
        assert!(
            matches!(
                error,
                DataError::Config {
                    field: "held-out share",
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn files_split_while_they_stream_and_both_sides_report_what_cannot_be_read() {
    if let Some(path) = shared("data/sft/everyday/train.jsonl") {
        let (training, held_out) = Source::open(&path).expect("a source").split(0.05).expect("a split");
        let counts = [training.conversations().count(), held_out.conversations().count()];
        assert_eq!(counts[0] + counts[1], 2000);
        assert!((60..140).contains(&counts[1]), "{counts:?}");
    }
    let room = tempfile::tempdir().expect("a folder");
    let path = room.path().join("broken.jsonl");
    std::fs::write(&path, "{\"messages\": 3}\n").expect("written");
    let (training, held_out) = Source::open(&path).expect("a source").split(0.5).expect("a split");
    for side in [training, held_out] {
        assert!(side.conversations().any(|found| found.is_err()));
    }
}
