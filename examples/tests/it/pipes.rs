//! Readers that close early, as `| head -c 5` does.

use crate::{example, stderr, uniform_model};
use std::process::Stdio;

#[test]
fn generation_ends_quietly_when_nobody_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let model = uniform_model(folder.path(), 4096);
    for (program, arguments) in [
        (
            "generate",
            &[
                "--prompt",
                "",
                "--max-new-tokens",
                "4000",
                "--temperature",
                "1",
                "--seed",
                "1",
            ][..],
        ),
        ("chat", &["--say", "Hi", "--max-new-tokens", "4000", "--seed", "1"]),
    ] {
        let (reader, closed) = std::io::pipe().unwrap();
        drop(reader);
        let child = example(program)
            .arg("--model")
            .arg(&model)
            .args(arguments)
            .stdout(closed)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{program}: {}", stderr(&output));
        assert!(!stderr(&output).contains("panicked"), "{program}: {}", stderr(&output));
    }
}
