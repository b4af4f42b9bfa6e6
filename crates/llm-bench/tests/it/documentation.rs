//! Checks that docs/evaluation.md matches the code.

use llm_bench::Task;
use llm_bench::task::{FewshotSampler, Samples};

use crate::quiz::{CHOICE, message};

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/evaluation.md");
    std::fs::read_to_string(path).unwrap()
}

/// How many examples are shown, and from where.
fn examples(task: &Task) -> String {
    let (own, split) = (task.num_fewshot.unwrap_or(0), task.examples_split());
    if let Some(Samples::File(file)) = &task.fewshot_config.samples {
        return format!("{own}, `fewshot/{}.jsonl`", file.file);
    }
    match task.fewshot_config.sampler {
        _ if task.num_fewshot == Some(0) => "0, always".to_owned(),
        FewshotSampler::Default => format!("{own}, {split}"),
        FewshotSampler::FirstN => format!("{own}, first of {split}"),
    }
}

/// Names, each in backticks.
fn code<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn row(task: &Task) -> String {
    let data = std::iter::once(task.dataset_path.as_str()).chain(task.dataset_name.as_deref());
    let filters = match task.filter_list.as_slice() {
        [] => String::new(),
        filters => format!(" after {}", code(filters.iter().map(|filter| filter.name.as_str()))),
    };
    format!(
        "| `{}` | {} | {} | {} | `{}` | {}{filters} |",
        task.task,
        code(data),
        task.evaluated_split(),
        examples(task),
        task.output_type.name(),
        code(task.metric_list.iter().map(|entry| entry.metric.as_str()))
    )
}

#[test]
fn the_table_of_tasks_is_that_of_the_code() {
    // One subject of MMLU stands for all.
    let names = Task::builtin_names().into_iter();
    let names = names.filter(|name| !name.starts_with("mmlu_") || name.contains("anatomy"));
    let rows = names.map(|name| row(&Task::builtin(&name).unwrap()).replace("anatomy", "<subject>"));
    let expected: Vec<String> = rows.collect();
    let page = page();
    let lines = page.lines().skip_while(|line| !line.starts_with("| task | data set |"));
    let found: Vec<&str> = lines.skip(2).take_while(|line| line.starts_with('|')).collect();
    assert_eq!(found, expected, "docs/evaluation.md needs:\n{}", expected.join("\n"));
}

/// The names that an error lists.
fn known(yaml: &str) -> Vec<String> {
    let message = message(yaml);
    let (_, names) = message.split_once(": supported are ").expect(&message);
    let names = names
        .lines()
        .next()
        .unwrap_or(names)
        .split(" at line")
        .next()
        .unwrap_or(names);
    names.split(", ").map(str::to_owned).collect()
}

fn forms_and_metrics() -> [Vec<String>; 2] {
    let forms = known(&CHOICE.replace("multiple_choice", "nothing"));
    let metrics = known(&CHOICE.replace("metric: acc,", "metric: nothing,"));
    assert!(forms.len() >= 3 && metrics.len() >= 7, "{forms:?} {metrics:?}");
    [forms, metrics]
}

#[test]
fn every_form_and_metric_is_documented() {
    let page = page();
    let [forms, metrics] = forms_and_metrics();
    for (key, names) in [("output_type", forms), ("metric_list", metrics)] {
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| `{key}` |")))
            .unwrap();
        for name in names {
            assert!(row.contains(&format!("`{name}`")), "{name} is missing in: {row}");
        }
    }
}

/// A new form or metric is a file and a line in a table because no other file asks which one it has before it.
#[test]
fn forms_and_metrics_are_named_in_their_own_files_alone() {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let names = forms_and_metrics().concat();
    for folder in ["", "evaluate", "output", "prompt", "report", "stats", "task"] {
        for entry in std::fs::read_dir(source.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            // A report has a column of perplexities of held-out text, which no task measures.
            let named = code.filter(|line| line.trim() != "\"perplexity\",");
            for (line, name) in named.flat_map(|line| names.iter().map(move |name| (line, name))) {
                assert!(!line.contains(&format!("\"{name}\"")), "{}: {line}", path.display());
            }
        }
    }
}
