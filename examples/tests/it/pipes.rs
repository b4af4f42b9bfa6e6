//! Readers that close early, as `| head -c 5` does.

use crate::{example, stderr, uniform_model};
use std::io::Read;
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
        let mut child = example(program)
            .arg("--model")
            .arg(&model)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut start = [0; 1];
        let read = child.stdout.as_mut().unwrap().read(&mut start);
        assert!(read.is_ok(), "{program}");
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{program}: {}", stderr(&output));
        assert!(!stderr(&output).contains("panicked"), "{program}: {}", stderr(&output));
    }
}
