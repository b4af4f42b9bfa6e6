//! The task dialect: accepted keys, and errors that name the others.

use llm_bench::{BenchError, Gold, PromptOptions, Requests, Task, build_prompts};
use serde_json::json;

use crate::quiz::{CHOICE, data_root, message, no_chat};

#[test]
fn an_unknown_key_is_named() {
    assert!(message(&format!("{CHOICE}doc_to_txt: x\n")).contains("`doc_to_txt`"));
    let nested = CHOICE.replace("{metric: acc,", "{metric: acc, ignore_cases: true,");
    assert!(message(&nested).contains("`ignore_cases`"), "{}", message(&nested));
}

/// The keys of task files of lm-evaluation-harness 0.4.13 that take their question from a Python function.
const FUNCTIONS: [(&str, &str); 6] = [
    (
        "medmcqa/medmcqa.yaml",
        "task: medmcqa
dataset_path: a/b
output_type: multiple_choice
training_split: train
validation_split: validation
test_split: validation
doc_to_text: !function utils_medmcqa.doc_to_text
doc_to_target: cop
doc_to_choice: [ 'A','B','C','D' ]
should_decontaminate: true
doc_to_decontamination_query: '{{question}}'
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
  - metric: acc_norm
    aggregation: mean
    higher_is_better: true
",
    ),
    (
        "pubmedqa/pubmedqa.yaml",
        "task: pubmedqa
dataset_path: a/b
dataset_name: c
output_type: multiple_choice
training_split: train
validation_split: validation
test_split: test
doc_to_text: !function preprocess_pubmedqa.doc_to_text
doc_to_target: final_decision
doc_to_choice: [\"yes\", \"no\", \"maybe\"]
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1.0
",
    ),
    (
        "glue/mnli/default.yaml",
        "tag: glue
task: mnli
dataset_path: a/b
dataset_name: mnli
output_type: multiple_choice
training_split: train
validation_split: validation_matched
doc_to_text: !function utils.doc_to_text
doc_to_target: label
doc_to_choice: ['True', 'Neither', 'False']
metric_list:
  - metric: acc
metadata:
  version: 1.0
",
    ),
    (
        "super_glue/wsc/default.yaml",
        "tag:
  - a
task: wsc
dataset_path: a/b
dataset_name: wsc.fixed
output_type: multiple_choice
training_split: train
validation_split: validation
doc_to_text: !function preprocess_wsc.default_doc_to_text
doc_to_target: label
doc_to_choice: ['no', 'yes']
metric_list:
  - metric: acc
metadata:
  version: 1.0
",
    ),
    (
        "logiqa2/logiqa2.yaml",
        "task: logiqa2
dataset_path: a/b
dataset_name: logiqa2
output_type: multiple_choice
training_split: train
validation_split: validation
test_split: test
doc_to_choice: '{{options}}'
doc_to_text: !function utils_logiqa2.doc_to_text
doc_to_target: '{{answer}}'
doc_to_decontamination_query: '{{context}}'
should_decontaminate: false
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
  - metric: acc_norm
    aggregation: mean
    higher_is_better: true
metadata:
  version: 0.0
",
    ),
    (
        "basqueglue/coref.yaml",
        "tag: basque-glue
task: epec_koref_bin
dataset_path: a/b
dataset_name: coref
output_type: multiple_choice
validation_split: validation
test_split: test
doc_to_text: !function utils.coref_doc_to_text
doc_to_target: label
doc_to_choice: ['ez', 'bai']
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1.0
",
    ),
];

#[test]
fn task_files_that_call_python_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for (name, yaml) in FUNCTIONS {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, yaml).unwrap();
        let error = Task::from_file(&path).unwrap_err();
        assert!(matches!(error, BenchError::TaskTag { .. }), "{error}");
        let error = error.to_string();
        assert!(
            error.contains(name) && error.contains("`doc_to_text` has the tag !function"),
            "{error}"
        );
        // It is the tag that is refused.
        std::fs::write(&path, yaml.replace("!function ", "")).unwrap();
        Task::from_file(&path).unwrap();
    }
}

#[test]
fn a_tag_is_refused_wherever_it_is() {
    for (field, tagged, key) in [
        (
            "dataset_path: synthetic/quiz",
            "dataset_path: !x synthetic/quiz",
            "dataset_path",
        ),
        (
            "aggregation: mean",
            "aggregation: !function utils.mean",
            "metric_list.aggregation",
        ),
        (
            "doc_to_choice: '{{choices}}'",
            "doc_to_choice: [a, !function b]",
            "doc_to_choice",
        ),
        (
            "task: quiz",
            "task: quiz\nmetadata: {deep: [{er: !y {}}]}",
            "metadata.deep.er",
        ),
        ("task: quiz", "task: quiz\n!z description: a", "description"),
        (
            "task: quiz",
            "task: quiz\ndescription: !!python/name:os.system ''",
            "a value",
        ),
    ] {
        let error = message(&CHOICE.replace(field, tagged));
        assert!(error.contains(&format!("`{key}` has the tag !")), "{tagged}: {error}");
    }
    // Tags of YAML's own and exclamation marks in texts are no calls.
    let quiet = CHOICE.replace("task: quiz", "task: !!str quiz\ndescription: 'Answer! !function'");
    assert_eq!(
        Task::from_yaml(&quiet, "quiz").unwrap().description,
        "Answer! !function"
    );
}

