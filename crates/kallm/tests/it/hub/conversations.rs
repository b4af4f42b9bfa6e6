//! Conversations by hub id.

use super::access;
use fixtures::hub::{Fault, LoopbackHub, folder_files};
use fixtures::shared;
use kallm::KallmError;
use kallm::hub::{HubDataset, HubError};
use smoltalk_data::{Conversation, Source};
use std::collections::BTreeMap;
use std::path::Path;

fn dataset(hub: &LoopbackHub, cache: &Path, text: &str) -> HubDataset {
    let mut dataset: HubDataset = text.parse().expect("a hub id");
    dataset.access = access(hub, cache);
    dataset
}

fn all(source: &Source) -> Vec<Conversation> {
    source
        .conversations()
        .map(|found| found.expect("a conversation"))
        .collect()
}

/// The first lines of a file, about this many bytes.
fn head(path: &Path, bytes: usize) -> Vec<u8> {
    let text = std::fs::read(path).expect("a readable file");
    let end = text[bytes..]
        .iter()
        .position(|byte| *byte == b'\n')
        .expect("another line");
    text[..bytes + end + 1].to_vec()
}

#[test]
fn parquet_by_id_gives_the_conversations_of_its_folder_with_and_without_the_hub() {
    for (name, expected) in [("everyday", 2000), ("hf_parquet", 3933)] {
        let Some(folder) = shared(&format!("data/sft/{name}")) else {
            return;
        };
        let mut hub = LoopbackHub::start();
        let mut files = folder_files(&folder);
        files.remove("train.jsonl");
        hub.add("datasets/owner/name", "main", files);
        let cache = tempfile::tempdir().expect("a folder");
        let dataset = dataset(&hub, cache.path(), "owner/name");
        let local = all(&Source::open(&folder.join("data")).expect("a source"));
        let fetched = all(&dataset.fetch().expect("fetched"));
        assert_eq!(fetched.len(), expected);
        assert!(fetched == local);
        assert!(hub.requests().iter().all(|request| !request.path.contains("README")));
        hub.stop();
        assert!(all(&dataset.fetch().expect("from the cache")) == local);
    }
}

#[test]
fn configurations_and_splits_of_jsonl_are_told_apart() {
    let (Some(first), Some(second)) = (
        shared("data/sft/everyday/train.jsonl"),
        shared("data/sft/oasst1/heldout.jsonl"),
    ) else {
        return;
    };
    let (first, second) = (head(&first, 4000), head(&second, 60_000));
    let hub = LoopbackHub::start();
    let files = [
        ("one/train.jsonl", &first),
        ("one/test.jsonl", &second),
        ("two/train-00000-of-00002.jsonl", &first),
        ("two/train-00001-of-00002.jsonl", &second),
    ];
    let files = files.map(|(name, bytes)| (name.to_owned(), bytes.clone()));
    hub.add("datasets/owner/name", "v1", BTreeMap::from(files));
    let cache = tempfile::tempdir().expect("a folder");
    let fetch = |text: &str| dataset(&hub, cache.path(), text).fetch();
    let count = |text: &str| all(&fetch(text).expect(text)).len();
    let (lines, more) = (
        first.iter().filter(|byte| **byte == b'\n').count(),
        second.iter().filter(|byte| **byte == b'\n').count(),
    );
    assert!(lines > 1 && more > 1 && lines != more);
    assert_eq!(count("owner/name@v1:one"), lines);
    assert_eq!(count("owner/name@v1:one:test"), more);
    assert_eq!(count("owner/name@v1:two:train"), lines + more);
    let error = fetch("owner/name@v1").expect_err("two configurations").to_string();
    assert!(
        error.contains("owner/name@v1") && error.contains("the configurations one, two"),
        "{error}"
    );
    let error = fetch("owner/name@v1:one:dev").expect_err("no such split").to_string();
    assert!(error.contains("the splits test, train"), "{error}");
}

#[test]
fn every_failure_is_named_and_leaves_nothing_behind() {
    let Some(folder) = shared("data/sft/everyday") else {
        return;
    };
    let mut hub = LoopbackHub::start();
    let mut files = folder_files(&folder);
    files.remove("train.jsonl");
    hub.add("datasets/owner/name", "main", files);
    let cache = tempfile::tempdir().expect("a folder");
    let dataset = dataset(&hub, cache.path(), "owner/name");
    for (fault, words) in [
        (Fault::CutAt(100_000), "expected 801276 bytes, found 100000"),
        (Fault::Corruption, "expected SHA-256"),
        (Fault::Status(401), "give a token"),
        (Fault::Status(404), "check the spelling"),
        (Fault::Vanished, "it has no data/train_sft"),
        (Fault::Silence, "check the network"),
    ] {
        hub.fail(fault);
        let error = dataset.fetch().expect_err("a failure").to_string();
        assert!(
            error.contains("owner/name@main") && error.contains(words),
            "{fault:?}: {error}"
        );
    }
    hub.stop();
    let error = dataset.fetch().expect_err("nothing whole is in the cache");
    assert!(
        matches!(error, KallmError::Hub(HubError::Unreachable { .. })),
        "{error}"
    );
}

#[test]
fn the_text_form_is_read_and_written() {
    let parse = |text: &str| text.parse::<HubDataset>();
    for (text, written) in [
        ("owner/name", "owner/name@main::train"),
        ("owner/name::test", "owner/name@main::test"),
        ("owner/name@v1:all", "owner/name@v1:all:train"),
        ("owner/name@v1:all:test", "owner/name@v1:all:test"),
    ] {
        assert_eq!(parse(text).expect(text).to_string(), written);
        assert_eq!(parse(written).expect(written).to_string(), written);
    }
    for text in [
        "name",
        "a/b/c",
        "owner/name:a:b:c",
        "../name",
        "owner/name@",
        "data/train.jsonl:x y/z:q:",
    ] {
        assert!(matches!(parse(text), Err(KallmError::Unusable { .. })), "{text}");
    }
}
