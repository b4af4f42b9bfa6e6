//! A whole evaluation by a model of a few lines.

use llm_bench::task::{FilterChain, FilterStep};
use llm_bench::*;
use serde_json::{Value, json};

/// Scores by length, answers every text with the same words, and counts what it is asked.
struct Toy {
    text: String,
    asked: usize,
    fail_after: Option<usize>,
}

impl Toy {
    fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            asked: 0,
            fail_after: None,
        }
    }
}

impl LanguageModel for Toy {
    fn loglikelihood(&mut self, requests: &[LoglikelihoodRequest]) -> Result<Vec<Loglikelihood>, BenchError> {
        let score = |r: &LoglikelihoodRequest| Loglikelihood {
            sum: -(r.continuation.len() as f64),
            is_greedy: false,
        };
        Ok(requests.iter().map(score).collect())
    }

    fn generate_until(&mut self, requests: &[GenerationRequest]) -> Result<Vec<String>, BenchError> {
        self.asked += requests.len();
        if self.fail_after.is_some_and(|limit| self.asked > limit) {
            return Err(BenchError::Model("out of breath".into()));
        }
        Ok(requests
            .iter()
            .map(|request| cut_at_stops(&self.text, &request.until))
            .collect())
    }

    fn apply_chat_template(&self, turns: &[Turn], _open: bool) -> Result<ChatPrompt, BenchError> {
        let turns = turns.iter().map(|turn| format!("[{}]{}", turn.role, turn.content));
        Ok(ChatPrompt {
            text: turns.collect(),
            special: vec![],
        })
    }

    fn description(&self) -> ModelDescription {
        ModelDescription {
            name: "toy://model".to_owned(),
            max_length: 2048,
            eot_token_id: Some(2),
            num_parameters: Some(0),
            eos_token: Some(("<end>".to_owned(), 2)),
            chat_template: Some("{{ messages }}".to_owned()),
            ..Default::default()
        }
    }

    /// Its one text is all its knowledge.
    fn fingerprint(&self) -> String {
        self.text.clone()
    }
}

fn sums() -> (tempfile::TempDir, Task) {
    let line = |i: usize| format!("{{\"question\": \"{i} + 1 =\", \"answer\": \"{}\"}}\n", i + 1);
    let root = crate::tasks::root(&(0..6).map(line).collect::<String>());
    let yaml = "
task: sums
dataset_path: synthetic/quiz
output_type: generate_until
test_split: test
doc_to_text: '{{question}}'
doc_to_target: '{{answer}}'
generation_kwargs: {until: ['<|im_end|>'], do_sample: false, max_gen_toks: 8}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
metadata: {version: 1}
";
    (root, Task::from_yaml(yaml, "sums").unwrap())
}

