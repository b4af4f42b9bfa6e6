//! `compare-results` on files as two evaluations leave them.

use crate::{example, stderr, stdout};
use std::path::{Path, PathBuf};

/// A samples file of the harness's layout with 40 documents, of which these are answered correctly.
fn samples(folder: &Path, model: &str, task: &str, right: impl Fn(usize) -> bool) -> PathBuf {
    let folder = folder.join(model).join("checkpoint");
    std::fs::create_dir_all(&folder).unwrap();
    let line = |i: usize| {
        format!(
            "{{\"doc_id\": {i}, \"doc\": {{\"passage\": {}}}, \"filter\": \"none\", \"metrics\": [\"acc\"], \"doc_hash\": \"{i}\", \
             \"prompt_hash\": \"p\", \"target\": \"0\", \"acc\": {}}}\n",
            i / 4,
            u8::from(right(i))
        )
    };
    let path = folder.join(format!("samples_{task}_2026-01-02T03-04-05.678.jsonl"));
    std::fs::write(&path, (0..40).map(line).collect::<String>()).unwrap();
    path
}

#[test]
fn two_folders_are_compared_task_by_task() {
    let folder = tempfile::tempdir().unwrap();
    for task in ["facts", "sums"] {
        samples(folder.path(), "a", task, |i| i % 4 == 0);
        samples(folder.path(), "b", task, |i| i % 4 < 2 || task == "facts");
    }
    samples(folder.path(), "a", "only_here", |_| true);
    let (json, page) = (folder.path().join("out/all.json"), folder.path().join("out/all.html"));
    let output = example("compare-results")
        .args([folder.path().join("a"), folder.path().join("b")])
        .args(["--cluster", "passage", "--margin", "5", "--json"])
        .arg(&json)
        .arg("--report")
        .arg(&page)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let table = stdout(&output);
    assert!(
        table.starts_with("b scores 75.0 points above a on facts (acc); b scores 25.0 points above a on sums (acc)."),
        "{table}"
    );
    assert!(
        stderr(&output).contains("only_here: only the first folder has samples"),
        "{}",
        stderr(&output)
    );
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let (facts, sums) = (&json["on_documents"][0], &json["on_documents"][1]);
    assert_eq!(
        (&facts["documents"], &facts["clusters"], &facts["test"]),
        (&40.into(), &10.into(), &"clustered_t".into())
    );
    assert_eq!(sums["scores"], serde_json::json!([0.25, 0.5]));
    // Ten clusters that all agree: two of 2^10 patterns.
    assert_eq!(facts["permutation"]["p"], 2.0 / 1024.0);
    assert!(
        std::fs::read_to_string(&page)
            .unwrap()
            .contains("not shown to be equivalent within 5.0 points")
    );
}

#[test]
fn files_of_other_documents_and_names_that_fit_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let a = samples(folder.path(), "a", "facts", |_| true);
    let text = std::fs::read_to_string(&a).unwrap();
    let fewer = folder.path().join("fewer.jsonl");
    std::fs::write(
        &fewer,
        text.lines()
            .take(30)
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
    )
    .unwrap();
    let refused = |arguments: &[&str]| {
        let output = example("compare-results").arg(&a).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        stderr(&output)
    };
    let fewer = fewer.to_string_lossy().into_owned();
    let error = refused(&[&fewer]);
    assert!(
        error.contains("30 are in both, 10 (doc_id 30, 31, 32, 33, 34, ..) only in the first"),
        "{error}"
    );
    let error = refused(&[&a.to_string_lossy()]);
    assert!(error.contains("--names"), "{error}");
    let error = refused(&[&fewer, "--names", "same,same"]);
    assert!(error.contains("two different names"), "{error}");
    let common = example("compare-results")
        .arg(&a)
        .args([&fewer, "--common"])
        .output()
        .unwrap();
    assert!(
        stdout(&common).contains("No difference was found"),
        "{}",
        stderr(&common)
    );
}
