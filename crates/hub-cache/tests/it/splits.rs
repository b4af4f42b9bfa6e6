//! The layouts data sets have on the hub, and splits through the cache.

use fixtures::hub::LoopbackHub;
use hub_cache::{HubAccess, HubError, HubRepo, RepoKind, Retry, SplitMatch, split_files};
use std::collections::BTreeMap;

fn found(names: &[&str], configuration: Option<&str>, split: &str) -> Vec<String> {
    split_files("here", names, configuration, split, SplitMatch::Exact).unwrap()
}

fn refused(names: &[&str], configuration: Option<&str>, split: &str) -> String {
    match split_files("here", names, configuration, split, SplitMatch::Exact).unwrap_err() {
        HubError::Split { place, expected, found } if place == "here" => format!("{expected} / {found}"),
        other => panic!("{other}"),
    }
}

#[test]
fn one_configuration_needs_no_name() {
    let names = [
        "README.md",
        "data/test-00000-of-00001.parquet",
        "data/train-00001-of-00002.parquet",
        "data/train-00000-of-00002.parquet",
    ];
    let train = ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"];
    assert_eq!(found(&names, None, "train"), train);
    assert_eq!(found(&names, Some("default"), "train"), train);
    assert!(refused(&names, None, "dev").ends_with("the splits test, train"));
    assert!(refused(&names, Some("main"), "test").contains("configuration `main`"));
}

#[test]
fn several_configurations_need_one() {
    let names = [
        "ARC-Easy/test-00000-of-00001.parquet",
        "ARC-Challenge/test-00000-of-00001.parquet",
    ];
    assert_eq!(found(&names, Some("ARC-Easy"), "test"), [names[0]]);
    assert!(refused(&names, None, "test").ends_with("the configurations ARC-Challenge, ARC-Easy"));
    let below_data = [
        "data/all/train-00000-of-00001.parquet",
        "data/some/train-00000-of-00001.parquet",
    ];
    assert_eq!(found(&below_data, Some("all"), "train"), [below_data[0]]);
    let with_default = ["default/test/0000.parquet", "other/test/0000.parquet"];
    assert_eq!(found(&with_default, None, "test"), [with_default[0]]);
}

#[test]
fn parquet_goes_before_jsonl_and_numbers_are_shards() {
    assert_eq!(found(&["test.jsonl", "test.parquet"], None, "test"), ["test.parquet"]);
    assert_eq!(found(&["test.jsonl", "train.parquet"], None, "test"), ["test.jsonl"]);
    let converted = [
        "main/test/0000.parquet",
        "main/test/0001.parquet",
        "main/train/0000.parquet",
    ];
    assert_eq!(found(&converted, Some("main"), "test"), converted[..2]);
}

#[test]
fn a_missing_shard_is_missed() {
    let text = refused(
        &["train-00000-of-00003.parquet", "train-00002-of-00003.parquet"],
        None,
        "train",
    );
    assert!(text.contains("in 3 files / 2 files"), "{text}");
}

#[test]
fn a_variant_is_taken_only_if_asked_for_and_alone() {
    let one = [
        "data/train_sft-00000-of-00001.parquet",
        "data/test_sft-00000-of-00001.parquet",
    ];
    let variant = |names: &[&str], split: &str| split_files("here", names, None, split, SplitMatch::OrVariant);
    assert_eq!(variant(&one, "train").unwrap(), [one[0]]);
    // A benchmark's score on another split would be another number.
    assert!(refused(&one, None, "test").ends_with("the splits test_sft, train_sft"));
    assert!(refused(&["test_hard.jsonl"], None, "test").ends_with("the splits test_hard"));
    let two = [
        "data/train_sft-00000-of-00001.parquet",
        "data/train_gen-00000-of-00001.parquet",
    ];
    let error = variant(&two, "train").unwrap_err().to_string();
    assert!(error.contains("the splits train_gen, train_sft"), "{error}");
    assert_eq!(found(&two, None, "train_gen"), [two[1]]);
    assert_eq!(
        variant(&["train.jsonl", "train_gen.jsonl"], "train").unwrap(),
        ["train.jsonl"]
    );
    assert!(variant(&["training.jsonl"], "train").is_err());
}