#[test]
fn scores_samples_and_files_have_lm_evals_layout() {
    let (root, task) = sums();
    let options = EvaluateOptions::new(PromptOptions::new(root.path()));
    let evaluation = evaluate(&mut Toy::new("3<|im_end|>junk"), &[task], &options, &mut ()).unwrap();
    let score = evaluation.tasks[0].score(Metric::ExactMatch).unwrap();
    assert_eq!((score.n, score.key().as_str()), (6, "exact_match,none"));
    assert!((score.value - 1.0 / 6.0).abs() < 1e-12);
    assert_eq!(
        evaluation.tasks[0].outcomes(Metric::ExactMatch, "none"),
        [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    );

    let output = tempfile::tempdir().unwrap();
    let files = evaluation.write(output.path(), true).unwrap();
    assert!(files.results.starts_with(output.path().join("toy__model")));
    let results: Value = serde_json::from_slice(&std::fs::read(&files.results).unwrap()).unwrap();
    assert_eq!(results["results"]["sums"]["sample_len"], 6);
    assert!(results["results"]["sums"]["exact_match_stderr,none"].as_f64().unwrap() > 0.0);
    assert_eq!(results["n-samples"]["sums"]["original"], 6);
    let samples = std::fs::read_to_string(&files.samples[0]).unwrap();
    let third: Value = serde_json::from_str(samples.lines().nth(2).unwrap()).unwrap();
    assert_eq!(third["filtered_resps"][0], "3");
    assert_eq!(third["exact_match"], 1.0);
    assert_eq!(third["arguments"]["gen_args_0"]["arg_0"], "2 + 1 =");
    assert_eq!(third["target_hash"].as_str().unwrap().len(), 64);
}

/// A choice between `yes, very` and `no`, asked of [`Toy`], which prefers the shorter.
fn choices() -> (tempfile::TempDir, Task) {
    let root = crate::tasks::root("{\"question\": \"q\", \"choices\": [\"yes, very\", \"no\"], \"answer\": 1}\n");
    let yaml = "
task: units
task_alias: Units
dataset_path: synthetic/quiz
output_type: multiple_choice
test_split: test
doc_to_text: '{{question}}'
doc_to_choice: '{{choices}}'
doc_to_target: '{{answer}}'
metric_list: [{metric: acc}, {metric: acc_norm}]
";
    (root, Task::from_yaml(yaml, "units").unwrap())
}

/// The results file and the samples of the first task.
fn files(root: &tempfile::TempDir, task: Task, chat: bool) -> (Value, Vec<Value>) {
    let mut options = EvaluateOptions::new(PromptOptions::new(root.path()));
    options.prompts.apply_chat_template = chat;
    let evaluation = evaluate(&mut Toy::new("3"), &[task], &options, &mut ()).unwrap();
    let output = tempfile::tempdir().unwrap();
    let files = evaluation.write(output.path(), true).unwrap();
    let samples = std::fs::read_to_string(&files.samples[0]).unwrap();
    (
        serde_json::from_slice(&std::fs::read(&files.results).unwrap()).unwrap(),
        samples
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// What every line of a samples file holds beside the metrics' values.
const SAMPLE: [&str; 11] = [
    "arguments",
    "doc",
    "doc_hash",
    "doc_id",
    "filter",
    "filtered_resps",
    "metrics",
    "prompt_hash",
    "resps",
    "target",
    "target_hash",
];

fn sample_keys(metrics: &[&'static str]) -> Vec<&'static str> {
    let mut keys = [&SAMPLE[..], metrics].concat();
    keys.sort_unstable();
    keys
}

#[test]
fn a_results_file_has_lm_evals_keys() {
    let (root, task) = choices();
    let (results, _) = files(&root, task, true);
    let expected = [
        "chat_template",
        "chat_template_sha",
        "config",
        "configs",
        "data",
        "date",
        "eot_token_id",
        "fewshot_as_multiturn",
        "group_subtasks",
        "higher_is_better",
        "llm_bench_version",
        "max_length",
        "model_name",
        "model_name_sanitized",
        "model_source",
        "n-samples",
        "n-shot",
        "results",
        "system_instruction",
        "system_instruction_sha",
        "task_hashes",
        "tokenizer_bos_token",
        "tokenizer_eos_token",
        "tokenizer_pad_token",
        "total_evaluation_time_seconds",
        "versions",
        "warnings",
    ];
    assert_eq!(keys(&results), expected);
    let task = &results["results"]["units"];
    let metrics = ["acc,none", "acc_norm,none", "acc_norm_stderr,none", "acc_stderr,none"];
    assert_eq!(keys(task), [&metrics[..], &["alias", "name", "sample_len"]].concat());
    assert_eq!(
        (&task["name"], &task["alias"], &task["acc_stderr,none"]),
        (&json!("units"), &json!("Units"), &json!("N/A"))
    );
    assert_eq!(results["group_subtasks"], json!({}));
    assert_eq!(results["versions"]["units"], "Yaml");
    assert_eq!(results["tokenizer_eos_token"], json!(["<end>", "2"]));
    assert_eq!(results["chat_template"], "{{ messages }}");
    assert_eq!(results["chat_template_sha"].as_str().unwrap().len(), 64);
    assert_eq!(results["model_name_sanitized"], "toy__model");
    assert!(results["date"].as_f64().unwrap() > 1.7e9);
    let (root, task) = sums();
    let (results, _) = files(&root, task, false);
    // The template counts only where it was applied.
    assert_eq!(
        (&results["chat_template"], &results["chat_template_sha"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(results["versions"]["sums"], json!(1));
    assert_eq!(Task::builtin("gsm8k").unwrap().version(), json!(3.0));
}

#[test]
fn a_line_of_samples_has_lm_evals_keys() {
    let (root, task) = choices();
    let (_, lines) = files(&root, task, false);
    assert_eq!(keys(&lines[0]), sample_keys(&["acc", "acc_norm"]));
    assert_eq!(
        lines[0]["arguments"]["gen_args_1"],
        json!({"arg_0": "q", "arg_1": " no"})
    );
    assert_eq!(lines[0]["resps"], json!([[["-10.0", "False"]], [["-3.0", "False"]]]));
    assert_eq!(
        lines[0]["filtered_resps"],
        json!([["-10.0", "False"], ["-3.0", "False"]])
    );
    assert_eq!(
        (&lines[0]["target"], &lines[0]["metrics"]),
        (&json!("1"), &json!(["acc", "acc_norm"]))
    );

    let (root, mut task) = sums();
    let (_, lines) = files(&root, task.clone(), false);
    assert_eq!(keys(&lines[0]), sample_keys(&["exact_match"]));
    assert_eq!(lines[0]["resps"], json!([["3"]]));
    // The settings as the task has them, or the original's.
    let settings = &lines[0]["arguments"]["gen_args_0"]["arg_1"];
    assert_eq!(
        settings,
        &json!({"until": ["<|im_end|>"], "do_sample": false, "max_gen_toks": 8})
    );
    task.generation_kwargs = Default::default();
    let (_, lines) = files(&root, task.clone(), false);
    let default = json!({"until": ["\n\n"], "do_sample": false, "temperature": 0.0, "max_gen_toks": 256});
    assert_eq!(lines[0]["arguments"]["gen_args_0"]["arg_1"], default);
    task.generation_kwargs.do_sample = Some(false);
    let (_, lines) = files(&root, task, false);
    let without_stops = json!({"until": ["\n\n"], "do_sample": false});
    assert_eq!(lines[0]["arguments"]["gen_args_0"]["arg_1"], without_stops);
}

#[test]
fn two_tasks_of_one_name_are_refused_before_anything_is_asked() {
    let (root, task) = sums();
    let options = EvaluateOptions::new(PromptOptions::new(root.path()));
    let mut toy = Toy::new("3");
    let error = evaluate(&mut toy, &[task.clone(), task], &options, &mut ()).unwrap_err();
    assert!(
        matches!(error, BenchError::DuplicateTask { ref task } if task == "sums"),
        "{error}"
    );
    assert_eq!(toy.asked, 0);
}

#[test]
fn an_interrupted_evaluation_goes_on_where_it_stopped() {
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
        (toy.asked, evaluation.tasks[0].outcomes(Metric::ExactMatch, "none"))
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
    assert!(matches!(error, BenchError::DataLine { line: 2, .. }), "{error}");
    // Nothing is lost of a file that may not be a journal at all.
    assert_eq!(std::fs::read_to_string(&journal).unwrap(), scribbled);
}

#[test]
fn progress_is_told_of_every_batch() {
    struct Heard(Vec<usize>);
    impl Progress for Heard {
        fn documents(&mut self, _: &str, done: usize, _: usize) {
            self.0.push(done);
        }
    }
    let (root, task) = sums();
    let mut options = EvaluateOptions::new(PromptOptions::new(root.path()));
    options.batch_size = 4;
    let mut heard = Heard(Vec::new());
    evaluate(&mut Toy::new(""), &[task], &options, &mut heard).unwrap();
    assert_eq!(heard.0, [0, 4, 6]);
}

#[test]
fn filters_and_normalisation_follow_lm_eval() {
    let root = crate::tasks::root("{\"question\": \"q\", \"answer\": \"work\\n#### 1,234.\"}\n");
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

/// What a chain of one filter makes of an answer, and whether it then equals `3`.
fn filtered(step: &str, answer: &str) -> (String, f64) {
    let (root, mut task) = sums();
    task.generation_kwargs.until = None;
    task.fewshot_delimiter = "|".to_owned();
    task.filter_list = serde_yaml_ng::from_str(&format!("[{{name: own, filter: [{step}]}}]")).unwrap();
    task.metric_list[0].regexes_to_ignore = vec![r"\.$".to_owned(), r"[]$]".to_owned()];
    let options = EvaluateOptions::new(PromptOptions::new(root.path()));
    let evaluation = evaluate(&mut Toy::new(answer), &[task], &options, &mut ()).unwrap();
    let sample = &evaluation.tasks[0].samples[2];
    (sample.filtered.clone().unwrap(), sample.metrics[0].1)
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
fn acc_norm_divides_by_code_points() {
    // Four code points in eight bytes against five in five: the continuations score -9 and -6.
    let root = crate::tasks::root(
        "{\"question\": \"q\", \"choices\": [\"\u{e9}\u{e9}\u{e9}\u{e9}\", \"abcde\"], \"answer\": 1}\n",
    );
    let yaml = "
task: units
dataset_path: synthetic/quiz
output_type: multiple_choice
test_split: test
doc_to_text: '{{question}}'
doc_to_choice: '{{choices}}'
doc_to_target: '{{answer}}'
metric_list: [{metric: acc}, {metric: acc_norm}, {metric: acc_bytes}]
";
    let task = Task::from_yaml(yaml, "units").unwrap();
    let options = EvaluateOptions::new(PromptOptions::new(root.path()));
    let evaluation = evaluate(&mut Toy::new(""), &[task], &options, &mut ()).unwrap();
    let values: Vec<f64> = evaluation.tasks[0].scores.iter().map(|score| score.value).collect();
    // -9/4 against -6/5: the second; -9/8 against -6/5: the first.
    assert_eq!(values, [1.0, 1.0, 0.0]);
}

#[test]
fn a_bad_expression_is_refused_before_the_model_is_asked() {
    let (root, mut task) = sums();
    task.metric_list[0].regexes_to_ignore.push("(".to_owned());
    let options = EvaluateOptions::new(PromptOptions::new(root.path()));
    let mut toy = Toy::new("3");
    let error = evaluate(&mut toy, &[task], &options, &mut ()).unwrap_err().to_string();
    assert!(error.contains("`metric_list`"), "{error}");
    assert_eq!(toy.asked, 0);
}

/// An evaluation of the sums from `first` on, `count` of them.
fn evaluated_sums(first: usize, count: usize) -> TaskEvaluation {
    let (_, task) = sums();
    let line = |i: usize| format!("{{\"question\": \"{i} + 1 =\", \"answer\": \"{}\"}}\n", i + 1);
    let root = crate::tasks::root(&(first..first + count).map(line).collect::<String>());
    let options = EvaluateOptions::new(PromptOptions::new(root.path()));
    let mut evaluation = evaluate(&mut Toy::new("3"), &[task], &options, &mut ()).unwrap();
    evaluation.tasks.remove(0)
}

#[test]
fn different_documents_are_not_paired() {
    let paired = |other: &TaskEvaluation| {
        paired_outcomes(&[&evaluated_sums(0, 6), other], Metric::ExactMatch, "none").map_err(|error| match error {
            BenchError::DifferentDocuments { task, index, .. } => (task, index),
            error => panic!("{error}"),
        })
    };
    let right = vec![0.0, 0.0, 1.0, 0.0, 0.0, 0.0];
    assert_eq!(paired(&evaluated_sums(0, 6)), Ok(vec![right.clone(), right]));
    // Other documents, the same in another order, and fewer of them.
    assert_eq!(paired(&evaluated_sums(1, 6)), Err(("sums".to_owned(), 0)));
    let mut shuffled = evaluated_sums(0, 6);
    shuffled.samples.swap(3, 4);
    assert_eq!(paired(&shuffled), Err(("sums".to_owned(), 3)));
    assert_eq!(paired(&evaluated_sums(0, 5)), Err(("sums".to_owned(), 5)));
    assert_eq!(
        paired_outcomes(&[], Metric::Acc, "none").unwrap(),
        Vec::<Vec<f64>>::new()
    );
}

/// Gives every choice of a document the next of these sums.
struct Sums(Vec<f64>);

impl LanguageModel for Sums {
    fn loglikelihood(&mut self, requests: &[LoglikelihoodRequest]) -> Result<Vec<Loglikelihood>, BenchError> {
        let sums = self.0.drain(..requests.len());
        Ok(sums.map(|sum| Loglikelihood { sum, is_greedy: false }).collect())
    }

    fn generate_until(&mut self, _: &[GenerationRequest]) -> Result<Vec<String>, BenchError> {
        Err(BenchError::Model("no text".into()))
    }

    fn apply_chat_template(&self, _: &[Turn], _: bool) -> Result<ChatPrompt, BenchError> {
        Err(BenchError::Model("no chat template".into()))
    }

    fn description(&self) -> ModelDescription {
        ModelDescription {
            name: "sums".to_owned(),
            max_length: 2048,
            ..Default::default()
        }
    }

    fn fingerprint(&self) -> String {
        "sums".to_owned()
    }
}

#[test]
fn what_is_not_a_number_is_no_answer() {
    let (root, task) = choices();
    let mut options = EvaluateOptions::new(PromptOptions::new(root.path()));
    let journal = root.path().join("journal.jsonl");
    options.journal = Some(journal.clone());
    let tasks = [task];
    for odd in [f64::NAN, f64::INFINITY] {
        let error = evaluate(&mut Sums(vec![-1.0, odd]), &tasks, &options, &mut ()).unwrap_err();
        let named = matches!(&error, BenchError::NotANumber { task, doc_id: 0, choice: 1, .. } if task == "units");
        assert!(named, "{error}");
        assert_eq!(std::fs::read_to_string(&journal).unwrap(), "");
    }
    // A choice that the model excludes is an answer, and the journal remembers it.
    let first = evaluate(&mut Sums(vec![f64::NEG_INFINITY, -900.0]), &tasks, &options, &mut ()).unwrap();
    assert_eq!(first.tasks[0].score(Metric::AccNorm).unwrap().value, 1.0);
    let resumed = evaluate(&mut Sums(vec![]), &tasks, &options, &mut ()).unwrap();
    assert_eq!(resumed.tasks, first.tasks);
}

/// The sums, and a second task with something wrong.
fn with_second(change: impl FnOnce(&mut Task)) -> (tempfile::TempDir, [Task; 2]) {
    let (root, first) = sums();
    let mut second = first.clone();
    second.task = "second".to_owned();
    change(&mut second);
    (root, [first, second])
}

/// The error of an evaluation, and how many documents were asked about before it.
fn fails(root: &tempfile::TempDir, tasks: &[Task]) -> (String, usize) {
    let options = EvaluateOptions::new(PromptOptions::new(root.path()));
    let mut toy = Toy::new("3");
    let error = evaluate(&mut toy, tasks, &options, &mut ()).unwrap_err().to_string();
    let chat = |_: &[Turn], _: bool| -> Result<ChatPrompt, BenchError> { unreachable!() };
    let checked = check_tasks(tasks, &options.prompts, &chat, 2048).unwrap_err();
    assert_eq!(checked.to_string(), error);
    (error, toy.asked)
}

#[test]
fn a_mistake_in_the_last_task_is_found_before_the_first_request() {
    type Change = fn(&mut Task);
    let cases: [(Change, &str); 7] = [
        (|task| task.test_split = Some("absent".to_owned()), "`absent`"),
        (
            |task| {
                task.fewshot_split = Some("shots".to_owned());
                task.num_fewshot = Some(1);
            },
            "`shots`",
        ),
        (|task| task.num_fewshot = Some(7), "7 few-shot examples"),
        (
            |task| task.metric_list[0].regexes_to_ignore.push("(".to_owned()),
            "`metric_list`",
        ),
        (
            |task| task.generation_kwargs.max_gen_toks = Some(2048),
            "max_gen_toks is 2048",
        ),
        (
            |task| task.doc_to_text = "{{ 1 // (5 - question[:1] | int) }}".to_owned(),
            "document 5",
        ),
        (
            |task| {
                task.filter_list =
                    serde_yaml_ng::from_str("[{name: a, filter: [{function: regex, regex_pattern: '['}]}]").unwrap()
            },
            "`filter_list`: the expression `[`",
        ),
    ];
    for (change, word) in cases {
        let (root, tasks) = with_second(change);
        let (error, asked) = fails(&root, &tasks);
        assert!(error.contains("second") && error.contains(word), "{word}: {error}");
        assert_eq!(asked, 0, "{word}");
    }
}

#[test]
fn results_of_a_task_are_written_when_it_is_done() {
    let (root, mut tasks) = with_second(|_| {});
    // Names that would lead elsewhere stay in the folder.
    tasks[0].task = "../../up".to_owned();
    tasks[1].task = "..".to_owned();
    let output = root.path().join("results");
    let mut options = EvaluateOptions::new(PromptOptions::new(root.path()));
    options.output = Some(OutputOptions {
        directory: output.clone(),
        log_samples: true,
    });
    let mut toy = Toy::new("3");
    toy.fail_after = Some(8);
    assert!(evaluate(&mut toy, &tasks, &options, &mut ()).is_err());
    let folder = output.join("toy__model");
    let names = |prefix: &str| -> Vec<String> {
        let entries = std::fs::read_dir(&folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(prefix)).collect()
    };
    assert_eq!(
        (
            names("results_").len(),
            names("samples_..__..__up_").len(),
            names("").len()
        ),
        (1, 1, 2)
    );
    let results = std::fs::read(folder.join(&names("results_")[0])).unwrap();
    let results: Value = serde_json::from_slice(&results).unwrap();
    assert_eq!(keys(&results["results"]), ["../../up"]);

    let evaluation = evaluate(&mut Toy::new("3"), &tasks, &options, &mut ()).unwrap();
    let files = evaluation.files(&output, true);
    let results: Value = serde_json::from_slice(&std::fs::read(&files.results).unwrap()).unwrap();
    assert_eq!(keys(&results["results"]), ["..", "../../up"]);
    for samples in &files.samples {
        assert_eq!(samples.parent(), Some(folder.as_path()));
        assert_eq!(std::fs::read_to_string(samples).unwrap().lines().count(), 6);
    }
    assert!(
        files.samples[1]
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("samples____")
    );
    assert_eq!(files, evaluation.write(&output, true).unwrap());
}

#[test]
fn a_place_that_cannot_be_written_is_found_before_the_first_request() {
    let (root, task) = sums();
    let mut options = EvaluateOptions::new(PromptOptions::new(root.path()));
    options.output = Some(OutputOptions {
        directory: root.path().join("synthetic/quiz/default/test.jsonl"),
        log_samples: false,
    });
    let mut toy = Toy::new("3");
    let error = evaluate(&mut toy, &[task], &options, &mut ()).unwrap_err();
    assert!(matches!(error, BenchError::Write { .. }), "{error}");
    assert_eq!(toy.asked, 0);
}

#[test]
fn names_that_make_the_same_files_are_refused() {
    let (root, mut tasks) = with_second(|_| {});
    (tasks[0].task, tasks[1].task) = ("a/b".to_owned(), "a__b".to_owned());
    let options = EvaluateOptions::new(PromptOptions::new(root.path()));
    let error = evaluate(&mut Toy::new("3"), &tasks, &options, &mut ()).unwrap_err();
    assert!(matches!(error, BenchError::DuplicateTask { .. }), "{error}");
}

#[test]
fn a_model_cannot_be_called_its_parent() {
    let (root, task) = sums();
    let options = EvaluateOptions::new(PromptOptions::new(root.path()));
    let mut evaluation = evaluate(&mut Toy::new("3"), &[task], &options, &mut ()).unwrap();
    for name in ["..", ".", ""] {
        evaluation.model.name = name.to_owned();
        let files = evaluation.files(root.path(), false);
        assert_eq!(files.results.parent(), Some(root.path().join("__").as_path()));
    }
}

#[test]
fn an_expression_that_takes_too_long_is_an_error_with_its_name() {
    let answer = "word ".repeat(60) + "!";
    let (root, mut task) = sums();
    task.generation_kwargs.until = None;
    let slow = r"((?=\S)\S+\s*)+\.$".to_owned();
    let mut ignoring = task.clone();
    ignoring.metric_list[0].regexes_to_ignore.push(slow.clone());
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

#[test]
fn any_of_several_answers_is_right() {
    let lines = "{\"q\": \"w\", \"a\": [\"Sinclair Lewis\", \"H. S. Lewis\"]}\n\
                 {\"q\": \"w\", \"a\": [\"Tolstoy\"]}\n{\"q\": \"w\", \"a\": []}\n";
    let root = crate::tasks::root(lines);
    let (_, mut task) = sums();
    task.doc_to_text = "q".to_owned();
    task.doc_to_target = serde_yaml_ng::from_str("'{{a}}'").unwrap();
    task.metric_list[0].ignore_case = true;
    task.metric_list[0].ignore_punctuation = true;
    let options = EvaluateOptions::new(PromptOptions::new(root.path()));
    let evaluation = evaluate(&mut Toy::new("h s lewis"), &[task], &options, &mut ()).unwrap();
    assert_eq!(
        evaluation.tasks[0].outcomes(Metric::ExactMatch, "none"),
        [1.0, 0.0, 0.0]
    );
    let warnings = evaluation.tasks[0].warnings();
    assert!(
        warnings.len() == 1 && warnings[0].starts_with("1 of 3 documents have a target"),
        "{warnings:?}"
    );
}

#[test]
fn results_say_what_was_evaluated_and_what_is_odd_about_it() {
    let line = |answer| format!("{{\"question\": \"q\", \"choices\": [\"x\", \"yy\"], \"answer\": {answer}}}\n");
    let root = crate::tasks::root(&[line(0), line(1), line(0), line(0), line(5)].concat());
    let (_, task) = choices();
    let (results, _) = files(&root, task, false);
    assert_eq!(results["results"]["units"]["acc,none"], 0.6);
    let warnings = results["warnings"]["units"].as_array().unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].as_str().unwrap().starts_with("2 of 5 documents repeat"));
    assert!(
        warnings[1]
            .as_str()
            .unwrap()
            .starts_with("1 of 5 documents have a target")
    );
    let data = &results["data"]["units"][0];
    assert_eq!((&data["split"], &data["documents"]), (&json!("test"), &json!(5)));
    assert_eq!(data["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(results["config"]["model_fingerprint"], "3");
    assert_eq!(
        keys(&results["config"])
            .iter()
            .filter(|key| ["model_dtype", "device"].contains(key))
            .count(),
        2
    );
    assert_eq!(results["llm_bench_version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_reason_of_a_failed_model_is_kept() {
    let error = BenchError::Model(std::io::Error::other("full").into());
    assert_eq!(error.to_string(), "the model failed: full");
    assert!(std::error::Error::source(&error).unwrap().is::<std::io::Error>());
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
        assert!(matches!(error, BenchError::DataLine { line: 1, .. }), "{error}");
        assert_eq!(std::fs::read_to_string(&journal).unwrap(), other);
    }
}
