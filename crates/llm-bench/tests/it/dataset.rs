//! The same data as JSONL, as Parquet, and in shards.

use crate::parquet_rows::{Column, Leaf, text, texts, write, write_schema};
use crate::reference::smollm2_chat;
use fixtures::{lines, shared};
use llm_bench::{BenchError, DataSets, PromptOptions, Task, build_prompts, load_split};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const ARC: [Column; 5] = [
    text(&["id"]),
    text(&["question"]),
    texts(&["choices", "text"]),
    texts(&["choices", "label"]),
    text(&["answerKey"]),
];
const HELLASWAG: [Column; 10] = [
    Column {
        path: &["ind"],
        list: false,
        leaf: Leaf::Integer,
    },
    text(&["activity_label"]),
    text(&["ctx_a"]),
    text(&["ctx_b"]),
    text(&["ctx"]),
    texts(&["endings"]),
    text(&["source_id"]),
    text(&["split"]),
    text(&["split_type"]),
    text(&["label"]),
];

/// A task, the columns of its data, its configuration's folder, and the splits it reads.
fn cases() -> [(Task, &'static [Column], &'static str, &'static [&'static str]); 2] {
    let task = |name| Task::builtin(name).unwrap();
    [
        (
            task("arc_easy"),
            &ARC,
            "allenai/ai2_arc/ARC-Easy",
            &["test", "validation", "train"],
        ),
        (
            task("hellaswag"),
            &HELLASWAG,
            "Rowan/hellaswag/default",
            &["validation"],
        ),
    ]
}

