//! Filters that are applied to an answer before it is compared.

use llm_bench::task::{FilterChain, FilterStep};
use llm_bench::*;

use crate::quiz::data_root;
use crate::toy::{Toy, sums};

#[test]
fn filters_and_normalisation_follow_lm_eval() {
    let root = data_root("{\"question\": \"q\", \"answer\": \"work\\n#### 1,234.\"}\n");
    let mut gsm8k = Task::builtin("gsm8k").unwrap();
    gsm8k.dataset_path = "synthetic/quiz".to_owned();
    gsm8k.dataset_name = None;
    gsm8k.num_fewshot = None;
    let options = EvaluateOptions::new(PromptOptions::new(root.path()));
    let run = |text: &str| {
        let evaluation = evaluate(&mut Toy::new(text), &[gsm8k.clone()], &options, &mut ()).unwrap();
        let task = &evaluation.tasks[0];
        let filtered: Vec<String> = task
            .samples
            .iter()
            .filter_map(|sample| sample.filtered.clone())
            .collect();
        (
            filtered,
            task.scores.iter().map(|score| score.value).collect::<Vec<_>>(),
        )
    };
    assert_eq!(
        run("so #### 1234"),
        (vec!["1234".into(), "1234".into()], vec![1.0, 1.0])
    );
    assert_eq!(
        run("first 7, then $1,234."),
        (vec!["[invalid]".into(), "$1,234.".into()], vec![0.0, 1.0])
    );
    assert_eq!(
        run("nothing"),
        (vec!["[invalid]".into(), "[invalid]".into()], vec![0.0, 0.0])
    );
}

/// Makes the first metric delete these expressions before it compares.
fn ignore(task: &mut Task, expressions: &[&str]) {
    let options = &mut task.metric_list[0].options;
    options.insert("regexes_to_ignore".to_owned(), expressions.into());
}

/// What a chain of one filter makes of an answer, and whether it then equals `3`.
fn filtered(step: &str, answer: &str) -> (String, f64) {
    let (root, mut task) = sums();
    task.generation_kwargs.until = None;
    task.fewshot_delimiter = "|".to_owned();
    task.filter_list = serde_yaml_ng::from_str(&format!("[{{name: own, filter: [{step}]}}]")).unwrap();
    ignore(&mut task, &[r"\.$", r"[]$]"]);
    let options = EvaluateOptions::new(PromptOptions::new(root.path()));
    let evaluation = evaluate(&mut Toy::new(answer), &[task], &options, &mut ()).unwrap();
    let sample = &evaluation.tasks[0].samples[2];
    (sample.filtered.clone().unwrap(), sample.metrics[0].1.outcome)
}

#[test]
fn filters_read_expressions_as_python_does() {
    let regex = |pattern: &str| format!("{{function: regex, regex_pattern: '{pattern}', fallback: none}}");
    let strip = "{function: remove_whitespace}";
    assert_eq!(filtered(strip, " \n 3 \n"), ("3".to_owned(), 1.0));
    assert_eq!(filtered(strip, "\u{1c}3\u{a0}\u{1f}"), ("3".to_owned(), 1.0));
    // `$` is the end, and the place before a newline that ends the text, but no other.
    assert_eq!(filtered(&regex(r"(\d)$"), "4 3\n").0, "3");
    assert_eq!(filtered(&regex(r"(\d)$"), "4\n3 \n").0, "none");
    assert_eq!(filtered(&regex(r"(?m)(\d)$"), "4\n3 \n").0, "4");
    assert_eq!(filtered(&regex(r"(\d)\Z"), "3\n").0, "none");
    assert_eq!(filtered(&regex(r"[$](\d)"), "$5").0, "5");
    assert_eq!(filtered(&regex(r"\$(\d)"), "$5").0, "5");
    // Of several groups that are all empty the fallback is left, of one the empty text.
    assert_eq!(filtered(&regex("x(a?)(b?)"), "x").0, "none");
    assert_eq!(filtered(&regex("x(a?)"), "x").0, "");
    // Ignored: a point at the end, and `]` and `$` anywhere.
    assert_eq!(filtered("{function: take_first}", "3$]").1, 1.0);
    assert_eq!(filtered("{function: take_first}", "3.").1, 1.0);
    assert_eq!(filtered(strip, "3.\n").1, 1.0);
    let (_, newline_stays) = filtered("{function: take_first}", "3.\n");
    assert_eq!(newline_stays, 0.0);
}

#[test]
fn a_bad_expression_is_refused_before_the_model_is_asked() {
    let (root, mut task) = sums();
    ignore(&mut task, &["("]);
    let options = EvaluateOptions::new(PromptOptions::new(root.path()));
    let mut toy = Toy::new("3");
    let error = evaluate(&mut toy, &[task], &options, &mut ()).unwrap_err().to_string();
    assert!(error.contains("`metric_list`"), "{error}");
    assert_eq!(toy.asked, 0);
}

#[test]
fn an_expression_that_takes_too_long_is_an_error_with_its_name() {
    let answer = "word ".repeat(60) + "!";
    let (root, mut task) = sums();
    task.generation_kwargs.until = None;
    let slow = r"((?=\S)\S+\s*)+\.$".to_owned();
    let mut ignoring = task.clone();
    ignore(&mut ignoring, &[&slow]);
    task.filter_list = vec![FilterChain {
        name: "slow".to_owned(),
        filter: vec![FilterStep::Regex {
            regex_pattern: slow.clone(),
            group_select: 0,
            fallback: "[invalid]".to_owned(),
        }],
    }];
    for (task, key) in [(ignoring, "metric_list"), (task, "filter_list")] {
        let options = EvaluateOptions::new(PromptOptions::new(root.path()));
        let error = evaluate(&mut Toy::new(&answer), &[task], &options, &mut ()).unwrap_err();
        let named =
            matches!(&error, BenchError::Match { doc_id: 0, field, pattern, .. } if *field == key && *pattern == slow);
        assert!(named, "{error}");
    }
}
