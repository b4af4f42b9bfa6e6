//! A complete evaluation of a toy model.

use llm_bench::*;

use crate::quiz::data_root;
use crate::toy::{Toy, choices, sums, with_second};

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
fn progress_is_told_of_every_batch() {
    struct Heard(Vec<usize>);
    impl EvaluationProgress for Heard {
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

/// The lengths of the contexts of each call.
struct Watched(Toy, Vec<Vec<usize>>);

impl LanguageModel for Watched {
    fn loglikelihood(&mut self, requests: &[LoglikelihoodRequest]) -> Result<Vec<Loglikelihood>, BenchError> {
        self.0.loglikelihood(requests)
    }

    fn generate_until(&mut self, requests: &[GenerationRequest]) -> Result<Vec<String>, BenchError> {
        self.1
            .push(requests.iter().map(|request| request.context.len()).collect());
        self.0.generate_until(requests)
    }

    fn apply_chat_template(&self, turns: &[Turn], open: bool) -> Result<ChatPrompt, BenchError> {
        self.0.apply_chat_template(turns, open)
    }

    fn description(&self) -> ModelDescription {
        self.0.description()
    }

    fn fingerprint(&self) -> String {
        self.0.fingerprint()
    }
}

#[test]
fn documents_of_similar_length_are_asked_together_and_reported_in_order() {
    let (_, task) = sums();
    let lengths = [3, 9, 1, 7, 9, 2, 8];
    let line = |length: usize| format!("{{\"question\": \"{}\", \"answer\": \"3\"}}\n", "1".repeat(length));
    let root = data_root(&lengths.map(line).concat());
    let mut options = EvaluateOptions::new(PromptOptions::new(root.path()));
    options.journal = Some(root.path().join("journal.jsonl"));
    options.batch_size = 3;
    let tasks = [task];
    let mut watched = Watched(Toy::new("3"), Vec::new());
    watched.0.fail_after = Some(3);
    assert!(evaluate(&mut watched, &tasks, &options, &mut ()).is_err());
    watched.0.fail_after = None;
    let evaluation = evaluate(&mut watched, &tasks, &options, &mut ()).unwrap();
    // The second call failed, and is the first one after the interruption.
    assert_eq!(watched.1, [vec![9, 9, 8], vec![7, 3, 2], vec![7, 3, 2], vec![1]]);
    let documents: Vec<usize> = evaluation.tasks[0]
        .samples
        .iter()
        .map(|sample| sample.prompt.doc_id)
        .collect();
    assert_eq!(documents, [0, 1, 2, 3, 4, 5, 6]);
    (options.journal, options.batch_size) = (None, 1);
    let alone = evaluate(&mut Toy::new("3"), &tasks, &options, &mut ()).unwrap();
    assert_eq!(alone.tasks, evaluation.tasks);
}

#[test]
fn acc_norm_divides_by_code_points() {
    // Four code points in eight bytes against five in five: the continuations score -9 and -6.
    let root =
        data_root("{\"question\": \"q\", \"choices\": [\"\u{e9}\u{e9}\u{e9}\u{e9}\", \"abcde\"], \"answer\": 1}\n");
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

/// The outcomes of `count` sums from `first` on, each asked with this many examples.
fn sum_outcomes(first: usize, count: usize, examples: usize) -> QuestionOutcomes {
    let (_, task) = sums();
    let line = |i: usize| format!("{{\"question\": \"{i} + 1 =\", \"answer\": \"{}\"}}\n", i + 1);
    let root = data_root(&(first..first + count).map(line).collect::<String>());
    let mut prompts = PromptOptions::new(root.path());
    prompts.num_fewshot = Some(examples);
    let evaluation = evaluate(&mut Toy::new("3"), &[task], &EvaluateOptions::new(prompts), &mut ()).unwrap();
    QuestionOutcomes::of(&evaluation.tasks[0]).remove(0)
}

/// Pairs the first six sums with others, or the task and the first index at which the questions differ.
fn paired_with_six(other: &QuestionOutcomes) -> Result<(), (String, usize)> {
    check_paired(&[&sum_outcomes(0, 6, 0), other]).map_err(|error| match error {
        BenchError::DifferentQuestions { task, index, .. } => (task, index),
        error => panic!("{error}"),
    })
}

#[test]
fn answers_to_different_questions_are_not_paired() {
    assert_eq!(sum_outcomes(0, 6, 0).values, [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
    assert_eq!(paired_with_six(&sum_outcomes(0, 6, 0)), Ok(()));
    // Other documents, the same in another order, fewer of them, and the same asked with an example.
    assert_eq!(paired_with_six(&sum_outcomes(1, 6, 0)), Err(("sums".to_owned(), 0)));
    let mut shuffled = sum_outcomes(0, 6, 0);
    shuffled.questions.swap(3, 4);
    assert_eq!(paired_with_six(&shuffled), Err(("sums".to_owned(), 3)));
    assert_eq!(paired_with_six(&sum_outcomes(0, 5, 0)), Err(("sums".to_owned(), 5)));
    assert_eq!(paired_with_six(&sum_outcomes(0, 6, 1)), Err(("sums".to_owned(), 0)));
    assert!(check_paired(&[]).is_ok());
    let mut other = sum_outcomes(0, 6, 0);
    other.measure.metric = "acc".to_owned();
    let error = check_paired(&[&sum_outcomes(0, 6, 0), &other]).unwrap_err().to_string();
    assert!(
        error.contains("exact_match of sums") && error.contains("acc of sums"),
        "{error}"
    );
}

#[test]
fn outcomes_that_were_stored_can_be_paired() {
    let text = serde_json::to_string(&sum_outcomes(0, 6, 0)).unwrap();
    let stored: QuestionOutcomes = serde_json::from_str(&text).unwrap();
    assert!(paired_with_six(&stored).is_ok());
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
        let named = matches!(&error, BenchError::NotANumber { task, doc_id: 0, index: 1, .. } if task == "units");
        assert!(named, "{error}");
        assert_eq!(std::fs::read_to_string(&journal).unwrap(), "");
    }
    // A choice that the model excludes is an answer, and the journal remembers it.
    let first = evaluate(&mut Sums(vec![f64::NEG_INFINITY, -900.0]), &tasks, &options, &mut ()).unwrap();
    assert_eq!(first.tasks[0].score("acc_norm").unwrap().value, 1.0);
    let resumed = evaluate(&mut Sums(vec![]), &tasks, &options, &mut ()).unwrap();
    assert_eq!(resumed.tasks, first.tasks);
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
            |task| {
                let options = &mut task.metric_list[0].options;
                options.insert("regexes_to_ignore".to_owned(), ["("].as_slice().into());
            },
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
fn any_of_several_answers_is_right() {
    let lines = "{\"q\": \"w\", \"a\": [\"Sinclair Lewis\", \"H. S. Lewis\"]}\n\
                 {\"q\": \"w\", \"a\": [\"Tolstoy\"]}\n{\"q\": \"w\", \"a\": []}\n";
    let root = data_root(lines);
    let (_, mut task) = sums();
    task.doc_to_text = "q".to_owned();
    task.doc_to_target = serde_yaml_ng::from_str("'{{a}}'").unwrap();
    for option in ["ignore_case", "ignore_punctuation"] {
        task.metric_list[0].options.insert(option.to_owned(), true.into());
    }
    let options = EvaluateOptions::new(PromptOptions::new(root.path()));
    let evaluation = evaluate(&mut Toy::new("h s lewis"), &[task], &options, &mut ()).unwrap();
    assert_eq!(evaluation.tasks[0].scores[0].outcomes, [1.0, 0.0, 0.0]);
    let warnings = evaluation.tasks[0].warnings();
    assert!(
        warnings.len() == 1 && warnings[0].starts_with("1 of 3 documents have a target"),
        "{warnings:?}"
    );
}

#[test]
fn the_reason_of_a_failed_model_is_kept() {
    let error = BenchError::Model(std::io::Error::other("full").into());
    assert_eq!(error.to_string(), "the model failed: full");
    assert!(std::error::Error::source(&error).unwrap().is::<std::io::Error>());
}