#[test]
fn nothing_is_found_in_nothing() {
    assert!(refused(&["README.md", "train.csv"], None, "train").ends_with("no such file"));
    assert!(refused(&["notrain.jsonl"], None, "train").ends_with("the splits notrain"));
}

#[test]
fn a_split_comes_from_the_cache_when_it_is_whole_there() {
    let mut hub = LoopbackHub::start();
    let names = [
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
        "test-00000-of-00001.parquet",
    ];
    let files = names.map(|name| (name.to_owned(), name.as_bytes().to_vec()));
    hub.add("datasets/owner/name", "main", BTreeMap::from(files));
    let cache = tempfile::tempdir().unwrap();
    let access = HubAccess {
        endpoint: hub.endpoint(),
        cache_dir: Some(cache.path().to_owned()),
        retry: Retry {
            attempts: 1,
            ..Retry::default()
        },
        ..HubAccess::default()
    };
    let repo = HubRepo::new(RepoKind::Dataset, "owner/name", access);
    let train = repo.split(None, "train", SplitMatch::Exact).unwrap();
    assert_eq!(train.len(), 2);
    assert_eq!(std::fs::read(&train[1]).unwrap(), names[1].as_bytes());
    // The listing and the two files; then nothing.
    assert_eq!(hub.requests().len(), 3);
    assert_eq!(repo.split(None, "train", SplitMatch::Exact).unwrap(), train);
    assert!(hub.requests().is_empty());
    assert!(matches!(
        repo.split(None, "dev", SplitMatch::Exact),
        Err(HubError::Split { .. })
    ));
    hub.stop();
    assert_eq!(repo.split(None, "train", SplitMatch::Exact).unwrap(), train);
    // Never fetched, so not to be had.
    assert!(matches!(
        repo.split(None, "test", SplitMatch::Exact),
        Err(HubError::Unreachable { .. })
    ));
    // A cache that Python filled has no listing: it is believed, but for a missing shard.
    std::fs::remove_dir_all(cache.path().join("datasets--owner--name/listings")).unwrap();
    assert_eq!(repo.split(None, "train", SplitMatch::Exact).unwrap(), train);
    std::fs::remove_file(&train[1]).unwrap();
    assert!(matches!(
        repo.split(None, "train", SplitMatch::Exact),
        Err(HubError::Unreachable { .. })
    ));
}

#[test]
fn a_part_of_a_commit_is_not_believed_offline() {
    let mut hub = LoopbackHub::start();
    let names = ["main/test/0000.parquet", "main/test/0001.parquet"];
    let files = names.map(|name| (name.to_owned(), name.as_bytes().to_vec()));
    hub.add("datasets/owner/name", "main", BTreeMap::from(files));
    let cache = tempfile::tempdir().unwrap();
    let access = HubAccess {
        endpoint: hub.endpoint(),
        cache_dir: Some(cache.path().to_owned()),
        retry: Retry {
            attempts: 1,
            ..Retry::default()
        },
        ..HubAccess::default()
    };
    let repo = HubRepo::new(RepoKind::Dataset, "owner/name", access);
    // The program ended here.
    let first = repo.remote().unwrap().fetch(names[0]).unwrap();
    hub.stop();
    let below = first
        .strip_prefix(cache.path().join("datasets--owner--name/snapshots"))
        .unwrap();
    let by_commit = HubRepo {
        revision: below.iter().next().unwrap().to_str().unwrap().to_owned(),
        ..repo
    };
    assert_eq!(by_commit.cached().unwrap().unwrap().names(), names[..1]);
    let error = by_commit.split(Some("main"), "test", SplitMatch::Exact).unwrap_err();
    assert!(matches!(error, HubError::Unreachable { .. }), "{error}");
}
