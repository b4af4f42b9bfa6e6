//! `chat` and `generate`.

use crate::{example, stderr, stdout, uniform_model};
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

/// `chat`, with `said` as its whole input.
fn chat(model: &Path, arguments: &[&str], said: &[u8]) -> Output {
    let mut child = example("chat")
        .arg("--model")
        .arg(model)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(said).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

#[test]
fn each_answer_has_random_numbers_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let model = uniform_model(folder.path(), 512);
    let arguments = ["--max-new-tokens", "12", "--temperature", "1", "--top-p", "1"];
    let seeded = [&arguments[..], &["--seed", "3"]].concat();
    let output = chat(&model, &seeded, b"Hi\nHi\n");
    let answers = stdout(&output);
    let answers: Vec<&str> = answers.split("> ").collect();
    assert_eq!(answers.len(), 4, "{answers:?}");
    assert_ne!(answers[1], answers[2]);
    assert_eq!(stdout(&chat(&model, &seeded, b"Hi\nHi\n")), stdout(&output));
    assert!(!stderr(&output).contains("--seed"));

    let random = chat(&model, &arguments, b"Hi\n");
    let printed = stderr(&random);
    let seed = printed.lines().find_map(|line| line.strip_prefix("--seed ")).unwrap();
    let again = chat(&model, &[&arguments[..], &["--seed", seed]].concat(), b"Hi\n");
    assert_eq!(stdout(&again), stdout(&random));
}

#[test]
fn a_long_conversation_forgets_its_beginning_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let model = uniform_model(folder.path(), 160);
    let arguments = ["--max-new-tokens", "8", "--system", "Be brief."];
    let output = chat(&model, &arguments, "How are you today?\n".repeat(6).as_bytes());
    assert!(
        stderr(&output).contains("oldest of its exchanges are forgotten"),
        "{}",
        stderr(&output)
    );
    assert_eq!(stdout(&output).matches("> ").count(), 7);

    let long = [&b"x".repeat(400)[..], b"\nHi\n"].concat();
    let output = chat(&model, &arguments, &long);
    assert!(stderr(&output).contains("shorten it"), "{}", stderr(&output));
}

#[test]
fn neither_an_empty_line_nor_one_in_latin_1_ends_the_conversation() {
    let folder = tempfile::tempdir().unwrap();
    let model = uniform_model(folder.path(), 512);
    let output = chat(
        &model,
        &["--max-new-tokens", "4", "--seed", "1"],
        b"\n  \ncaf\xe9\nHi\n",
    );
    assert!(
        stderr(&output).contains("expected a line in UTF-8"),
        "{}",
        stderr(&output)
    );
    // Asked five times, the end of the input included, and answered once.
    assert_eq!(stdout(&output).matches("> ").count(), 5);
}

#[test]
fn an_empty_prompt_begins_a_text() {
    let folder = tempfile::tempdir().unwrap();
    let model = uniform_model(folder.path(), 64);
    let output = example("generate")
        .arg("--model")
        .arg(&model)
        .args(["--prompt", "", "--max-new-tokens", "3"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}
