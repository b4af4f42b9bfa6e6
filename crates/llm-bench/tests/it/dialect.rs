//! Task files of lm-evaluation-harness 0.4.13 beyond single multiple-choice tasks; expected values are its own.

use std::path::Path;

use llm_bench::task::Catalogue;
use llm_bench::*;
use serde_json::{Value, json};

use crate::quiz::{CHOICE, build, chat, context, data_root, no_chat, pairs};
use crate::toy::Toy;

/// Gives each continuation the log-likelihood it spells out.
struct Spelled;

impl LanguageModel for Spelled {
    fn loglikelihood(&mut self, requests: &[LoglikelihoodRequest]) -> Result<Vec<Loglikelihood>, BenchError> {
        let scores = requests.iter().map(|request| Loglikelihood {
            sum: request.continuation.trim().parse().unwrap(),
            is_greedy: request.continuation.contains("-1"),
        });
        Ok(scores.collect())
    }

    fn generate_until(&mut self, _requests: &[GenerationRequest]) -> Result<Vec<String>, BenchError> {
        Err(BenchError::Model("not asked".into()))
    }

    fn apply_chat_template(&self, turns: &[Turn], open: bool) -> Result<ChatPrompt, BenchError> {
        chat(turns, open)
    }

    fn description(&self) -> ModelDescription {
        ModelDescription {
            max_length: 4096,
            ..Default::default()
        }
    }

    fn fingerprint(&self) -> String {
        "spelled".to_owned()
    }
}

fn evaluated(yaml: &str, documents: &[Value]) -> TaskEvaluation {
    let lines = documents.iter().map(|document| format!("{document}\n"));
    let root = data_root(&lines.collect::<String>());
    let task = Task::from_yaml(yaml, "quiz").unwrap();
    let options = EvaluateOptions::new(PromptOptions::new(root.path()));
    evaluate(&mut Spelled, &[task], &options, &mut ())
        .unwrap()
        .tasks
        .remove(0)
}

fn with_metrics(metrics: &str) -> String {
    CHOICE.replace("metric: acc, aggregation: mean, higher_is_better: true", metrics)
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found} {expected}");
}

#[test]
fn classes_are_scored_as_scikit_learn_does() {
    let binary = |(gold, answer): (usize, usize)| {
        let choices = [["-1", "-2"], ["-2", "-1"]][answer];
        json!({"question": "q", "choices": choices, "answer": gold})
    };
    let pairs = [(0, 1), (1, 1), (1, 1), (0, 0), (1, 0), (0, 0), (1, 1)];
    let task = evaluated(
        &with_metrics("metric: f1}, {metric: mcc}, {metric: exact_match"),
        &pairs.map(binary),
    );
    close(task.score("f1").unwrap().value, 0.75);
    close(task.score("mcc").unwrap().value, 0.4166666666666667);
    // The model would write `-1`, which is right in five of seven.
    close(task.score("exact_match").unwrap().value, 5.0 / 7.0);
    let three = |(gold, answer)| {
        let choices: Vec<&str> = (0..3)
            .map(|choice| if choice == answer { "-1" } else { "-2" })
            .collect();
        json!({"question": "q", "choices": choices, "answer": gold})
    };
    let pairs = [(0, 2), (1, 1), (2, 2), (2, 0), (1, 1)];
    let task = evaluated(&with_metrics("metric: mcc"), &pairs.map(three));
    close(task.score("mcc").unwrap().value, 0.375);
}

#[test]
fn choices_have_probabilities() {
    let document = |probabilities: [f64; 3], answer: Value| {
        let choices = probabilities.map(|probability| probability.ln().to_string());
        json!({"question": "q", "choices": choices, "answer": answer})
    };
    let documents = [
        document([0.7, 0.2, 0.1], json!(0)),
        document([0.5, 0.25, 0.25], json!(2)),
    ];
    let task = evaluated(&with_metrics("metric: brier_score"), &documents);
    close(task.score("brier_score").unwrap().value, 0.5075);
    assert_eq!(task.score("brier_score").unwrap().stderr, None);
    let documents = [
        document([0.7, 0.2, 0.1], json!([0, 2])),
        document([0.5, 0.25, 0.25], json!([1])),
    ];
    let task = evaluated(&with_metrics("metric: likelihood}, {metric: acc"), &documents);
    close(task.score("likelihood").unwrap().value, (0.8 + 0.25) / 2.0);
    close(task.score("acc").unwrap().value, 0.5);
    close(task.score("acc").unwrap().chance.unwrap(), 0.5);
}

