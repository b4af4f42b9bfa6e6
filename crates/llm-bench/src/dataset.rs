//! Documents from a local root, laid out as `<dataset_path>/<configuration or default>/<split>.jsonl`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{BenchError, Document, Task};

/// Where the documents of a split are expected.
pub fn split_path(root: &Path, task: &Task, split: &str) -> PathBuf {
    let configuration = task.dataset_name.as_deref().unwrap_or("default");
    root.join(&task.dataset_path)
        .join(configuration)
        .join(format!("{split}.jsonl"))
}

/// Reads a split of the task's data set and applies the task's processor.
///
/// # Errors
/// [`BenchError::MissingData`] names the path expected; [`BenchError::DataLine`] the line that is not a JSON object;
/// [`BenchError::Document`] the field a processor misses.
pub fn load_split(root: &Path, task: &Task, split: &str) -> Result<Vec<Document>, BenchError> {
    let path = split_path(root, task, split);
    let bytes = std::fs::read(&path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => BenchError::MissingData {
            task: task.task.clone(),
            split: split.to_owned(),
            path: path.clone(),
        },
        _ => BenchError::Read {
            path: path.clone(),
            source,
        },
    })?;
    let mut documents = Vec::new();
    // Only the byte \n ends a line: U+2028 and its like may stand inside a JSON string.
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let mut document = parse_line(line).map_err(|problem| BenchError::DataLine {
            path: path.clone(),
            line: index + 1,
            problem,
        })?;
        if let Some(processor) = task.process_docs {
            processor
                .apply(&mut document)
                .map_err(|(field, problem)| BenchError::Document {
                    task: task.task.clone(),
                    doc_id: documents.len(),
                    field,
                    problem,
                })?;
        }
        documents.push(document);
    }
    Ok(documents)
}

fn parse_line(line: &[u8]) -> Result<Document, String> {
    match serde_json::from_slice(line) {
        Ok(Value::Object(document)) => Ok(document),
        Ok(_) => Err("a JSON object is expected".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
