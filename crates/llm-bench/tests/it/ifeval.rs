//! IFEval: the verdicts of lm-evaluation-harness's own checkers, saved responses, scores, and what is refused.
//! `instructions.rs` has each type of instruction.

use std::path::{Path, PathBuf};

use llm_bench::{BenchError, EvaluateOptions, Evaluation, PromptOptions, Task, judge_responses};
use serde_json::{Value, json};

const LANGUAGE: [&str; 3] = [
    "change_case:english_capital",
    "change_case:english_lowercase",
    "language:response_language",
];

pub(crate) fn judged(root: &Path, responses: &Path) -> Result<Evaluation, BenchError> {
    let options = EvaluateOptions::new(PromptOptions::new(root));
    judge_responses(&Task::builtin("ifeval").unwrap(), responses, &options)
}

/// A metric of each sample, as samples files have it.
pub(crate) fn values<'a>(evaluation: &'a Evaluation, metric: &str) -> Vec<&'a Value> {
    let samples = evaluation.tasks[0].samples.iter();
    let values = samples.map(|sample| sample.metrics.iter().find(|(name, _)| *name == metric).unwrap());
    values.map(|(_, value)| value.written.as_ref().unwrap()).collect()
}

#[test]
fn verdicts_are_those_of_the_reference_checkers() {
    let (Some(root), Some(verdicts)) = (
        fixtures::shared("data/benchmarks"),
        fixtures::shared("reference/ifeval"),
    ) else {
        return;
    };
    let path = verdicts.join("verdicts.jsonl");
    let evaluation = judged(&root, &path).unwrap();
    let lines = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), evaluation.tasks[0].samples.len()), (1677, 1677));
    let (mut of_language, mut differing) = (0, 0);
    for (metric, key) in [("inst_level_strict_acc", "strict"), ("inst_level_loose_acc", "loose")] {
        let found = values(&evaluation, metric);
        for ((line, found), sample) in lines.iter().zip(found).zip(&evaluation.tasks[0].samples) {
            assert_eq!(sample.prompt.document["key"], line["key"]);
            let (expected, found) = (line[key].as_array().unwrap(), found.as_array().unwrap());
            let names = sample.prompt.document["instruction_id_list"].as_array().unwrap();
            assert_eq!((expected.len(), found.len()), (names.len(), names.len()));
            for ((expected, found), name) in expected.iter().zip(found).zip(names) {
                if LANGUAGE.contains(&name.as_str().unwrap()) {
                    of_language += 1;
                    differing += usize::from(expected != found);
                } else {
                    assert_eq!(found, expected, "{key}, {name}: {line}");
                }
            }
        }
    }
    assert!(
        of_language >= 500 && differing * 50 <= of_language,
        "{differing} of {of_language}"
    );
}