#[test]
fn one_continuation_has_a_perplexity() {
    let yaml = "
task: quiz
dataset_path: synthetic/quiz
output_type: loglikelihood
test_split: test
doc_to_text: '{{question}}'
doc_to_target: '{{answer}}'
";
    let documents = ["-1.5", "-0.25", "-3.0", "-2.0"].map(|sum| json!({"question": "q", "answer": sum}));
    let task = evaluated(yaml, &documents);
    let perplexity = task.score("perplexity").unwrap();
    close(perplexity.value, 5.405948925141167);
    close(perplexity.stderr.unwrap(), 3.0800494472557642);
    close(task.score("acc").unwrap().value, 0.25);
    assert_eq!(task.samples[0].prompt.target, "-1.5");
}

#[test]
fn what_the_question_adds_is_asked_without_it() {
    let line = "{\"question\": \"q\", \"choices\": [\"x\", \"y\"], \"answer\": 1}\n";
    let yaml = "output_type: multiple_choice\ntest_split: test\ndoc_to_text: '{{question}}'\ndescription: 'D: '\n\
                doc_to_choice: '{{choices}}'\ndoc_to_target: '{{answer}}'\n";
    let root = data_root(line);
    let task = format!("task: quiz\ndataset_path: synthetic/quiz\n{yaml}metric_list: [{{metric: acc_mutual_info}}]\n");
    let task = Task::from_yaml(&task, "quiz").unwrap();
    let set = build_prompts(&task, &PromptOptions::new(root.path()), &no_chat).unwrap();
    assert_eq!(
        pairs(&set.prompts[0]),
        [("D: q", " x"), ("D: q", " y"), ("", " x"), ("", " y")]
    );
}

/// Examples and questions with a prefix, as text and as turns.
#[test]
fn the_beginning_of_an_answer_is_given() {
    let yaml = "output_type: multiple_choice\ntest_split: test\ndoc_to_text: '{{question}}'\n\
                doc_to_choice: '{{choices}}'\ndoc_to_target: '{{answer}}'\ngen_prefix: 'Best:'\n\
                description: 'On {{question}}. '\nnum_fewshot: 2\n\
                fewshot_config: {sampler: first_n, doc_to_text: 'E {{question}}', fewshot_delimiter: ';', \
                target_delimiter: '>', samples: [{question: a, choices: [l, m], answer: 1}, {question: b, choices: [n], \
                answer: 0}]}\n";
    let line = "{\"question\": \"q\", \"choices\": [\"x\", \"y\"], \"answer\": 1}\n";
    let plain = build(yaml, [line, ""], |_| {}).unwrap();
    assert_eq!(
        pairs(&plain.prompts[0])[0],
        ("On q. E a>Best: m;E b>Best: n;q Best:", " x")
    );
    let turns = build(yaml, [line, ""], |options| options.apply_chat_template = true).unwrap();
    assert_eq!(
        pairs(&turns.prompts[0])[0],
        (
            "<system>On q. <user>E a<assistant>Best: m<user>E b<assistant>Best: n<user>q<assistant>Best:",
            " x"
        )
    );
    let turn = build(yaml, [line, ""], |options| {
        options.apply_chat_template = true;
        options.fewshot_as_multiturn = false;
    });
    assert_eq!(
        context(&turn.unwrap().prompts[0]),
        "<system>On q. <user>E a>Best: m;E b>Best: n;q<assistant>Best:"
    );
}

/// What a chain of steps makes of an answer to a document with these choices.
fn filtered(steps: &str, choices: &[&str], answer: &str) -> Option<String> {
    let root = data_root(&(json!({"question": "q", "choices": choices, "answer": "z"}).to_string() + "\n"));
    let yaml = CHOICE
        .replace("multiple_choice", "generate_until")
        .replace("doc_to_choice: '{{choices}}'\n", "")
        .replace("metric: acc", "metric: exact_match")
        + &format!("filter_list: [{{name: f, filter: [{steps}]}}]\n");
    let task = Task::from_yaml(&yaml, "quiz").unwrap();
    let options = EvaluateOptions::new(PromptOptions::new(root.path()));
    let evaluation = evaluate(&mut Toy::new(answer), &[task], &options, &mut ()).ok()?;
    evaluation.tasks[0].samples[0].filtered.clone()
}

