//! An interrupted evaluation resumes from its journal.

use llm_bench::*;
use serde_json::Value;

use crate::toy::{Toy, sums};

#[test]
fn an_interrupted_evaluation_resumes_where_it_stopped() {
    let (root, task) = sums();
    let mut options = EvaluateOptions::new(PromptOptions::new(root.path()));
    options.journal = Some(root.path().join("journal.jsonl"));
    let mut toy = Toy::new("3");
    toy.fail_after = Some(4);
    let tasks = [task];
    assert!(evaluate(&mut toy, &tasks, &options, &mut ()).is_err());
    // A line cut short by the interruption is forgotten, and gone from the file.
    let journal = options.journal.clone().unwrap();
    let written = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, &written[..written.len() - 9]).unwrap();

    let mut rested = Toy::new("3");
    let resumed = evaluate(&mut rested, &tasks, &options, &mut ()).unwrap();
    assert_eq!(rested.asked, 3);
    let lines = std::fs::read_to_string(&journal).unwrap();
    assert!(lines.lines().count() == 6 && lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    options.journal = None;
    let whole = evaluate(&mut Toy::new("3"), &tasks, &options, &mut ()).unwrap();
    assert_eq!(resumed.tasks, whole.tasks);
}

#[test]
fn a_journal_lends_no_answers_to_a_model_that_has_changed() {
    let (root, task) = sums();
    let tasks = [task];
    let mut options = EvaluateOptions::new(PromptOptions::new(root.path()));
    options.journal = Some(root.path().join("journal.jsonl"));
    let run = |text: &str| {
        let mut toy = Toy::new(text);
        let evaluation = evaluate(&mut toy, &tasks, &options, &mut ()).unwrap();
        (toy.asked, evaluation.tasks[0].scores[0].outcomes.clone())
    };
    let right = |index: usize| (0..6).map(|i| f64::from(u8::from(i == index))).collect::<Vec<_>>();
    assert_eq!(run("3"), (6, right(2)));
    // The same name, other weights: every document is asked again.
    assert_eq!(run("4"), (6, right(3)));
    // Both are remembered.
    assert_eq!(run("3"), (0, right(2)));
    assert_eq!(run("4"), (0, right(3)));
}

#[test]
fn a_line_of_a_journal_that_is_whole_but_unreadable_is_named() {
    let (root, task) = sums();
    let mut options = EvaluateOptions::new(PromptOptions::new(root.path()));
    let journal = root.path().join("journal.jsonl");
    options.journal = Some(journal.clone());
    evaluate(&mut Toy::new("3"), std::slice::from_ref(&task), &options, &mut ()).unwrap();
    let written = std::fs::read_to_string(&journal).unwrap();
    let scribbled = written.replacen("\"doc_id\":1", "\"doc\":1", 1);
    std::fs::write(&journal, &scribbled).unwrap();
    let error = evaluate(&mut Toy::new("3"), &[task], &options, &mut ()).unwrap_err();
    assert!(matches!(error, BenchError::JournalLine { line: 2, .. }), "{error}");
    // Nothing is lost of a file that may not be a journal at all.
    assert_eq!(std::fs::read_to_string(&journal).unwrap(), scribbled);
}

#[test]
fn a_damaged_last_line_of_a_journal_is_asked_again() {
    let (root, task) = sums();
    let tasks = [task];
    let mut options = EvaluateOptions::new(PromptOptions::new(root.path()));
    let journal = root.path().join("journal.jsonl");
    options.journal = Some(journal.clone());
    let whole = evaluate(&mut Toy::new("3"), &tasks, &options, &mut ()).unwrap();
    let written = std::fs::read(&journal).unwrap();
    let last = written[..written.len() - 1]
        .iter()
        .rposition(|&byte| byte == b'\n')
        .unwrap()
        + 1;
    // Cut anywhere, also within the first line of all; the newline alone missing; overwritten with zeros.
    let zeros = [&written[..last], &[0; 40], b"\n"].concat();
    let cut = |end: usize| written[..end].to_vec();
    for (damaged, asked) in [
        (cut(last + 3), 1),
        (cut(last + 30), 1),
        (cut(written.len() - 1), 1),
        (zeros, 1),
        (cut(20), 6),
        (cut(4), 6),
    ] {
        std::fs::write(&journal, damaged).unwrap();
        let mut toy = Toy::new("3");
        let resumed = evaluate(&mut toy, &tasks, &options, &mut ()).unwrap();
        assert_eq!((toy.asked, &resumed.tasks), (asked, &whole.tasks));
        let lines = std::fs::read_to_string(&journal).unwrap();
        assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    }
    // A file that is no journal stays as it is.
    for other in ["{\"a\": 1}", "a text without a newline", "x\ny\n"] {
        std::fs::write(&journal, other).unwrap();
        let error = evaluate(&mut Toy::new("3"), &tasks, &options, &mut ()).unwrap_err();
        assert!(matches!(error, BenchError::JournalLine { line: 1, .. }), "{error}");
        assert_eq!(std::fs::read_to_string(&journal).unwrap(), other);
    }
}