/// A data root with a small Punkt model and documents of one instruction each, numbered from 0.
pub(crate) fn small_root(instructions: &[(&str, Value)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let model = root.path().join("nltk/punkt_tab/english");
    std::fs::create_dir_all(&model).unwrap();
    for (name, text) in [
        ("abbrev_types.txt", "dr\ne.g\nu.s"),
        ("collocations.tab", "st\tlouis"),
        ("sent_starters.txt", "the"),
        ("ortho_context.tab", "the\t18\nsmith\t4\nrun\t46"),
    ] {
        std::fs::write(model.join(name), text).unwrap();
    }
    let data = root.path().join("google/IFEval/default");
    std::fs::create_dir_all(&data).unwrap();
    let documents = instructions.iter().enumerate().map(|(key, (id, kwargs))| {
        let document = json!({"key": key, "prompt": "?", "instruction_id_list": [id], "kwargs": [kwargs]});
        format!("{document}\n")
    });
    std::fs::write(data.join("train.jsonl"), documents.collect::<String>()).unwrap();
    root
}

/// Writes responses by the number of their document.
pub(crate) fn responses(root: &Path, responses: &[(usize, &str)]) -> PathBuf {
    let path = root.join("responses.jsonl");
    let lines = responses
        .iter()
        .map(|(key, response)| format!("{}\n", json!({"key": key, "response": response})));
    std::fs::write(&path, lines.collect::<String>()).unwrap();
    path
}

/// What is wrong with one document, or with the responses.
fn message(instruction: (&str, Value), lines: &str) -> String {
    let root = small_root(&[instruction]);
    let path = root.path().join("responses.jsonl");
    std::fs::write(&path, lines).unwrap();
    judged(root.path(), &path).unwrap_err().to_string()
}

#[test]
fn instructions_that_cannot_be_checked_are_errors() {
    for (id, kwargs, expected) in [
        (
            "keywords:rhyme",
            json!({}),
            "`instruction_id_list`: unknown instruction \"keywords:rhyme\"",
        ),
        (
            "length_constraints:number_words",
            json!(null),
            "`kwargs`: 0, of length_constraints:number_words: an object",
        ),
        (
            "length_constraints:number_words",
            json!({"relation": "at least"}),
            "`num_words`: a positive integer",
        ),
        (
            "length_constraints:number_words",
            json!({"num_words": 0, "relation": "at least"}),
            "a positive integer is expected, found 0",
        ),
        (
            "length_constraints:number_words",
            json!({"num_words": 2, "relation": "at most"}),
            "\"less than\" or",
        ),
        (
            "keywords:existence",
            json!({"keywords": []}),
            "`keywords`: a list of texts is expected, found []",
        ),
        (
            "keywords:existence",
            json!({"keywords": ["a("]}),
            "the expression `a(` does not compile",
        ),
        (
            "keywords:letter_frequency",
            json!({"letter": "ab"}),
            "`letter`: one character is expected, found \"ab\"",
        ),
        (
            "length_constraints:nth_paragraph_first_word",
            json!({"num_paragraphs": 2, "nth_paragraph": 3}),
            "`nth_paragraph`: at most `num_paragraphs` is expected, found 3",
        ),
    ] {
        let error = message((id, kwargs), "");
        assert!(
            error.contains("task ifeval, document 0: ") && error.contains(expected),
            "{error}"
        );
    }
}

#[test]
fn an_expression_that_goes_back_too_often_is_an_error() {
    let keyword = json!({"keywords": ["(a+)+\\1c"]});
    let line = json!({"key": 0, "response": "a".repeat(40) + "b"}).to_string();
    let error = message(("keywords:existence", keyword), &line);
    assert!(
        error.contains("`metric_list`: the expression `(a+)+\\1c` cannot be matched"),
        "{error}"
    );
}

#[test]
fn responses_that_belong_to_no_document_are_errors() {
    let comma = ("punctuation:no_comma", json!({}));
    for (lines, expected) in [
        ("", "no response is there"),
        (
            "{\"key\": 1, \"response\": \"\"}",
            "responses.jsonl:1: expected `key` to be that of a document of task ifeval",
        ),
        ("{\"response\": \"\"}", "found null"),
        (
            "{\"key\": 0, \"response\": \"\"}\n{\"key\": 0}",
            "responses.jsonl:2: expected `response` to be text, found nothing",
        ),
        (
            "{\"key\": 0, \"response\": [\"a\"]}",
            "`response` to be text, found [\"a\"]",
        ),
    ] {
        let error = message(comma.clone(), lines);
        assert!(error.contains(expected), "{error}");
    }
    let root = small_root(&[comma]);
    let path = responses(root.path(), &[(0, "a")]);
    let options = EvaluateOptions::new(PromptOptions::new(root.path()));
    let task = Task::from_yaml(
        "{task: t, dataset_path: google/IFEval, output_type: loglikelihood_rolling, test_split: train, doc_to_text: '', \
         doc_to_target: '{{prompt}}', metric_list: [{metric: byte_perplexity}]}",
        "t",
    );
    let error = judge_responses(&task.unwrap(), &path, &options)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("task t asks for no text: its output_type is loglikelihood_rolling"),
        "{error}"
    );
}

#[test]
fn a_missing_or_broken_model_of_sentences_is_an_error_that_says_where_it_comes_from() {
    let root = small_root(&[("punctuation:no_comma", json!({}))]);
    let path = responses(root.path(), &[(0, "a")]);
    let model = root.path().join("nltk/punkt_tab/english");
    std::fs::write(model.join("ortho_context.tab"), "the\t18\nsmith\tfour\n").unwrap();
    let error = judged(root.path(), &path).unwrap_err().to_string();
    assert!(
        error.contains("ortho_context.tab, line 2: a word, a tab and an integer expected"),
        "{error}"
    );
    std::fs::remove_file(model.join("ortho_context.tab")).unwrap();
    let error = judged(root.path(), &path).unwrap_err().to_string();
    assert!(
        error.contains("english/ortho_context.tab: ") && error.contains("punkt_tab.zip"),
        "{error}"
    );
}

