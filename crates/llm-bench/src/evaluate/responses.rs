//! [`judge_responses`]: texts that were generated elsewhere, judged as if a model had answered.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use record_files::{Record, Records};
use serde_json::Value;

use super::prepare::prepare;
use super::{EvaluateOptions, Evaluation};
use crate::journal::sha256;
use crate::task::Task;
use crate::{Answer, BenchError, ChatPrompt, ModelDescription, Prompt, Requests, Turn};

/// Judges saved responses to a task that generates text, without a model. Each line of the JSONL file (or row of a Parquet
/// file) is `{"key": .., "response": ".."}`: the key is a document's field `key`, or its index in the split where the
/// documents have no such field. A key may occur more than once or not at all. There is one sample per line and filter, in
/// the order of the lines, and scores count lines.
///
/// Of the options, [`PromptOptions`](crate::PromptOptions) say where the data are, and what else would have been asked;
/// the chat template needs a model.
///
/// # Errors
/// As [`evaluate()`](crate::evaluate()) for the task and its data; [`BenchError::Responses`] for a file without responses
/// or a task that asks for no text; [`BenchError::Records`] for a line that is not as above, or of no document.
pub fn judge_responses(task: &Task, responses: &Path, options: &EvaluateOptions) -> Result<Evaluation, BenchError> {
    let start = Instant::now();
    let (judging, prompts) = match prepare(std::slice::from_ref(task), &options.prompts, &no_chat, usize::MAX)?.pop() {
        Some(task) => task.judging(),
        None => unreachable!("one task was given"),
    };
    let by_key = by_key(task, responses, &prompts)?;
    let mut answers = Vec::new();
    for record in Records::open(responses)? {
        answers.push(response(&record?, task, &by_key)?);
    }
    if answers.is_empty() {
        return Err(refused(responses, "no response is there: a line for each is expected"));
    }
    let texts = serde_json::to_string(&answers.iter().map(|(_, answer)| answer).collect::<Vec<_>>())?;
    let model = ModelDescription {
        name: responses.display().to_string(),
        ..Default::default()
    };
    let mut evaluation = Evaluation::begin(model, sha256(&texts), options);
    if let Some(output) = &options.output {
        evaluation.create_folder(&output.directory)?;
    }
    let samples = answers.iter().map(|(prompt, answer)| judging.samples(prompt, answer));
    let samples = samples.collect::<Result<Vec<_>, _>>()?;
    evaluation.add(judging.finish(samples), start)?;
    Ok(evaluation)
}

fn no_chat(_: &[Turn], _: bool) -> Result<ChatPrompt, BenchError> {
    Err(BenchError::Model("saved responses come without a chat template".into()))
}

fn refused(path: &Path, problem: impl Into<String>) -> BenchError {
    BenchError::Responses {
        path: path.to_owned(),
        problem: problem.into(),
    }
}

/// Documents by their keys, as JSON.
fn by_key<'a>(
    task: &Task,
    responses: &Path,
    prompts: &'a [Arc<Prompt>],
) -> Result<HashMap<String, &'a Arc<Prompt>>, BenchError> {
    let mut by_key = HashMap::with_capacity(prompts.len());
    for prompt in prompts {
        if !matches!(prompt.requests, Requests::Text(_)) {
            let form = task.output_type.name();
            let problem = format!("task {} asks for no text: its output_type is {form}", task.task);
            return Err(refused(responses, problem));
        }
        let key = prompt.document.get("key").cloned();
        let key = key.unwrap_or_else(|| Value::from(prompt.doc_id)).to_string();
        if by_key.insert(key.clone(), prompt).is_some() {
            let problem = format!("two documents of task {} have the key {key}", task.task);
            return Err(refused(responses, problem));
        }
    }
    Ok(by_key)
}

/// The document that a record answers, and the answer.
fn response(
    record: &Record,
    task: &Task,
    by_key: &HashMap<String, &Arc<Prompt>>,
) -> Result<(Arc<Prompt>, Answer), BenchError> {
    let key = record.field("key")?.unwrap_or(&Value::Null).to_string();
    let Some(prompt) = by_key.get(&key) else {
        let expected = format!("`key` to be that of a document of task {}", task.task);
        return Err(record.error(expected, key).into());
    };
    match record.field("response")? {
        Some(Value::String(text)) => Ok(((*prompt).clone(), Answer::Text(text.clone()))),
        other => {
            let found = other.map_or("nothing".to_owned(), Value::to_string);
            Err(record.error("`response` to be text", found).into())
        }
    }
}
