//! The files of an evaluation: their contents and paths.

use llm_bench::*;
use serde_json::{Value, json};

use crate::quiz::data_root;
use crate::toy::{Toy, choices, sums, with_second};

#[test]
fn scores_samples_and_files_have_lm_evals_layout() {
    let (root, task) = sums();
    let options = EvaluateOptions::new(PromptOptions::new(root.path()));
    let evaluation = evaluate(&mut Toy::new("3<|im_end|>junk"), &[task], &options, &mut ()).unwrap();
    let score = evaluation.tasks[0].score("exact_match").unwrap();
    assert_eq!((score.n, score.key().as_str()), (6, "exact_match,none"));
    assert!((score.value - 1.0 / 6.0).abs() < 1e-12);
    assert_eq!(score.outcomes, [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);

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

/// What every line of a samples file holds next to the metrics' values.
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
        "parts",
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
fn results_say_what_was_evaluated_and_what_is_odd_about_it() {
    let line = |answer| format!("{{\"question\": \"q\", \"choices\": [\"x\", \"yy\"], \"answer\": {answer}}}\n");
    let root = data_root(&[line(0), line(1), line(0), line(0), line(5)].concat());
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
