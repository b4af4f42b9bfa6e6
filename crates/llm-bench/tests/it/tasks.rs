//! The task dialect: what is accepted, and how what is not is named.

use llm_bench::{BenchError, Gold, PromptOptions, Requests, Task, Turn, build_prompts};

const CHOICE: &str = "
task: quiz
dataset_path: synthetic/quiz
output_type: multiple_choice
test_split: test
doc_to_text: '{{question}}'
doc_to_choice: '{{choices}}'
doc_to_target: '{{answer}}'
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
";

fn no_chat(_: &[Turn], _: bool) -> Result<String, BenchError> {
    Err(BenchError::Model("no chat template".to_owned()))
}

/// A data root with one split of `synthetic/quiz`.
pub(crate) fn root(lines: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("synthetic/quiz/default");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("test.jsonl"), lines).unwrap();
    root
}

fn message(yaml: &str) -> String {
    Task::from_yaml(yaml, "quiz.yaml").unwrap_err().to_string()
}

#[test]
fn every_builtin_task_is_valid_and_named_as_its_file() {
    for name in Task::builtin_names() {
        assert_eq!(Task::builtin(name).unwrap().task, name);
    }
    let error = Task::builtin("arc_hard").unwrap_err().to_string();
    assert!(error.contains("arc_hard") && error.contains("arc_easy"), "{error}");
}

#[test]
fn an_unknown_key_is_named() {
    assert!(message(&format!("{CHOICE}doc_to_txt: x\n")).contains("`doc_to_txt`"));
    let nested = CHOICE.replace("{metric: acc,", "{metric: acc, ignore_cases: true,");
    assert!(message(&nested).contains("`ignore_cases`"), "{}", message(&nested));
}

#[test]
fn contradictions_name_their_key() {
    assert!(message(&CHOICE.replace("test_split: test\n", "")).contains("`test_split`"));
    assert!(message(&CHOICE.replace("doc_to_choice: '{{choices}}'\n", "")).contains("`doc_to_choice`"));
    assert!(message(&CHOICE.replace("metric: acc,", "metric: exact_match,")).contains("`metric_list`"));
    let sampled = format!("{CHOICE}generation_kwargs: {{do_sample: true}}\n");
    assert!(message(&sampled).contains("`generation_kwargs`"));
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
    let root = root("{\"question\": \"a\", \"answer\": 0}\n");
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
    let whole = root(good);
    let set = build_prompts(&task, &PromptOptions::new(whole.path()), &no_chat).unwrap();
    assert_eq!(set.prompts[0].gold, Gold::Choice(1));
    let Requests::Choices(pairs) = &set.prompts[0].requests else {
        panic!("choices expected")
    };
    assert_eq!(
        (pairs[0].context.as_str(), pairs[1].continuation.as_str()),
        ("a\u{2028}b", " y")
    );
    let broken = root(&format!("{good}{{\n"));
    let error = build_prompts(&task, &PromptOptions::new(broken.path()), &no_chat)
        .unwrap_err()
        .to_string();
    assert!(error.contains("line 2"), "{error}");
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
    let root = root(&lines);
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
            asked: 10,
            available: 4,
            ..
        }
    ));
}

#[test]
fn winogrande_scores_the_rest_of_the_sentence_after_each_option() {
    let Some(data) = fixtures::shared("data/benchmarks") else {
        return;
    };
    let task = Task::builtin("winogrande").unwrap();
    let mut options = PromptOptions::new(data);
    options.limit = Some(3);
    let set = build_prompts(&task, &options, &no_chat).unwrap();
    let Requests::Choices(pairs) = &set.prompts[0].requests else {
        panic!("choices expected")
    };
    assert_eq!(pairs[0].context, "Sarah was a much better surgeon than Maria so Sarah");
    assert_eq!(pairs[1].context, "Sarah was a much better surgeon than Maria so Maria");
    assert_eq!(pairs[0].continuation, " always got the easier cases.");
    assert_eq!(set.prompts[0].gold, Gold::Choice(1));
}

#[test]
fn every_builtin_task_renders_its_first_documents() {
    let Some(data) = fixtures::shared("data/benchmarks") else {
        return;
    };
    for name in Task::builtin_names() {
        let mut options = PromptOptions::new(&data);
        options.limit = Some(20);
        let set = build_prompts(&Task::builtin(name).unwrap(), &options, &no_chat).unwrap();
        assert_eq!(set.prompts.len(), 20, "{name}");
    }
}

/// The two task files of the offline comparison, in a user's words: numbers stay numbers in the data.
#[test]
fn a_users_own_task_file_is_opened_by_its_path() {
    let root = root("{\"question\": \"2 + 3 =\", \"choices\": [\"4\", \"5\"], \"answer\": 1}\n");
    let path = root.path().join("quiz.yaml");
    std::fs::write(&path, CHOICE).unwrap();
    let task = Task::open(&path.display().to_string()).unwrap();
    let set = build_prompts(&task, &PromptOptions::new(root.path()), &no_chat).unwrap();
    assert_eq!(set.prompts[0].gold, Gold::Choice(1));
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
        (Gold::Text("1".to_owned()), 256)
    );
    assert!(
        Task::open("/nowhere/quiz.yaml")
            .unwrap_err()
            .to_string()
            .contains("/nowhere/quiz.yaml")
    );
}