/// Two documents, one of them answered twice and the other once.
#[test]
fn scores_count_instructions_of_all_documents_and_parts_by_their_types() {
    let root = small_root(&[("punctuation:no_comma", json!({})), ("startend:quotation", json!({}))]);
    let data = root.path().join("google/IFEval/default/train.jsonl");
    let both = json!({
        "key": 0,
        "prompt": "?",
        "instruction_id_list": ["punctuation:no_comma", "startend:quotation", "language:response_language"],
        "kwargs": [{}, {}, {"language": "de"}],
    });
    let one = json!({"key": 1, "prompt": "?", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]});
    std::fs::write(data, format!("{both}\n{one}\n")).unwrap();
    let path = responses(
        root.path(),
        &[(0, "\"12:30\""), (1, "a, b"), (0, "This is not German at all.")],
    );
    let evaluation = judged(root.path(), &path).unwrap();
    let task = &evaluation.tasks[0];
    let [prompt, instruction] =
        ["prompt_level_strict_acc", "inst_level_strict_acc"].map(|name| task.score(name).unwrap());
    assert_eq!(prompt.outcomes, [1.0, 0.0, 0.0]);
    assert!((prompt.value - 1.0 / 3.0).abs() < 1e-12 && prompt.stderr.is_some());
    // Four of seven instructions, of which a document has seven thirds on average.
    assert!((instruction.value - 4.0 / 7.0).abs() < 1e-12, "{}", instruction.value);
    assert_eq!((instruction.stderr, instruction.n), (None, 3));
    for (outcome, followed) in instruction.outcomes.iter().zip([3.0, 0.0, 1.0]) {
        assert!((outcome - followed * 3.0 / 7.0).abs() < 1e-12, "{outcome}");
    }
    let parts: Vec<_> = instruction
        .parts
        .iter()
        .map(|part| (part.name.as_str(), part.value, part.n))
        .collect();
    let expected = [
        ("by language", 0.5, 2),
        ("by rule", 0.6, 5),
        ("language:response_language", 0.5, 2),
        ("punctuation:no_comma", 2.0 / 3.0, 3),
        ("startend:quotation", 0.5, 2),
    ];
    assert_eq!(parts.len(), expected.len());
    for (found, expected) in parts.iter().zip(expected) {
        assert!(
            (found.0, found.2) == (expected.0, expected.2) && (found.1 - expected.1).abs() < 1e-12,
            "{found:?}"
        );
    }
    let json = evaluation.to_json();
    assert_eq!(
        json["parts"]["ifeval"]["inst_level_strict_acc,none"]["by language"],
        json!({"value": 0.5, "n": 2})
    );
    assert_eq!(json["results"]["ifeval"]["inst_level_strict_acc_stderr,none"], "N/A");
}

/// As in the harness's samples files.
#[test]
fn samples_have_truth_values() {
    let root = small_root(&[("punctuation:no_comma", json!({}))]);
    let path = responses(root.path(), &[(0, "a, b"), (0, "a\nb, c")]);
    let evaluation = judged(root.path(), &path).unwrap();
    let files = evaluation.write(&root.path().join("results"), true).unwrap();
    let lines = std::fs::read_to_string(&files.samples[0]).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [first, second] = lines.as_slice() else {
        panic!("two samples expected: {lines:?}")
    };
    assert_eq!(first["inst_level_strict_acc"], json!([false]));
    assert_eq!(first["prompt_level_loose_acc"], json!(false));
    assert_eq!(second["inst_level_loose_acc"], json!([true]));
    assert_eq!(second["prompt_level_loose_acc"], json!(true));
    assert_eq!(second["resps"], json!([["a\nb, c"]]));
}

/// Text that is one word to the rules of sentences and tokens, and marks without end: in a time that grows with the
/// length, not with its square.
#[test]
fn long_responses_without_blanks_are_judged() {
    let sentences = json!({"num_sentences": 2, "relation": "less than"});
    let capitals = json!({"capital_frequency": 1, "capital_relation": "at least"});
    let instructions = [
        ("length_constraints:number_sentences", sentences),
        ("change_case:capital_word_frequency", capitals),
        ("detectable_format:json_format", json!({})),
    ];
    let root = small_root(&instructions);
    for part in ["A.", "A.)", ".", "?\"", "A'", "-", "``", "[", "\n"] {
        let text = part.repeat(100_000);
        let path = responses(root.path(), &[(0, &text), (1, &text), (2, &text)]);
        assert_eq!(
            judged(root.path(), &path).unwrap().tasks[0].samples.len(),
            3,
            "{part:?}"
        );
    }
}