#[test]
fn letters_of_choices_are_found() {
    let choices = ["Guilty", "Guilty of Romance", "Not: this!"];
    let step = "{function: multi_choice_regex, regex_pattern: '(\\([A-Z]\\))', ignore_case: true, \
                ignore_punctuation: true}, {function: take_first}";
    for (answer, expected) in [
        ("So (B) it is.", "(B)"),
        ("I say guilty of romance, yes", "(B)"),
        ("well: C", "(C)"),
        ("it is not this", "(C)"),
        ("nothing", "[invalid]"),
    ] {
        assert_eq!(filtered(step, &choices, answer).as_deref(), Some(expected), "{answer}");
    }
    assert_eq!(filtered(step, &[], "(B)"), None);
    let map = "{function: map, mapping_dict: {a: 1, b: x}, default_value: -1}, {function: take_first}";
    for (answer, expected) in [("a", "1"), ("b", "x"), ("c", "-1")] {
        assert_eq!(filtered(map, &["x"], answer).as_deref(), Some(expected));
    }
}

/// Says the letters of a word one after another, one per text it is asked for.
struct Speller(usize);

impl LanguageModel for Speller {
    fn loglikelihood(&mut self, _requests: &[LoglikelihoodRequest]) -> Result<Vec<Loglikelihood>, BenchError> {
        Err(BenchError::Model("not asked".into()))
    }

    fn generate_until(&mut self, requests: &[GenerationRequest]) -> Result<Vec<String>, BenchError> {
        self.0 += requests.len();
        let draws = requests
            .iter()
            .map(|request| request.sampling.map_or(0, |sampling| sampling.draw));
        Ok(draws.map(|draw| ["b", "a", "a", "b", "c"][draw].to_owned()).collect())
    }

    fn apply_chat_template(&self, turns: &[Turn], open: bool) -> Result<ChatPrompt, BenchError> {
        chat(turns, open)
    }

    fn description(&self) -> ModelDescription {
        ModelDescription {
            max_length: 4096,
            ..Default::default()
        }
    }

    fn fingerprint(&self) -> String {
        "speller".to_owned()
    }
}

