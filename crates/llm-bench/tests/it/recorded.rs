//! Samples files of two evaluations, paired: ours, the harness's, and what is neither.

use std::path::{Path, PathBuf};

use fixtures::shared;
use llm_bench::report::Report;
use llm_bench::{
    BenchError, EvaluateOptions, PairOptions, PairedSamples, PromptOptions, QuestionOutcomes, SamplesFile, Scale, Task,
    evaluate, pair_samples,
};
use serde_json::{Value, json};

use crate::quiz::{CHOICE, data_root, questions};
use crate::toy::Toy;

fn written(folder: &Path, name: &str, lines: &[Value]) -> SamplesFile {
    let path = folder.join(name);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(&path, text).unwrap();
    SamplesFile::read(&path).unwrap()
}

/// A sample as the harness writes it.
fn sample(doc_id: usize, right: bool) -> Value {
    json!({
        "doc_id": doc_id,
        "doc": {"question": format!("q{doc_id}?"), "passage": doc_id / 2},
        "target": "1",
        "filter": "none",
        "metrics": ["acc"],
        "doc_hash": format!("hash of {doc_id}"),
        "prompt_hash": "a prompt",
        "acc": f64::from(u8::from(right)),
    })
}

fn paired(a: &[Value], b: &[Value], options: &PairOptions) -> Result<PairedSamples, BenchError> {
    let folder = tempfile::tempdir().unwrap();
    let a = written(folder.path(), "samples_quiz_2026-01-02T03-04-05.1.jsonl", a);
    let b = written(folder.path(), "samples_quiz_2026-01-03T03-04-05.1.jsonl", b);
    assert_eq!((a.task(), b.task()), ("quiz", "quiz"));
    pair_samples(&a, &b, options)
}

