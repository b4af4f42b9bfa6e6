//! `compare` and its output folder.

use crate::{example, stderr, uniform_model, wait_until};
use std::path::Path;
use std::process::{Command, Stdio};

/// Two variants with two seeds, three steps each; the page next to the folder.
fn compare(output: &Path) -> Command {
    compare_with_page(output, &output.with_extension("html"))
}

fn compare_with_page(output: &Path, page: &Path) -> Command {
    let mut command = example("compare");
    command
        .args(["--quick", "--feed-forward", "swiglu,gated-rational", "--output-path"])
        .arg(output)
        .arg("--report")
        .arg(page);
    command
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn what_another_program_left_is_refused_and_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let (checkpoint, metrics) = (
        runs.join("swiglu/checkpoints/step-00000100/model.safetensors"),
        runs.join("swiglu/metrics.jsonl"),
    );
    std::fs::create_dir_all(checkpoint.parent().unwrap()).unwrap();
    std::fs::write(&checkpoint, "weights").unwrap();
    std::fs::write(&metrics, "{}\n").unwrap();
    let refused = compare(&runs).output().unwrap();
    assert!(!refused.status.success());
    assert!(stderr(&refused).contains("found `swiglu`"), "{}", stderr(&refused));
    assert_eq!(
        (read(&checkpoint), read(&metrics)),
        (b"weights".to_vec(), b"{}\n".to_vec())
    );
    assert_eq!(std::fs::read_dir(&runs).unwrap().count(), 1);
}

#[test]
fn a_killed_comparison_keeps_its_finished_cells() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("output");
    let mut killed = compare(&output).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the second cell begins", || {
        output.join("gated-rational/seed-1.partial").exists()
    });
    killed.kill().unwrap(); // SIGKILL on Unix
    killed.wait().unwrap();
    let files = [
        "swiglu/seed-1/outcome.json",
        "swiglu/seed-1/model/model.safetensors",
        "swiglu/seed-1/metrics.jsonl",
    ];
    let before = files.map(|file| read(&output.join(file)));

    let resumed = compare(&output).output().unwrap();
    assert!(resumed.status.success(), "{}", stderr(&resumed));
    assert!(stderr(&resumed).contains("swiglu, seed 1: finished before"));
    assert_eq!(files.map(|file| read(&output.join(file))), before);
    assert!(output.join("gated-rational/seed-2/model/tokenizer.json").is_file());
    assert!(!output.join("gated-rational/seed-1.partial").exists());
    let page = read(&output.join("report.html"));
    assert_eq!(read(&output.with_extension("html")), page);

    let other = compare(&output).args(["--steps", "4"]).output().unwrap();
    assert!(!other.status.success());
    let message = stderr(&other);
    assert!(message.contains("recipe.steps is 3 there and 4"), "{message}");
    assert!(
        message.contains("-- --replace") && message.contains("--output-path"),
        "{message}"
    );
    assert_eq!(files.map(|file| read(&output.join(file))), before);

    let replaced = compare(&output).args(["--steps", "4", "--replace"]).output().unwrap();
    assert!(replaced.status.success(), "{}", stderr(&replaced));
    assert!(!stderr(&replaced).contains("finished before"));
    assert_ne!(read(&output.join(files[0])), before[0]);
    assert!(output.join("gated-rational/seed-2/outcome.json").is_file());

    std::fs::remove_dir_all(output.join("swiglu/seed-1")).unwrap();
    std::fs::create_dir(output.join("swiglu/seed-1")).unwrap();
    std::fs::write(output.join("swiglu/seed-1/notes.txt"), "mine").unwrap();
    let foreign = compare(&output).args(["--steps", "4"]).output().unwrap();
    assert!(stderr(&foreign).contains("seed-1"), "{}", stderr(&foreign));
    assert!(!foreign.status.success());
    assert_eq!(read(&output.join("swiglu/seed-1/notes.txt")), b"mine");
}

#[test]
fn a_folder_is_one_comparisons_and_a_closed_terminal_does_not_end_it() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("output");
    std::fs::create_dir(&output).unwrap();
    let lock = std::fs::File::create(output.join("study.lock")).unwrap();
    lock.lock().unwrap();
    let second = compare(&output).output().unwrap();
    assert!(!second.status.success());
    assert!(stderr(&second).contains("another process"), "{}", stderr(&second));
    drop(lock);

    let (none, closed) = std::io::pipe().unwrap();
    drop(none);
    let errors = closed.try_clone().unwrap();
    // The page in a folder of its own, which lies in the output folder.
    let page = output.join("pages/report.html");
    let unseen = compare_with_page(&output, &page).stdout(closed).stderr(errors).status();
    assert!(unseen.unwrap().success());
    assert!(output.join("gated-rational/seed-2/outcome.json").is_file());
    assert_eq!(read(&output.join("report.html")), read(&page));
}

/// A task whose answers take all 64 positions of its model.
const LONG_ANSWERS: &str = "
task: long_answers
dataset_path: mine/long
output_type: generate_until
test_split: test
doc_to_text: '{{question}}'
doc_to_target: '{{answer}}'
generation_kwargs: {max_gen_toks: 64}
metric_list: [{metric: exact_match}]
";

#[test]
fn a_task_that_does_not_suit_the_model_is_refused_before_training() {
    let folder = tempfile::tempdir().unwrap();
    let model = uniform_model(folder.path(), 64);
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(path("data/mine/long/default")).unwrap();
    std::fs::write(
        path("data/mine/long/default/test.jsonl"),
        r#"{"question": "q", "answer": "a"}"#,
    )
    .unwrap();
    std::fs::write(path("long.yaml"), LONG_ANSWERS).unwrap();
    let turns = r#"{"messages":[{"role":"user","content":"1?"},{"role":"assistant","content":"3."}]}"#;
    std::fs::write(path("train.jsonl"), format!("{turns}\n{turns}\n")).unwrap();
    let refused = example("compare")
        .current_dir(folder.path())
        .arg("--model")
        .arg(&model)
        .args([
            "--data",
            "train.jsonl",
            "--held-out",
            "train.jsonl",
            "--data-dir",
            "data",
        ])
        .args([
            "--tasks",
            "long.yaml",
            "--sequence-length",
            "64",
            "--output-path",
            "output",
        ])
        .output()
        .unwrap();
    assert!(!refused.status.success());
    assert!(stderr(&refused).contains("max_gen_toks is 64"), "{}", stderr(&refused));
    assert!(!path("output/study.json").exists() && !path("output/swiglu").exists());
}

#[test]
fn what_is_read_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("train.jsonl"), "").unwrap();
    let refused = example("compare")
        .current_dir(folder.path())
        .args(["--model", "hub/model", "--data", "train.jsonl", "--tasks", "arc_easy"])
        .args(["--output-path", ".", "--replace"])
        .output()
        .unwrap();
    assert!(!refused.status.success());
    assert!(
        stderr(&refused).contains("--replace: train.jsonl"),
        "{}",
        stderr(&refused)
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
