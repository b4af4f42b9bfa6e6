//! One line per sample, and the hashes that identify documents and questions.

use std::path::Path;

use serde_json::{Value, json};

use crate::journal::{not_written, sha256};
use crate::task::GenerationKwargs;
use crate::{
    Answer, BenchError, Document, GenerationRequest, Loglikelihood, Prompt, Requests, Sample, Task, TaskEvaluation,
};

pub(super) fn write_samples(task: &TaskEvaluation, path: &Path) -> Result<(), BenchError> {
    let mut lines = String::new();
    for sample in &task.samples {
        lines.push_str(&serde_json::to_string(&sample_json(&task.task, sample))?);
        lines.push('\n');
    }
    std::fs::write(path, lines).map_err(not_written(path))
}

/// SHA-256 of a document as indented JSON, as the original hashes it.
pub(crate) fn document_hash(document: &Document) -> String {
    sha256(&serde_json::to_string_pretty(document).expect("a map of JSON values is JSON"))
}

/// Hash over the hashes of all samples, so that two files can be seen to hold the same questions.
pub(super) fn task_hash(task: &TaskEvaluation) -> String {
    let hashes = task.samples.iter().map(|sample| {
        document_hash(&sample.prompt.document)
            + &sha256(sample.prompt.requests.first_context())
            + &sha256(&sample.prompt.target)
    });
    sha256(&hashes.collect::<String>())
}

/// A log-likelihood and its flag as Python prints them, which is how the original writes them.
fn score_json(score: &Loglikelihood) -> Value {
    let greedy = if score.is_greedy { "True" } else { "False" };
    json!([python_float(score.sum), greedy])
}

/// A number as Python prints it: always with a point or an exponent, the exponent signed and of two digits.
fn python_float(value: f64) -> String {
    let text = format!("{value:?}").to_lowercase();
    let parts = text.split_once('e');
    match parts.and_then(|(digits, exponent)| Some((digits, exponent.parse::<i32>().ok()?))) {
        Some((digits, exponent)) => format!("{digits}e{exponent:+03}"),
        None => text,
    }
}

/// The task's own generation settings, or the original's where the task has none.
fn generation_json(task: &Task, request: &GenerationRequest) -> Value {
    let kwargs = &task.generation_kwargs;
    if *kwargs == GenerationKwargs::default() {
        return json!({
            "temperature": 0.0, "do_sample": false, "max_gen_toks": request.max_gen_toks, "until": request.until,
        });
    }
    let mut written = json!(kwargs);
    if kwargs.until.is_none() {
        written["until"] = json!(request.until);
    }
    written
}

fn arguments_json(task: &Task, requests: &Requests) -> Value {
    let arguments = match requests {
        Requests::Choices(pairs) => {
            let pairs = pairs.iter();
            pairs
                .map(|pair| json!({"arg_0": &*pair.context, "arg_1": pair.continuation}))
                .collect()
        }
        Requests::Text(request) => vec![json!({"arg_0": request.context, "arg_1": generation_json(task, request)})],
        Requests::Rolling(text) => vec![json!({"arg_0": text})],
    };
    let numbered = arguments.into_iter().enumerate();
    numbered
        .map(|(index, value)| (format!("gen_args_{index}"), value))
        .collect()
}

/// One response per request, and what a filter left of each.
fn responses_json(sample: &Sample) -> (Vec<Value>, Vec<Value>) {
    match &sample.answer {
        Answer::Choices(scores) => {
            let scores: Vec<Value> = scores.iter().map(score_json).collect();
            (scores.iter().map(|score| json!([score])).collect(), scores)
        }
        Answer::Text(text) => (vec![json!([text])], vec![json!(sample.filtered)]),
        Answer::Texts(texts) => (vec![json!(texts)], vec![json!(sample.filtered)]),
        Answer::Rolling(sum) => {
            let sum = json!(python_float(*sum));
            (vec![json!([sum])], vec![sum])
        }
    }
}

/// What a line says before the document is answered.
pub(crate) fn request_json(task: &Task, prompt: &Prompt) -> Value {
    json!({
        "doc_id": prompt.doc_id,
        "doc": prompt.document,
        "target": prompt.target,
        "arguments": arguments_json(task, &prompt.requests),
        "doc_hash": document_hash(&prompt.document),
        "prompt_hash": sha256(prompt.requests.first_context()),
        "target_hash": sha256(&prompt.target),
    })
}

fn sample_json(task: &Task, sample: &Sample) -> Value {
    let (responses, filtered) = responses_json(sample);
    let names: Vec<&str> = sample.metrics.iter().map(|(name, _)| *name).collect();
    let mut line = request_json(task, &sample.prompt);
    line["resps"] = json!(responses);
    line["filtered_resps"] = json!(filtered);
    line["filter"] = json!(sample.filter);
    line["metrics"] = json!(names);
    for (name, value) in &sample.metrics {
        line[*name] = value.to_json();
    }
    line
}
