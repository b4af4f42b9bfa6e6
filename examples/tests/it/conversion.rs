//! `convert` and the folder it writes.

use crate::{example, stderr, uniform_model, wait_until};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// What lies in a folder under names that begin like this.
fn names_from(folder: &Path, start: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(start)).collect()
}

#[test]
fn killed_at_any_moment_it_leaves_a_complete_model_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let model = uniform_model(folder.path(), 64);
    for attempt in 0..12 {
        let name = format!("converted-{attempt}.model");
        let output = folder.path().join(&name);
        let convert = || {
            let mut command = example("convert");
            command
                .arg("--model")
                .arg(&model)
                .arg("--exact")
                .arg("--output")
                .arg(&output);
            command
        };
        let mut killed = convert().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("it saves", || !names_from(folder.path(), &name).is_empty());
        std::thread::sleep(Duration::from_micros(300 * attempt));
        killed.kill().unwrap(); // SIGKILL on Unix
        killed.wait().unwrap();
        // The model, or what was to become it.
        let partial = format!("{name}.partial-");
        let left = names_from(folder.path(), &name);
        assert!(
            left.iter().all(|left| *left == name || left.starts_with(&partial)),
            "{left:?}"
        );
        if !output.exists() {
            let again = convert().output().unwrap();
            assert!(again.status.success(), "{}", stderr(&again));
        }
        for file in ["config.json", "model.safetensors", "tokenizer.json", "conversion.json"] {
            assert!(output.join(file).is_file(), "{file} of attempt {attempt}");
        }
    }
    let record = std::fs::read_to_string(folder.path().join("converted-0.model/conversion.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["files"]["model.safetensors"].as_str().map(str::len), Some(64));
}
