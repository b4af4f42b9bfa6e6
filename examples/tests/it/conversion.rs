//! `convert` and the folder it writes.

use crate::{example, stderr, uniform_model};
use std::process::Stdio;
use std::time::Duration;

#[test]
fn killed_at_any_moment_it_leaves_a_complete_model_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let model = uniform_model(folder.path(), 64);
    for attempt in 0..12 {
        let output = folder.path().join(format!("converted-{attempt}"));
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
        std::thread::sleep(Duration::from_millis(5 * attempt));
        killed.kill().unwrap(); // SIGKILL on Unix
        killed.wait().unwrap();
        if !output.exists() {
            let again = convert().output().unwrap();
            assert!(again.status.success(), "{}", stderr(&again));
        }
        for file in ["config.json", "model.safetensors", "tokenizer.json", "conversion.json"] {
            assert!(output.join(file).is_file(), "{file} of attempt {attempt}");
        }
    }
    let record = std::fs::read_to_string(folder.path().join("converted-0/conversion.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["files"]["model.safetensors"].as_str().map(str::len), Some(64));
}