#[test]
fn further_keys_of_a_filter_are_refused() {
    let filtered = |step: &str| {
        CHOICE
            .replace("multiple_choice", "generate_until")
            .replace("doc_to_choice: '{{choices}}'\n", "")
            .replace("metric: acc,", "metric: exact_match,")
            + &format!("filter_list: [{{name: a, filter: [{step}]}}]\n")
    };
    for function in ["take_first", "lowercase", "uppercase", "remove_whitespace"] {
        Task::from_yaml(&filtered(&format!("{{function: {function}}}")), "quiz").unwrap();
        let error = message(&filtered(&format!("{{function: {function}, k: 3}}")));
        assert!(error.contains("`k`"), "{function}: {error}");
    }
}

#[test]
fn contradictions_name_their_key() {
    assert!(message(&CHOICE.replace("test_split: test\n", "")).contains("`test_split`"));
    assert!(message(&CHOICE.replace("doc_to_choice: '{{choices}}'\n", "")).contains("`doc_to_choice`"));
    assert!(message(&CHOICE.replace("metric: acc,", "metric: bleu,")).contains("`metric_list`"));
    let sampled = format!("{CHOICE}generation_kwargs: {{do_sample: true}}\n");
    assert!(message(&sampled).contains("`generation_kwargs`"));
    assert!(message(&CHOICE.replace("'{{answer}}'", "[0, 1]")).contains("doc_to_target: an index or a template"));
    for settings in [
        "num_beams: 4",
        "max_gen_toks: 0",
        "do_sample: true, temperature: 0",
        "top_p: 1.5",
    ] {
        let error = message(&format!("{CHOICE}generation_kwargs: {{{settings}}}\n"));
        assert!(error.contains("generation_kwargs"), "{error}");
    }
}

/// Scores go by metric and filter, so one of two would be lost.
#[test]
fn names_that_occur_twice_are_refused() {
    let metrics = CHOICE.replace("metric_list: [", "metric_list: [{metric: acc}, ");
    let error = message(&metrics);
    assert!(
        error.contains("`metric_list`") && error.contains("two entries have `metric: acc`"),
        "{error}"
    );
    let chain = |name: &str| format!("{{name: {name}, filter: [{{function: take_first}}]}}");
    let filters = |first: &str, second: &str| {
        CHOICE
            .replace("multiple_choice", "generate_until")
            .replace("doc_to_choice: '{{choices}}'\n", "")
            .replace("metric: acc,", "metric: exact_match,")
            + &format!("filter_list: [{}, {}]\n", chain(first), chain(second))
    };
    Task::from_yaml(&filters("a", "b"), "quiz").unwrap();
    let error = message(&filters("a", "a"));
    assert!(
        error.contains("`filter_list`") && error.contains("two entries have `name: a`"),
        "{error}"
    );
}

/// A results file says how answers were compared, also where the task leaves it to the metric.
#[test]
fn options_of_a_metric_are_resolved() {
    let yaml = CHOICE
        .replace("multiple_choice", "generate_until")
        .replace("doc_to_choice: '{{choices}}'\n", "")
        .replace("{metric: acc,", "{metric: exact_match, ignore_case: true,");
    let task = Task::from_yaml(&yaml, "quiz").unwrap();
    assert_eq!(
        serde_json::to_value(&task.metric_list[0]).unwrap(),
        json!({
            "metric": "exact_match", "aggregation": "mean", "higher_is_better": true,
            "ignore_case": true, "ignore_punctuation": false, "ignore_numbers": false
        })
    );
    let again = serde_json::to_string(&task).unwrap();
    assert_eq!(Task::from_yaml(&again, "quiz").unwrap(), task);
}

#[test]
fn missing_data_names_the_path_expected() {
    let task = Task::from_yaml(CHOICE, "quiz").unwrap();
    let error = build_prompts(&task, &PromptOptions::new("/nowhere"), &no_chat)
        .unwrap_err()
        .to_string();
    assert!(error.contains("/nowhere/synthetic/quiz/default/test.jsonl"), "{error}");
}

#[test]
fn an_undefined_field_is_an_error_that_names_document_and_key() {
    let task = Task::from_yaml(CHOICE, "quiz").unwrap();
    let root = data_root("{\"question\": \"a\", \"answer\": 0}\n");
    let error = build_prompts(&task, &PromptOptions::new(root.path()), &no_chat)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("document 0") && error.contains("doc_to_choice"),
        "{error}"
    );
}

