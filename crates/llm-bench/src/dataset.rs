//! Documents from a local root, laid out as `<dataset_path>/<configuration or default>/<split>.jsonl` or as Parquet of
//! that name, and from the hub.

mod parquet;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use hub_cache::{HubAccess, HubError, HubRepo, RepoKind, SplitMatch, split_files};
use serde_json::Value;

use crate::{BenchError, Document, Task};

/// Branch on which the hub keeps every data set as Parquet, whatever its authors uploaded.
const CONVERTED: &str = "refs/convert/parquet";

/// Where the documents of a split are expected as JSONL. `<split>.parquet` and the hub's
/// `<split>-00000-of-00002.parquet` in the same folder do as well, and go before JSONL.
pub fn split_path(root: &Path, task: &Task, split: &str) -> PathBuf {
    configuration_folder(root, task).join(format!("{split}.jsonl"))
}

fn configuration_folder(root: &Path, task: &Task) -> PathBuf {
    let configuration = task.dataset_name.as_deref().unwrap_or("default");
    root.join(&task.dataset_path).join(configuration)
}

/// Reads a split of the task's data set and applies the task's processor. What the root lacks comes from the hub where
/// one may be asked.
///
/// # Errors
/// [`BenchError::MissingData`] names the path expected; [`BenchError::Hub`] says why the hub did not help;
/// [`BenchError::Read`] the file or folder that cannot be read; [`BenchError::DataLine`] the line that is not a JSON object; [`BenchError::Parquet`] the row that cannot be read;
/// [`BenchError::Document`] the field a processor misses.
pub fn load_split(root: &Path, hub: Option<&HubAccess>, task: &Task, split: &str) -> Result<Vec<Document>, BenchError> {
    let mut documents = Vec::new();
    for path in locate(root, hub, task, split)? {
        match path.extension().is_some_and(|extension| extension == "parquet") {
            true => documents.extend(parquet::read(&path)?),
            false => documents.extend(read_lines(&path)?),
        }
    }
    if let Some(processor) = task.process_docs {
        for (doc_id, document) in documents.iter_mut().enumerate() {
            let processed = processor.apply(document);
            processed.map_err(|(field, problem)| BenchError::Document {
                task: task.task.clone(),
                doc_id,
                field,
                problem,
            })?;
        }
    }
    Ok(documents)
}

/// The files of a split.
fn locate(root: &Path, hub: Option<&HubAccess>, task: &Task, split: &str) -> Result<Vec<PathBuf>, BenchError> {
    let folder = configuration_folder(root, task);
    let place = folder.display().to_string();
    let found = split_files(&place, &file_names(&folder)?, None, split, SplitMatch::Exact);
    match (found, hub) {
        (Ok(names), _) => Ok(names.into_iter().map(|name| folder.join(name)).collect()),
        (Err(_), Some(access)) => Ok(fetch(access, task, split)?),
        (Err(HubError::Split { found, .. }), None) => Err(BenchError::MissingData {
            task: task.task.clone(),
            split: split.to_owned(),
            path: split_path(root, task, split),
            found,
        }),
        (Err(error), None) => Err(error.into()),
    }
}

/// Names in a folder; an absent folder has none.
fn file_names(folder: &Path) -> Result<Vec<String>, BenchError> {
    let wrong = |source| BenchError::Read {
        path: folder.to_owned(),
        source,
    };
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(wrong)?,
    };
    let name = |entry: std::io::Result<std::fs::DirEntry>| Ok(entry.map_err(wrong)?.file_name().into_string().ok());
    entries.map(name).filter_map(Result::transpose).collect()
}

/// The files of a split by way of the hub's cache: as uploaded, else as the hub converted them.
fn fetch(access: &HubAccess, task: &Task, split: &str) -> Result<Vec<PathBuf>, HubError> {
    let uploaded = HubRepo::new(RepoKind::Dataset, &task.dataset_path, access.clone());
    let configuration = task.dataset_name.as_deref();
    match uploaded.split(configuration, split, SplitMatch::Exact) {
        // Without a network the cache may still hold the conversion.
        Err(
            error @ (HubError::Split { .. }
            | HubError::Unreachable { .. }
            | HubError::Unavailable { .. }
            | HubError::NoNetwork { .. }),
        ) => {
            let converted = HubRepo {
                revision: CONVERTED.to_owned(),
                ..uploaded
            };
            converted.split(configuration, split, SplitMatch::Exact).or(Err(error))
        }
        other => other,
    }
}

fn read_lines(path: &Path) -> Result<Vec<Document>, BenchError> {
    let bytes = std::fs::read(path).map_err(|source| BenchError::Read {
        path: path.to_owned(),
        source,
    })?;
    // Only the byte \n ends a line: U+2028 and its like may stand inside a JSON string.
    let lines = bytes.split(|&byte| byte == b'\n').enumerate();
    let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    let document = |(index, line)| {
        parse_line(line).map_err(|problem| BenchError::DataLine {
            path: path.to_owned(),
            line: index + 1,
            problem,
        })
    };
    lines.map(document).collect()
}

fn parse_line(line: &[u8]) -> Result<Document, String> {
    match serde_json::from_slice(line) {
        _ if line.starts_with(b"\xEF\xBB\xBF") => {
            Err("begins with a byte order mark (BOM); plain UTF-8 without one is expected".to_owned())
        }
        Ok(Value::Object(document)) => Ok(document),
        Ok(_) => Err("a JSON object is expected".to_owned()),
        Err(error) => {
            // The parser saw one line, and calls it line 1.
            let message = error.to_string();
            let problem = message.split(" at line ").next().unwrap_or(&message);
            Err(format!("{problem} at column {}", error.column()))
        }
    }
}
