//! A whole evaluation by a model of a few lines.

use llm_bench::*;
use serde_json::Value;

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
            return Err(BenchError::Model("out of breath".to_owned()));
        }
        Ok(requests
            .iter()
            .map(|request| cut_at_stops(&self.text, &request.until))
            .collect())
    }

    fn apply_chat_template(&self, turns: &[Turn], _open: bool) -> Result<String, BenchError> {
        Ok(turns
            .iter()
            .map(|turn| format!("[{}]{}", turn.role, turn.content))
            .collect())
    }

    fn description(&self) -> ModelDescription {
        ModelDescription {
            name: "toy/model".to_owned(),
            max_length: 64,
            eot_token_id: Some(2),
            num_parameters: Some(0),
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

#[test]
fn an_interrupted_evaluation_goes_on_where_it_stopped() {
    let (root, task) = sums();
    let mut options = EvaluateOptions::new(PromptOptions::new(root.path()));
    options.journal = Some(root.path().join("journal.jsonl"));
    let mut toy = Toy::new("3");
    toy.fail_after = Some(4);
    let tasks = [task];
    assert!(evaluate(&mut toy, &tasks, &options, &mut ()).is_err());
    // A line cut short by the interruption is forgotten.
    let journal = options.journal.clone().unwrap();
    let written = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, &written[..written.len() - 9]).unwrap();

    let mut rested = Toy::new("3");
    let resumed = evaluate(&mut rested, &tasks, &options, &mut ()).unwrap();
    assert_eq!(rested.asked, 3);
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
    assert_eq!(heard.0, [4, 6]);
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