#[test]
fn several_texts_are_voted_on() {
    let root = data_root("{\"question\": \"q\", \"answer\": \"b\"}\n");
    let yaml = |kwargs: &str| {
        format!(
            "task: quiz\ndataset_path: synthetic/quiz\ntest_split: test\ndoc_to_text: q\ndoc_to_target: '{{{{answer}}}}'\n\
             repeats: 5\ngeneration_kwargs: {{{kwargs}}}\nfilter_list:\n\
             - {{name: first, filter: [{{function: take_first}}]}}\n\
             - {{name: all, filter: [{{function: majority_vote}}, {{function: take_first}}]}}\n\
             - {{name: three, filter: [{{function: take_first_k, k: 3}}, {{function: majority_vote}}]}}\n"
        )
    };
    let options = EvaluateOptions::new(PromptOptions::new(root.path()));
    let drawn = Task::from_yaml(&yaml("do_sample: true, temperature: 0.5, top_p: 0.9"), "quiz").unwrap();
    let mut speller = Speller(0);
    let evaluation = evaluate(&mut speller, &[drawn], &options, &mut ()).unwrap();
    let texts: Vec<&str> = evaluation.tasks[0]
        .samples
        .iter()
        .flat_map(|s| s.filtered.as_deref())
        .collect();
    assert_eq!((texts, speller.0), (vec!["b", "b", "a"], 5));
    // What is not drawn is generated once.
    let greedy = Task::from_yaml(&yaml("until: []"), "quiz").unwrap();
    let mut speller = Speller(0);
    let evaluation = evaluate(&mut speller, &[greedy], &options, &mut ()).unwrap();
    let texts: Vec<&str> = evaluation.tasks[0]
        .samples
        .iter()
        .flat_map(|s| s.filtered.as_deref())
        .collect();
    assert_eq!((texts, speller.0), (vec!["b", "b", "b"], 1));
    let error = Task::from_yaml(&yaml("until: []").replace("k: 3", "k: 6"), "quiz").unwrap_err();
    assert!(error.to_string().contains("k is 6 of 5"), "{error}");
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

/// Two tasks with a base, and a group of them within another.
fn catalogue() -> (tempfile::TempDir, Catalogue) {
    let folder = tempfile::tempdir().unwrap();
    let base = CHOICE.replace("task: quiz\n", "tag: [small]\n");
    write(folder.path(), "_base", &base);
    write(
        folder.path(),
        "one.yaml",
        "include: _base\ntask: one\ntest_split: one\n",
    );
    std::fs::create_dir(folder.path().join("deeper")).unwrap();
    write(
        folder.path(),
        "deeper/two.yaml",
        "include: ../_base\ntask: two\ntask_alias: Two\ntest_split: two\n",
    );
    let inner = "group: inner\ngroup_alias: Inner\ntask: [small]\naggregate_metric_list: {metric: acc}\n";
    write(folder.path(), "inner.yaml", inner);
    let outer = "group: outer\ntask: [{task: one, num_fewshot: 0}, {group: half, task: [two], aggregate_metric_list: [{metric: acc}]}]\n\
                 description: 'All: '\naggregate_metric_list: [{metric: acc, weight_by_size: false}]\n";
    write(folder.path(), "outer.yaml", outer);
    let mut catalogue = Catalogue::default();
    assert!(catalogue.include(folder.path()).unwrap().is_empty());
    (folder, catalogue)
}

fn named(selection: &task::Selection) -> (Vec<&str>, Vec<&str>) {
    (
        selection.tasks.iter().map(|task| task.task.as_str()).collect(),
        selection.groups.iter().map(|group| group.group.as_str()).collect(),
    )
}

#[test]
fn names_stand_for_tasks_groups_tags_and_patterns() {
    let (folder, catalogue) = catalogue();
    let open = |name: &str| catalogue.open(&[name.to_owned()]).unwrap();
    assert_eq!(named(&open("small")), (vec!["one", "two"], vec![]));
    assert_eq!(named(&open("t*")), (vec!["two"], vec![]));
    assert_eq!(named(&open("inner")), (vec!["one", "two"], vec!["inner"]));
    let outer = open("outer");
    assert_eq!(named(&outer), (vec!["one", "two"], vec!["outer", "outer::half"]));
    assert_eq!(outer.groups[0].members, ["one", "outer::half"]);
    assert_eq!(
        (outer.tasks[0].num_fewshot, outer.tasks[1].num_fewshot),
        (Some(0), None)
    );
    assert!(outer.tasks.iter().all(|task| task.description == "All: "));
    let path = folder.path().join("deeper/two.yaml").display().to_string();
    assert_eq!(open(&path).tasks[0].task_alias.as_deref(), Some("Two"));
    for name in ["nobody", "x*"] {
        let error = catalogue.open(&[name.to_owned()]).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("outer"), "{error}");
    }
    // The same task with other keys is another task.
    let error = catalogue.open(&["one".to_owned(), "outer".to_owned()]).unwrap_err();
    assert!(
        matches!(error, BenchError::DuplicateTask { ref task } if task == "one"),
        "{error}"
    );
}

/// Four documents of which one is right, and five of which two are.
#[test]
fn groups_are_aggregated() {
    let (_folder, catalogue) = catalogue();
    let root = data_root("");
    let line = |right: bool| {
        format!(
            "{{\"question\": \"q\", \"choices\": [\"-1\", \"-2\"], \"answer\": {}}}\n",
            u8::from(!right)
        )
    };
    let lines = |right: usize, all: usize| (0..all).map(|index| line(index < right)).collect::<String>();
    write(&root.path().join("synthetic/quiz/default"), "one.jsonl", &lines(1, 4));
    write(&root.path().join("synthetic/quiz/default"), "two.jsonl", &lines(2, 5));
    for (name, value, stderr) in [("inner", 3.0 / 9.0, (1.95_f64 / 63.0).sqrt()), ("outer", 0.325, 0.175)] {
        let selection = catalogue.open(&[name.to_owned()]).unwrap();
        let options = EvaluateOptions {
            groups: selection.groups,
            ..EvaluateOptions::new(PromptOptions::new(root.path()))
        };
        let evaluation = evaluate(&mut Spelled, &selection.tasks, &options, &mut ()).unwrap();
        let groups = evaluation.groups();
        let score = &groups[0].scores[0];
        assert_eq!(
            (
                groups[0].documents,
                score.metric.as_str(),
                score.filter.as_str(),
                score.n
            ),
            (9, "acc", "none", 9)
        );
        close(score.value, value);
        close(score.stderr.unwrap(), stderr);
        let results = evaluation.to_json();
        assert_eq!(results["groups"][name]["acc,none"], json!(score.value));
        assert_eq!(results["group_subtasks"][name][0], "one");
    }
}

