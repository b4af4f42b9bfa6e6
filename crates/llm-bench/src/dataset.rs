//! Reads documents below a local root, from `<dataset_path>/<configuration or default>/<split>.jsonl` or Parquet files
//! of that name, and from files in other places.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use record_files::{RecordError, Records, SplitMatch, count, data_files, split_files};

use crate::task::SamplesFile;
use crate::{BenchError, Document, Task};

/// Where the files of data sets are.
///
/// Below the root a split is `<dataset_path>/<configuration or default>/<split>.jsonl`. `<split>.parquet` and the hub's
/// `<split>-00000-of-00002.parquet` in the same folder do as well, and go before JSONL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSets {
    root: PathBuf,
    /// Files by data set, configuration and split.
    elsewhere: BTreeMap<[String; 3], Vec<PathBuf>>,
}

impl DataSets {
    /// The data sets below a folder.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            elsewhere: BTreeMap::new(),
        }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Sets the files of a split, in order. They replace those below the root.
    pub fn place(&mut self, task: &Task, split: &str, files: Vec<PathBuf>) {
        self.elsewhere.insert(name(task, split), files);
    }

    /// The files of a split.
    ///
    /// # Errors
    /// [`BenchError::MissingData`] names the path expected; [`BenchError::Records`] the folder that cannot be read.
    pub fn files(&self, task: &Task, split: &str) -> Result<Vec<PathBuf>, BenchError> {
        if let Some(files) = self.named_by(task, split)? {
            return Ok(files);
        }
        if let Some(files) = self.elsewhere.get(&name(task, split)) {
            return Ok(files.clone());
        }
        let folder = self.root.join(&task.dataset_path).join(configuration(task));
        let place = folder.display().to_string();
        match split_files(&place, &file_names(&folder)?, None, split, SplitMatch::Exact) {
            Ok(names) => Ok(names.into_iter().map(|name| folder.join(name)).collect()),
            Err(RecordError::Split { found, .. }) => Err(BenchError::MissingData {
                task: task.task.clone(),
                split: split.to_owned(),
                path: folder.join(format!("{split}.jsonl")),
                found,
            }),
            Err(error) => Err(error.into()),
        }
    }
}

impl DataSets {
    /// The files that the task itself names for a split.
    fn named_by(&self, task: &Task, split: &str) -> Result<Option<Vec<PathBuf>>, BenchError> {
        let files = task
            .dataset_kwargs
            .as_ref()
            .and_then(|kwargs| kwargs.data_files.as_ref());
        let Some(files) = files else {
            return Ok(None);
        };
        match files.get(split) {
            Some(names) => Ok(Some(names.to_vec().iter().map(|name| self.root.join(name)).collect())),
            None => Err(BenchError::MissingData {
                task: task.task.clone(),
                split: split.to_owned(),
                path: self.root.clone(),
                found: format!("dataset_kwargs.data_files with {:?}", files.keys().collect::<Vec<_>>()),
            }),
        }
    }

    /// The examples of a file `ROOT/fewshot/<name>.jsonl`.
    pub(crate) fn published(&self, task: &Task, file: &SamplesFile) -> Result<Vec<Document>, BenchError> {
        let path = self.root.join("fewshot").join(format!("{}.jsonl", file.file));
        if !path.is_file() {
            return Err(BenchError::MissingExamples {
                task: task.task.clone(),
                path,
                origin: file.source.clone(),
            });
        }
        let documents = Records::open(&path)?.map(|record| Ok(record?.fields));
        documents.collect()
    }
}

fn name(task: &Task, split: &str) -> [String; 3] {
    [&task.dataset_path, configuration(task), split].map(str::to_owned)
}

fn configuration(task: &Task) -> &str {
    task.dataset_name.as_deref().unwrap_or("default")
}

/// Names of the data files in a folder; an absent folder has none.
fn file_names(folder: &Path) -> Result<Vec<String>, BenchError> {
    if !folder.try_exists().unwrap_or(true) {
        return Ok(Vec::new());
    }
    Ok(data_files(folder)?)
}

/// Reads a split of the task's data set and applies the task's processor. Columns of a Parquet file whose type JSON
/// cannot represent (times, bytes, decimals) are left out.
///
/// # Errors
/// As [`DataSets::files`]; [`BenchError::Records`] names the file and the line or row that cannot be read;
/// [`BenchError::Document`] the field a processor misses.
pub fn load_split(data: &DataSets, task: &Task, split: &str) -> Result<Vec<Document>, BenchError> {
    Split::open(data, task, split)?.documents(usize::MAX)
}

/// The files of a split, read on request.
pub(crate) struct Split<'a> {
    task: &'a Task,
    files: Vec<PathBuf>,
}

impl<'a> Split<'a> {
    pub(crate) fn open(data: &DataSets, task: &'a Task, split: &str) -> Result<Self, BenchError> {
        let files = data.files(task, split)?;
        Ok(Self { task, files })
    }

    /// Number of documents in the split, without parsing them.
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