/// The first rows of a real split.
fn rows(folder: &str, split: &str) -> Option<Vec<Value>> {
    let lines = lines(&format!("data/benchmarks/{folder}/{split}.jsonl"))?;
    Some(lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// A root with a task's splits in Parquet, in so many files each.
fn parquet_root(folder: &str, columns: &[Column], splits: &[&str], shards: usize) -> Option<tempfile::TempDir> {
    let root = tempfile::tempdir().unwrap();
    let below = root.path().join(folder);
    std::fs::create_dir_all(&below).unwrap();
    for split in splits {
        let rows = rows(folder, split)?;
        for (index, part) in rows.chunks(rows.len().div_ceil(shards)).enumerate() {
            let name = match shards {
                1 => format!("{split}.parquet"),
                _ => format!("{split}-{index:05}-of-{shards:05}.parquet"),
            };
            write(&below.join(name), columns, part);
        }
    }
    Some(root)
}

#[test]
fn parquet_gives_the_rows_prompts_and_targets_of_jsonl() {
    for (task, columns, folder, splits) in cases() {
        let Some(jsonl) = shared("data/benchmarks") else { return };
        for shards in [1, 3] {
            let root = parquet_root(folder, columns, splits, shards).unwrap();
            for split in splits {
                let documents = load_split(&DataSets::below(&jsonl), &task, split).unwrap();
                assert!(documents.len() > 500);
                assert!(
                    load_split(&DataSets::below(root.path()), &task, split).unwrap() == documents,
                    "{folder} {split}"
                );
            }
            for shots in [0, 2] {
                if shots > 0 && task.task == "hellaswag" {
                    continue; // Its examples come from a split that is not there.
                }
                let prompts = |root: &Path| {
                    let mut options = PromptOptions::new(root);
                    options.num_fewshot = Some(shots);
                    options.apply_chat_template = shots > 0;
                    options.limit = (shots > 0).then_some(200.0);
                    build_prompts(&task, &options, &smollm2_chat).unwrap()
                };
                let (left, right) = (prompts(root.path()), prompts(&jsonl));
                assert!(left.prompts.iter().all(|prompt| !prompt.target.is_empty()));
                assert!(left == right, "{folder}, {shots} shots, {shards} shards");
            }
        }
    }
}

#[test]
fn parquet_by_arrow_gives_the_values_of_jsonl() {
    let (Some(parquet), Some(jsonl)) = (
        shared("data/sft/everyday/data/train_sft-00000-of-00001.parquet"),
        shared("data/sft/everyday/train.jsonl"),
    ) else {
        return;
    };
    let load = |file: &Path, name: &str| -> Vec<Value> {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("synthetic/quiz/default");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(file, folder.join(name)).unwrap();
        let documents = load_split(&DataSets::below(root.path()), &quiz(), "train").unwrap();
        documents
            .into_iter()
            .map(|document| document["messages"].clone())
            .collect()
    };
    let rows = load(&parquet, "train-00000-of-00001.parquet");
    assert_eq!(rows.len(), 2000);
    assert!(
        rows[0][0]["content"]
            .as_str()
            .is_some_and(|content| !content.is_empty())
    );
    assert!(rows == load(&jsonl, "train.jsonl"));
}

fn quiz() -> Task {
    let yaml = "{task: quiz, dataset_path: synthetic/quiz, output_type: multiple_choice, test_split: test, \
                doc_to_text: q, doc_to_choice: [a, b], doc_to_target: 0, metric_list: [{metric: acc}]}";
    Task::from_yaml(yaml, "quiz").unwrap()
}

/// A root for [`quiz`] and the folder of its files.
fn empty_root() -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("synthetic/quiz/default");
    std::fs::create_dir_all(&folder).unwrap();
    (root, folder)
}

#[test]
fn absent_values_and_empty_lists_survive() {
    let columns = [
        text(&["a"]),
        texts(&["b", "c"]),
        Column {
            path: &["b", "n"],
            list: true,
            leaf: Leaf::Double,
        },
    ];
    let rows = [
        json!({"a": "x", "b": {"c": ["1", null, ""], "n": [0.5, -2.0]}}),
        json!({"a": null, "b": {"c": [], "n": null}}),
        json!({"a": "", "b": null}),
    ];
    let (root, folder) = empty_root();
    write(&folder.join("test.parquet"), &columns, &rows);
    let documents = load_split(&DataSets::below(root.path()), &quiz(), "test").unwrap();
    assert_eq!(documents.into_iter().map(Value::Object).collect::<Vec<_>>(), rows);
}

#[test]
fn a_parquet_schema_that_lies_is_an_error() {
    let (root, folder) = empty_root();
    let path = folder.join("test.parquet");
    for lie in [
        "message schema { optional group a (LIST) { optional binary element (UTF8); } }",
        "message schema { optional group a (LIST) { repeated group list { optional binary element (UTF8); } optional binary b (UTF8); } }",
    ] {
        write_schema(&path, lie);
        let error = load_split(&DataSets::below(root.path()), &quiz(), "test")
            .unwrap_err()
            .to_string();
        assert!(error.contains("test.parquet: row 0"), "{error}");
    }
}

#[test]
fn malformed_parquet_is_named() {
    let (root, folder) = empty_root();
    let path = folder.join("test.parquet");
    let message = || {
        load_split(&DataSets::below(root.path()), &quiz(), "test")
            .unwrap_err()
            .to_string()
    };
    let good = [json!({"a": "x"}), json!({"a": "y"})];
    write(&path, &[text(&["a"])], &good);
    let whole = std::fs::read(&path).unwrap();
    let mut scribbled = whole.clone();
    scribbled[4..40].fill(0xff);
    for bytes in [
        Vec::new(),
        b"PAR1".to_vec(),
        whole[..whole.len() / 2].to_vec(),
        vec![b'x'; 500],
        scribbled,
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = message();
        assert!(error.contains("test.parquet: row 0"), "{error}");
    }
    let column = |leaf| Column {
        path: &["a"],
        list: false,
        leaf,
    };
    write(&path, &[column(Leaf::Bytes)], &good);
    assert!(message().contains("row 0: expected a column of text"), "{}", message());
}

/// A task that does not look at them is not kept from its data.
#[test]
fn columns_and_values_without_a_form_in_json_are_left_out() {
    let (root, folder) = empty_root();
    let column = |name, leaf| Column {
        path: name,
        list: false,
        leaf,
    };
    let columns = [column(&["a"], Leaf::Double), column(&["b"], Leaf::Bytes), text(&["c"])];
    let rows = [
        json!({"a": 1.5, "b": "x", "c": "y"}),
        json!({"a": "not a number", "b": "x", "c": "z"}),
    ];
    write(&folder.join("test.parquet"), &columns, &rows);
    let documents = load_split(&DataSets::below(root.path()), &quiz(), "test").unwrap();
    let documents: Vec<_> = documents.into_iter().map(Value::Object).collect();
    assert_eq!(documents, [json!({"a": 1.5, "c": "y"}), json!({"c": "z"})]);
}

#[test]
fn a_missing_shard_is_not_a_smaller_split() {
    let (root, folder) = empty_root();
    write(
        &folder.join("test-00001-of-00002.parquet"),
        &[text(&["a"])],
        &[json!({"a": "x"})],
    );
    let error = load_split(&DataSets::below(root.path()), &quiz(), "test")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("synthetic/quiz/default/test.jsonl") && error.contains("found 1 files"),
        "{error}"
    );
}

/// The score of another split would be another number.
#[test]
fn a_split_whose_name_only_begins_so_is_not_taken() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("allenai/ai2_arc/ARC-Easy");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("test_hard.jsonl"), "{}\n").unwrap();
    let [(task, ..), _] = cases();
    let mut data = DataSets::below(root.path());
    let error = load_split(&data, &task, "test").unwrap_err();
    assert!(matches!(error, BenchError::MissingData { .. }), "{error}");
    assert!(error.to_string().contains("found the splits test_hard"), "{error}");
    // Its files may lie anywhere.
    data.place(&task, "test", vec![folder.join("test_hard.jsonl")]);
    assert_eq!(load_split(&data, &task, "test").unwrap().len(), 1);
    assert!(load_split(&data, &task, "train").is_err());
}
