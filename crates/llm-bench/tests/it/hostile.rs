//! Malicious task folders: every file gives an error that names it, in bounded time and memory.

use std::path::Path;

use llm_bench::task::{Catalogue, FolderReport};
use llm_bench::*;

use crate::quiz::{CHOICE, build, data_root, message, no_chat};

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn file_error(folder: &Path, name: &str) -> String {
    Task::from_file(&folder.join(name)).unwrap_err().to_string()
}

/// What asking for a name says.
fn refused(folder: &Path, name: &str) -> String {
    let mut catalogue = Catalogue::default();
    catalogue.include(folder).unwrap();
    catalogue.open(&[name.to_owned()]).unwrap_err().to_string()
}

#[test]
fn includes_that_go_round_in_circles_are_refused() {
    let folder = folder(&[
        ("self.yaml", "include: self.yaml\ntask: a\n"),
        ("one.yaml", "include: two.yaml\ntask: b\n"),
        ("two.yaml", "include: [other.yaml, one.yaml]\n"),
        ("other.yaml", "dataset_path: x\n"),
        ("missing.yaml", "include: nowhere.yaml\ntask: c\n"),
        ("odd.yaml", "include: {a: 1}\ntask: d\n"),
        ("device.yaml", "include: /dev/zero\ntask: e\n"),
    ]);
    for name in ["self.yaml", "one.yaml"] {
        let error = file_error(folder.path(), name);
        assert!(
            error.contains("`include`") && error.contains("a second time") && error.contains(name),
            "{error}"
        );
    }
    assert!(file_error(folder.path(), "missing.yaml").contains("nowhere.yaml"));
    assert!(file_error(folder.path(), "odd.yaml").contains("a list of names is expected"));
    assert!(file_error(folder.path(), "device.yaml").contains("a file is expected"));
    let mut catalogue = Catalogue::default();
    assert_eq!(catalogue.include(folder.path()).unwrap().len(), 7);
}

/// A chain of files, each of which includes the next one.
#[test]
fn a_long_chain_of_includes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for index in 0..2_000 {
        let text = format!("include: {}.yaml\ntask: a\n", index + 1);
        std::fs::write(folder.path().join(format!("{index}.yaml")), text).unwrap();
    }
    assert!(file_error(folder.path(), "0.yaml").contains("more than 64 files"));
}

#[test]
fn aliases_that_stand_for_millions_of_values_are_refused() {
    // Nine levels of nine: 387 million values.
    let mut nested = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let item = format!("*a{}", level - 1);
        nested += &format!("a{level}: &a{level} [{}]\n", vec![item; 9].join(", "));
    }
    // One list of 5,000 values, ten thousand times.
    let list = vec!["x"; 5_000].join(", ");
    let flat = format!("a: &a [{list}]\nb: [{}]\n", vec!["*a"; 10_000].join(", "));
    for yaml in [nested, flat] {
        let error = message(&yaml);
        assert!(
            error.contains("more than 1000000 values") || error.contains("repetition limit"),
            "{error}"
        );
    }
    assert!(message(&format!("a: {}x{}\n", "[".repeat(100_000), "]".repeat(100_000))).contains("quiz.yaml"));
}

#[test]
fn groups_that_contain_themselves_are_refused() {
    let folder = folder(&[
        ("self.yaml", "group: self\ntask: [self]\n"),
        ("a.yaml", "group: a\ntask: [b]\n"),
        ("b.yaml", "group: b\ntask: [{group: a, num_fewshot: 1}]\n"),
        ("unknown.yaml", "group: unknown\ntask: [nobody]\n"),
        ("empty.yaml", "group: empty\ntask: []\n"),
    ]);
    for name in ["self", "a", "b"] {
        let error = refused(folder.path(), name);
        assert!(
            error.contains("the group contains itself") && error.contains(name),
            "{error}"
        );
    }
    assert!(refused(folder.path(), "unknown").contains("`nobody` is no known task"));
    let report = FolderReport::of(folder.path()).unwrap();
    assert!(
        report.to_string().ends_with("accepted 1 of 5 files; refused 4"),
        "{report}"
    );
    assert!(
        report
            .reasons()
            .iter()
            .any(|(reason, _)| reason.contains("contains itself"))
    );
}