#[test]
fn documents_are_paired_by_their_hashes_in_any_order() {
    let a: Vec<Value> = (0..6).map(|i| sample(i, i % 2 == 0)).collect();
    let b: Vec<Value> = (0..6).rev().map(|i| sample(i, i < 2)).collect();
    let paired = paired(&a, &b, &PairOptions::default()).unwrap();
    assert_eq!(paired.a[0].values, [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
    assert_eq!(paired.b[0].values, [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!((paired.a[0].score, paired.a[0].measure.scale), (0.5, Scale::Share));
    assert!(paired.notes.is_empty(), "{:?}", paired.notes);
}

/// Brier scores reach 2: values below 1 do not make them percentages.
#[test]
fn brier_scores_are_no_percentages() {
    let scored = |doc_id: usize, score: f64| {
        let mut line = sample(doc_id, true);
        (line["metrics"], line["brier_score"]) = (json!(["brier_score"]), json!(score));
        line
    };
    let lines = [scored(0, 0.25), scored(1, 0.5)];
    let measure = &paired(&lines, &lines, &PairOptions::default()).unwrap().a[0].measure;
    assert_eq!((measure.scale, measure.higher_is_better), (Scale::Plain, false));
}

#[test]
fn documents_that_differ_are_named() {
    let a: Vec<Value> = (0..8).map(|i| sample(i, true)).collect();
    let b: Vec<Value> = (6..9).map(|i| sample(i, true)).collect();
    let error = paired(&a, &b, &PairOptions::default()).unwrap_err().to_string();
    assert!(
        error
            .contains("2 are in both, 6 (doc_id 0, 1, 2, 3, 4, ..) only in the first, 1 (doc_id 8) only in the second"),
        "{error}"
    );
    let common = PairOptions {
        common: true,
        ..PairOptions::default()
    };
    assert_eq!(paired(&a, &b, &common).unwrap().b[0].values, [1.0, 1.0]);
    assert!(paired(&a[..2], &b, &common).is_err());
    // The same document twice is asked twice, and paired with its own repetition.
    let twice = [sample(0, true), sample(0, false)];
    assert_eq!(
        paired(&twice, &twice, &PairOptions::default()).unwrap().a[0].values,
        [1.0, 0.0]
    );
    assert!(paired(&twice, &twice[..1], &PairOptions::default()).is_err());
}

#[test]
fn prompts_and_metrics_that_differ_are_noted() {
    let (mut a, mut b) = (sample(0, true), sample(0, false));
    a["prompt_hash"] = json!("another prompt");
    for line in [&mut a, &mut b] {
        line["metrics"] = json!(["acc", "bleu", "f1"]);
        (line["bleu"], line["f1"]) = (json!(["a", "b"]), json!(0.5));
    }
    b["f1"] = json!("none");
    let paired = paired(&[a], &[b], &PairOptions::default()).unwrap();
    assert_eq!(paired.a.len(), 1);
    let notes = paired.notes.join("\n");
    for note in [
        "the prompts of 1 of 1 documents differ",
        "`f1` is not a number",
        "`bleu` has no single number",
    ] {
        assert!(notes.contains(note), "{notes}");
    }
}

#[test]
fn documents_of_one_passage_form_a_cluster() {
    let a: Vec<Value> = (0..8).map(|i| sample(i, true)).collect();
    let b: Vec<Value> = (0..8).map(|i| sample(i, i < 4)).collect();
    let by = |field: &str| PairOptions {
        cluster: Some(field.to_owned()),
        ..PairOptions::default()
    };
    let outcomes = paired(&a, &b, &by("passage")).unwrap();
    assert_eq!(outcomes.a[0].clusters, ["0", "0", "1", "1", "2", "2", "3", "3"]);
    let models = [("a".to_owned(), outcomes.a), ("b".to_owned(), outcomes.b)];
    let report = Report::of_answers(models, None).unwrap();
    let comparison = &report.comparisons()[0];
    assert_eq!((comparison.result.clusters, comparison.result.n), (4, 8));
    // Two of four passages: the signs of both alike, in one of two directions, of four patterns.
    assert_eq!(comparison.permutation.unwrap().p_value, 0.5);
    let error = paired(&a, &b, &by("page")).unwrap_err().to_string();
    assert!(error.contains("a field `page` in every document"), "{error}");
}

#[test]
fn perplexities_of_texts_weigh_by_length() {
    let text = |doc_id: usize, sum: f64, words: f64| {
        let mut line = sample(doc_id, true);
        line["metrics"] = json!(["word_perplexity", "bits_per_byte"]);
        (line["word_perplexity"], line["bits_per_byte"]) = (json!([sum, words]), json!([sum, 4.0 * words]));
        line
    };
    let (a, b) = (
        [text(0, -30.0, 10.0), text(1, -90.0, 20.0)],
        [text(0, -20.0, 10.0), text(1, -70.0, 20.0)],
    );
    let paired = paired(&a, &b, &PairOptions::default()).unwrap();
    let [words, bits] = &paired.a[..] else {
        panic!("{paired:?}")
    };
    // exp(120 / 30), and 120 nats over 120 bytes in bits.
    assert!((words.score - 4f64.exp()).abs() < 1e-9 && words.measure.scale == Scale::Log);
    assert!((bits.score - 1.0 / std::f64::consts::LN_2).abs() < 1e-12 && !bits.measure.higher_is_better);
    assert!((paired.b[0].score - 3f64.exp()).abs() < 1e-9);
}

#[test]
fn what_is_no_samples_file_is_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        SamplesFile::read(&path).unwrap_err().to_string()
    };
    for (name, text, expected) in [
        ("empty.jsonl", "", "at least one sample, found none"),
        (
            "number.jsonl",
            "{\"acc\": 1.0}\n",
            "sample 1: expected a document's number in `doc_id`",
        ),
        (
            "metric.jsonl",
            "{\"doc_id\": 0, \"acc\": \"yes\"}\n",
            "expected a metric such as `acc`",
        ),
        ("broken.jsonl", "{\"doc_id\": \n", "broken.jsonl:1"),
        ("broken.json", "{", "expected JSON, found"),
        ("results.json", "{\"results\": {}}", "a list in its field `samples`"),
        (
            "two.json",
            "{\"samples\": {\"a\": [], \"b\": []}}",
            "the samples of 2 tasks",
        ),
        ("list.json", "{\"samples\": [3]}", "sample 1: expected a JSON object"),
    ] {
        let error = refused(name, text);
        assert!(error.contains(expected), "{name}: {error}");
    }
    assert!(SamplesFile::read(&folder.path().join("absent.jsonl")).is_err());
    let empty = tempfile::tempdir().unwrap();
    let error = SamplesFile::read_all(empty.path()).unwrap_err().to_string();
    assert!(error.contains("samples_<task>_<date>.jsonl"), "{error}");
}

/// Samples of this crate's own evaluation, whose documents form clusters.
fn evaluated(root: &Path, yaml: &str) -> Result<(PathBuf, Vec<QuestionOutcomes>), BenchError> {
    let task = Task::from_yaml(yaml, "quiz").unwrap();
    let options = EvaluateOptions::new(PromptOptions::new(root));
    let evaluation = evaluate(&mut Toy::new(""), &[task], &options, &mut ())?;
    let folder = root.join("results");
    evaluation.write(&folder, true)?;
    Ok((folder, QuestionOutcomes::of(&evaluation.tasks[0])))
}

#[test]
fn our_own_samples_are_read_and_a_task_states_its_clusters() {
    let root = data_root(&questions(6));
    let yaml = format!("{CHOICE}metadata: {{cluster: answer}}\n");
    let (folder, outcomes) = evaluated(root.path(), &yaml).unwrap();
    assert_eq!(outcomes[0].clusters, ["0", "1", "0", "1", "0", "1"]);
    let files = SamplesFile::read_all(&folder).unwrap();
    assert_eq!((files.len(), files[0].task()), (1, "quiz"));
    std::fs::create_dir(folder.join("other")).unwrap();
    std::fs::copy(
        files[0].path(),
        folder.join("other/samples_quiz_2026-01-02T03-04-05.1.jsonl"),
    )
    .unwrap();
    let error = SamplesFile::read_all(&folder).unwrap_err().to_string();
    assert!(error.contains("samples files in one folder"), "{error}");
    let paired = pair_samples(&files[0], &files[0], &PairOptions::default()).unwrap();
    assert_eq!((&paired.a, paired.a[0].score), (&paired.b, outcomes[0].score));
    assert_eq!(paired.a[0].values, outcomes[0].values);
    let yaml = format!("{CHOICE}metadata: {{cluster: passage}}\n");
    let error = evaluated(root.path(), &yaml).unwrap_err().to_string();
    assert!(
        error.contains("quiz, document 0: `metadata.cluster`: a field `passage` is expected"),
        "{error}"
    );
}

/// The logs of the original program: scores are those that it reports, and zero examples are compared with two.
#[test]
fn logs_of_the_harness_are_read() {
    let Some(folder) = shared("reference/lm_eval") else {
        return;
    };
    for name in [
        "arc_easy_0shot",
        "arc_easy_0shot_chat",
        "arc_easy_2shot",
        "gsm8k_5shot",
        "hellaswag_0shot",
        "mmlu_anatomy_5shot",
        "truthfulqa_mc1",
    ] {
        let path = folder.join(format!("{name}.json"));
        let file = SamplesFile::read(&path).unwrap();
        let paired = pair_samples(&file, &file, &PairOptions::default()).unwrap();
        let log: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let results = log["results"].as_object().unwrap();
        let results = results
            .values()
            .find(|value| value.is_object())
            .map_or(&log["results"], |value| value);
        for outcomes in &paired.a {
            let metric = &outcomes.measure.metric;
            let key = if metric.contains(',') {
                metric.clone()
            } else {
                format!("{metric},none")
            };
            let expected = results[&key]
                .as_f64()
                .unwrap_or_else(|| panic!("{name} {key}: {results}"));
            assert!(
                (outcomes.score - expected).abs() < 1e-9,
                "{name} {key}: {}",
                outcomes.score
            );
        }
    }
    let [none, two] = ["arc_easy_0shot", "arc_easy_2shot"].map(|name| folder.join(format!("{name}.json")));
    let [none, two] = [none, two].map(|path| SamplesFile::read(&path).unwrap());
    let error = pair_samples(&none, &two, &PairOptions::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("25 are in both, 75 (doc_id 25, 26"), "{error}");
    let common = PairOptions {
        common: true,
        ..PairOptions::default()
    };
    let paired = pair_samples(&none, &two, &common).unwrap();
    assert!(
        paired.notes[0].contains("paired by number and target"),
        "{:?}",
        paired.notes
    );
    let models = [("0 examples".to_owned(), paired.a), ("2 examples".to_owned(), paired.b)];
    let report = Report::of_answers(models, Some(10.0)).unwrap();
    assert_eq!(report.comparisons().len(), 2);
    assert!(
        report
            .comparisons()
            .iter()
            .all(|c| c.equivalence.is_some() && c.result.n == 25)
    );
    let table = report.table();
    assert!(
        table.contains("Document by document") && table.contains("equivalent, p"),
        "{table}"
    );
    let page = report.to_html().unwrap();
    assert!(
        page.contains("equivalent within 10.0 points") && !page.contains("<h2>Variants"),
        "{page}"
    );
}