#[test]
fn a_broken_line_is_named_and_only_newlines_end_lines() {
    let task = Task::from_yaml(CHOICE, "quiz").unwrap();
    let good = "{\"question\": \"a\u{2028}b\", \"choices\": [\"x\", \"y\"], \"answer\": \"y\"}\n";
    let whole = data_root(good);
    let set = build_prompts(&task, &PromptOptions::new(whole.path()), &no_chat).unwrap();
    assert_eq!(set.prompts[0].gold, Gold::Choice(Some(1)));
    let Requests::Choices(pairs) = &set.prompts[0].requests else {
        panic!("choices expected")
    };
    assert_eq!(
        (&*pairs[0].context, pairs[1].continuation.as_str()),
        ("a\u{2028}b", " y")
    );
    let broken = data_root(&format!("{good}{{\n"));
    let error = build_prompts(&task, &PromptOptions::new(broken.path()), &no_chat)
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("test.jsonl:2: expected a JSON object, found EOF while parsing an object at column 1"),
        "{error}"
    );
    let marked = data_root(&format!("\u{feff}{good}"));
    let marked = build_prompts(&task, &PromptOptions::new(marked.path()), &no_chat).unwrap();
    assert!(marked == set);
}

#[test]
fn a_limit_reads_no_further_and_counts_the_rest() {
    let task = Task::from_yaml(CHOICE, "quiz").unwrap();
    let good = "{\"question\": \"q\", \"choices\": [\"x\", \"y\"], \"answer\": \"y\"}\n";
    let folder = data_root(&format!("{}no JSON\n\n{good}", good.repeat(8)));
    let mut options = PromptOptions::new(folder.path());
    for (limit, prompts) in [(8.0, 8), (3.0, 3), (0.5, 5)] {
        options.limit = Some(limit);
        let set = build_prompts(&task, &options, &no_chat).unwrap();
        assert_eq!((set.prompts.len(), set.documents), (prompts, 10));
    }
    options.limit = Some(9.0);
    let error = build_prompts(&task, &options, &no_chat).unwrap_err().to_string();
    assert!(error.contains("test.jsonl:9: expected a JSON object"), "{error}");
}

#[test]
fn examples_exclude_the_document_itself_and_a_small_pool_is_refused() {
    let lines: String = (0..4)
        .map(|i| {
            format!(
                "{{\"question\": \"q{i}\", \"choices\": [\"x\", \"y\"], \"answer\": {}}}\n",
                i % 2
            )
        })
        .collect();
    let root = data_root(&lines);
    let task = Task::from_yaml(&format!("{CHOICE}fewshot_split: test\n"), "quiz").unwrap();
    let mut options = PromptOptions::new(root.path());
    options.num_fewshot = Some(2);
    for prompt in build_prompts(&task, &options, &no_chat).unwrap().prompts {
        let Requests::Choices(pairs) = &prompt.requests else {
            panic!("choices expected")
        };
        assert_eq!(
            pairs[0].context.matches(&format!("q{}", prompt.doc_id)).count(),
            1,
            "{}",
            pairs[0].context
        );
        assert_eq!(pairs[0].context.matches("\n\n").count(), 2);
    }
    options.num_fewshot = Some(9);
    let error = build_prompts(&task, &options, &no_chat).unwrap_err();
    assert!(matches!(
        error,
        BenchError::TooFewExamples {
            asked: 9,
            available: 3,
            ..
        }
    ));
}

/// The two task files of the offline comparison, in a user's words: numbers stay numbers in the data.
#[test]
fn a_users_own_task_file_is_opened_by_its_path() {
    let root = data_root("{\"question\": \"2 + 3 =\", \"choices\": [\"4\", \"5\"], \"answer\": 1}\n");
    let path = root.path().join("quiz.yaml");
    std::fs::write(&path, CHOICE).unwrap();
    let task = Task::open(&path.display().to_string()).unwrap();
    let set = build_prompts(&task, &PromptOptions::new(root.path()), &no_chat).unwrap();
    assert_eq!(set.prompts[0].gold, Gold::Choice(Some(1)));
    assert_eq!(set.prompts[0].choices, ["4", "5"]);

    let sums = CHOICE
        .replace("multiple_choice", "generate_until")
        .replace("doc_to_choice: '{{choices}}'\n", "")
        .replace("metric: acc,", "metric: exact_match,");
    let task = Task::from_yaml(&sums, "sums").unwrap();
    let set = build_prompts(&task, &PromptOptions::new(root.path()), &no_chat).unwrap();
    let Requests::Text(request) = &set.prompts[0].requests else {
        panic!("text expected")
    };
    assert_eq!(
        (request.context.as_str(), request.until.as_slice()),
        ("2 + 3 =", &["\n\n".to_owned()][..])
    );
    assert_eq!(
        (set.prompts[0].gold.clone(), request.max_gen_toks),
        (Gold::Texts(vec!["1".to_owned()]), 256)
    );
    assert!(
        Task::open("/nowhere/quiz.yaml")
            .unwrap_err()
            .to_string()
            .contains("/nowhere/quiz.yaml")
    );
}