/// Twice the members at each level: 2^40 in all.
#[test]
fn groups_that_double_at_each_level_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for level in 0..40 {
        let text = format!("group: g{level}\ntask: [g{0}, g{0}]\n", level + 1);
        std::fs::write(folder.path().join(format!("g{level}.yaml")), text).unwrap();
    }
    std::fs::write(folder.path().join("g40.yaml"), "group: g40\ntask: []\n").unwrap();
    assert!(refused(folder.path(), "g0").contains("more than 20000 members"));
}

#[test]
fn paths_in_names_and_data_are_refused() {
    for (key, value) in [
        ("task", "../up"),
        ("task", "a/b"),
        ("task", "\"a\\0b\""),
        ("dataset_path", "../../etc"),
        ("dataset_path", "/etc"),
        ("dataset_name", "../.."),
        ("test_split", "../../../secret"),
        ("fewshot_config", "{samples: {file: ../../x, source: nobody}}"),
        ("dataset_kwargs", "{data_files: {test: ../x.jsonl}}"),
        ("dataset_kwargs", "{data_files: {test: 'https://x/y.jsonl'}}"),
    ] {
        let others = CHOICE.lines().filter(|line| !line.starts_with(&format!("{key}:")));
        let yaml = format!("{}\n{key}: {value}\n", others.collect::<Vec<_>>().join("\n"));
        let error = message(&yaml);
        assert!(error.contains(&format!("`{key}`")), "{yaml} {error}");
    }
}

#[test]
fn templates_and_expressions_that_do_not_end_are_stopped() {
    let line = "{\"question\": \"q\", \"choices\": [\"x\", \"y\"], \"answer\": 0}\n";
    let looping = "output_type: multiple_choice\ntest_split: test\ndoc_to_choice: '{{choices}}'\ndoc_to_target: '{{answer}}'\n\
                   doc_to_text: '{% for a in range(9999) %}{% for b in range(9999) %}{{a}}{% endfor %}{% endfor %}'\n";
    let error = build(looping, [line, ""], |_| {}).unwrap_err().to_string();
    assert!(error.contains("`doc_to_text`") && error.contains("fuel"), "{error}");

    let root = data_root(line);
    let pattern = CHOICE
        .replace("multiple_choice", "generate_until")
        .replace("doc_to_choice: '{{choices}}'\n", "")
        .replace("metric: acc", "metric: exact_match")
        + "filter_list: [{name: f, filter: [{function: regex, regex_pattern: '^(a+)+$'}]}]\n";
    let task = Task::from_yaml(&pattern, "quiz").unwrap();
    let mut toy = crate::toy::Toy::new(&("a".repeat(200) + "!"));
    let options = EvaluateOptions::new(PromptOptions::new(root.path()));
    match evaluate(&mut toy, std::slice::from_ref(&task), &options, &mut ()) {
        Err(error) => assert!(error.to_string().contains("`filter_list`"), "{error}"),
        Ok(evaluation) => assert_eq!(evaluation.tasks[0].samples[0].filtered.as_deref(), Some("[invalid]")),
    }
    assert!(build_prompts(&task, &options.prompts, &no_chat).is_ok());
}

/// What a template calls is looked up before an evaluation.
#[test]
fn templates_name_what_is_there() {
    let with = |template: &str| CHOICE.replace("'{{question}}'", &format!("'{template}'"));
    for (template, part) in [
        ("{{question|no_such_filter}}", "no_such_filter"),
        ("{{question.no_such_method()}}", "no_such_method"),
        ("{% if question is no_such_test %}x{% endif %}", "no_such_test"),
        ("{{question", "`doc_to_text`"),
        ("{% for %}", "`doc_to_text`"),
    ] {
        let error = message(&with(template));
        assert!(error.contains(part), "{template}: {error}");
    }
    for template in [
        "{{question.strip().split(\". \")[0]|trim}} {{\"x|no_filter .no_method()\"}}",
        "{{ question|regex_replace(\"a\", \"b\") if question is defined else choices|join(\", \") }}",
        "a | no_filter is no_test",
    ] {
        Task::from_yaml(&with(template), "quiz").unwrap();
    }
}