#[test]
fn documents_are_asked_for_by_index_and_written_without_a_model() {
    let lines: String = (0..6)
        .map(|i| format!("{{\"question\": \"q{i}\", \"choices\": [\"x\"], \"answer\": 0}}\n"))
        .collect();
    let root = data_root(&lines);
    let task = Task::from_yaml(CHOICE, "quiz").unwrap();
    let mut options = PromptOptions::new(root.path());
    options.samples.insert("quiz".to_owned(), [4, 1].into());
    let folder = root.path().join("requests");
    let files = write_requests(std::slice::from_ref(&task), &options, &no_chat, &folder).unwrap();
    let text = std::fs::read_to_string(&files[0]).unwrap();
    let written: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(files[0], folder.join("samples_quiz.jsonl"));
    assert_eq!(
        written
            .iter()
            .map(|line| &line["arguments"]["gen_args_0"])
            .collect::<Vec<_>>(),
        [
            &json!({"arg_0": "q1", "arg_1": " x"}),
            &json!({"arg_0": "q4", "arg_1": " x"})
        ]
    );
    assert!(
        written
            .iter()
            .all(|line| line["doc_hash"].is_string() && line.get("resps").is_none())
    );
    options.samples.insert("quiz".to_owned(), [6].into());
    let error = build_prompts(&task, &options, &no_chat).unwrap_err().to_string();
    assert!(error.contains("index 6 of 6"), "{error}");
}

#[test]
fn published_examples_come_from_the_data_root() {
    let root = data_root("{\"question\": \"q\", \"choices\": [\"x\", \"y\"], \"answer\": 1}\n");
    let yaml = format!(
        "{CHOICE}num_fewshot: 1\nfewshot_config: {{sampler: first_n, samples: {{file: shown, source: by A. Author}}}}\n"
    );
    let task = Task::from_yaml(&yaml, "quiz").unwrap();
    let options = PromptOptions::new(root.path());
    let error = build_prompts(&task, &options, &no_chat).unwrap_err().to_string();
    assert!(
        error.contains("fewshot/shown.jsonl") && error.contains("by A. Author"),
        "{error}"
    );
    std::fs::create_dir(root.path().join("fewshot")).unwrap();
    let line = "{\"question\": \"e\", \"choices\": [\"v\", \"w\"], \"answer\": 0}\n";
    write(&root.path().join("fewshot"), "shown.jsonl", line);
    let set = build_prompts(&task, &options, &no_chat).unwrap();
    assert_eq!(context(&set.prompts[0]), "e v\n\nq");
    assert_eq!(set.splits[1].split, "fewshot_config.samples");
}

#[test]
fn files_of_splits_may_be_named() {
    let root = data_root("");
    write(
        root.path(),
        "mine.jsonl",
        "{\"question\": \"q\", \"choices\": [\"x\"], \"answer\": 0}\n",
    );
    let yaml = format!("{CHOICE}dataset_kwargs: {{trust_remote_code: true, data_files: {{test: mine.jsonl}}}}\n");
    let task = Task::from_yaml(&yaml, "quiz").unwrap();
    let set = build_prompts(&task, &PromptOptions::new(root.path()), &no_chat).unwrap();
    assert_eq!(context(&set.prompts[0]), "q");
    let other = Task::from_yaml(&yaml.replace("test_split: test", "test_split: other"), "quiz").unwrap();
    let error = build_prompts(&other, &PromptOptions::new(root.path()), &no_chat).unwrap_err();
    assert!(error.to_string().contains("\"test\""), "{error}");
}
