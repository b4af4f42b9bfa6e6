//! `compare` and its output folder.

use crate::{example, stderr, wait_until};
use std::path::Path;
use std::process::{Command, Stdio};

/// Two variants, three steps each.
fn compare(output: &Path) -> Command {
    let mut command = example("compare");
    command
        .args(["--quick", "--feed-forward", "swiglu,gated-rational", "--output-path"])
        .arg(output)
        .arg("--report")
        .arg(output.with_extension("html"));
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
fn a_killed_comparison_keeps_its_finished_variants() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("output");
    let mut killed = compare(&output).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the second variant begins", || {
        output.join("gated-rational.partial").exists()
    });
    killed.kill().unwrap(); // SIGKILL on Unix
    killed.wait().unwrap();
    assert!(!output.join("gated-rational").exists());
    let files = [
        "swiglu/outcome.json",
        "swiglu/model/model.safetensors",
        "swiglu/metrics.jsonl",
    ];
    let before = files.map(|file| read(&output.join(file)));

    let resumed = compare(&output).output().unwrap();
    assert!(resumed.status.success(), "{}", stderr(&resumed));
    assert!(stderr(&resumed).contains("swiglu: finished by an earlier run"));
    assert_eq!(files.map(|file| read(&output.join(file))), before);
    assert!(output.join("gated-rational/model/tokenizer.json").is_file());
    assert!(!output.join("gated-rational.partial").exists());
    let page = read(&output.join("report.html"));
    assert_eq!(read(&output.with_extension("html")), page);

    let other = compare(&output).args(["--seed", "7"]).output().unwrap();
    assert!(!other.status.success());
    assert!(stderr(&other).contains("data.world is"), "{}", stderr(&other));
    assert_eq!(files.map(|file| read(&output.join(file))), before);

    std::fs::remove_dir_all(output.join("swiglu")).unwrap();
    std::fs::create_dir(output.join("swiglu")).unwrap();
    std::fs::write(output.join("swiglu/notes.txt"), "mine").unwrap();
    let foreign = compare(&output).output().unwrap();
    assert!(!foreign.status.success());
    assert_eq!(read(&output.join("swiglu/notes.txt")), b"mine");
}

#[test]
fn a_folder_is_one_comparisons_and_a_closed_terminal_does_not_end_it() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("output");
    let (none, closed) = std::io::pipe().unwrap();
    drop(none);
    let errors = closed.try_clone().unwrap();
    let mut first = compare(&output).stdout(closed).stderr(errors).spawn().unwrap();
    wait_until("the first has the folder", || output.join("comparison.lock").exists());
    wait_until("the first has settled", || output.join("comparison.json").exists());
    let second = compare(&output).args(["--seed", "2"]).output().unwrap();
    assert!(!second.status.success());
    assert!(stderr(&second).contains("another comparison"), "{}", stderr(&second));
    assert!(first.wait().unwrap().success());
    assert!(output.join("gated-rational/outcome.json").is_file());
    assert!(output.join("report.html").is_file());
}
