//! The layouts of data sets on a hub and on disk.

use record_files::{RecordError, SplitMatch, split_files};

fn found(names: &[&str], configuration: Option<&str>, split: &str) -> Vec<String> {
    split_files("here", names, configuration, split, SplitMatch::Exact).unwrap()
}

fn refused(names: &[&str], configuration: Option<&str>, split: &str) -> String {
    match split_files("here", names, configuration, split, SplitMatch::Exact).unwrap_err() {
        RecordError::Split { place, expected, found } if place == "here" => format!("{expected} / {found}"),
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
