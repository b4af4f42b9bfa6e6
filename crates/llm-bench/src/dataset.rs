//! Documents from a local root, laid out as `<dataset_path>/<configuration or default>/<split>.jsonl` or as Parquet of
//! that name, and from the hub.

use std::path::{Path, PathBuf};

use hub_cache::{HubAccess, HubError, HubRepo, RepoKind, SplitMatch, split_files};
use record_files::{Records, count, data_files};

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
/// one may be asked. Columns of a Parquet file whose type has no form in JSON (times, bytes, decimals) are left out.
///
/// # Errors
/// [`BenchError::MissingData`] names the path expected; [`BenchError::Hub`] says why the hub did not help;
/// [`BenchError::Records`] names the file and the line or row that cannot be read; [`BenchError::Document`] the field a
/// processor misses.
pub fn load_split(root: &Path, hub: Option<&HubAccess>, task: &Task, split: &str) -> Result<Vec<Document>, BenchError> {
    Split::open(root, hub, task, split)?.documents(usize::MAX)
}

/// The files of a split. Nothing of them is read before it is asked for.
pub(crate) struct Split<'a> {
    task: &'a Task,
    files: Vec<PathBuf>,
}

impl<'a> Split<'a> {
    pub(crate) fn open(root: &Path, hub: Option<&HubAccess>, task: &'a Task, split: &str) -> Result<Self, BenchError> {
        let files = locate(root, hub, task, split)?;
        Ok(Self { task, files })
    }

    /// Documents in the split; none of them is parsed.
    pub(crate) fn count(&self) -> Result<usize, BenchError> {
        let mut documents = 0;
        for path in &self.files {
            documents += count(path)? as usize;
        }
        Ok(documents)
    }

    /// The first `limit` documents.
    pub(crate) fn documents(&self, limit: usize) -> Result<Vec<Document>, BenchError> {
        let mut documents = Vec::new();
        for path in &self.files {
            if documents.len() == limit {
                break;
            }
            for record in Records::open(path)?.take(limit - documents.len()) {
                documents.push(record?.fields);
            }
        }
        if let Some(processor) = self.task.process_docs {
            for (doc_id, document) in documents.iter_mut().enumerate() {
                let processed = processor.apply(document);
                processed.map_err(|error| error.in_document(self.task, doc_id))?;
            }
        }
        Ok(documents)
    }
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

/// Names of the data files in a folder; an absent folder has none.
fn file_names(folder: &Path) -> Result<Vec<String>, BenchError> {
    if !folder.try_exists().unwrap_or(true) {
        return Ok(Vec::new());
    }
    Ok(data_files(folder)?)
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
