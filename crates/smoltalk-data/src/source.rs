//! Where conversations come from. Every source streams.

mod hub;
mod jsonl;
mod parquet;
mod split;

pub use hub::HubDataset;
pub(crate) use split::fingerprint;

use crate::{Conversation, DataError};
use hub_cache::{SplitMatch, split_files};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A place that conversations can be read from, any number of times, in the same order.
#[derive(Clone, Debug)]
pub struct Source {
    kind: Kind,
    /// Sides of splits, one within the other.
    parts: Vec<split::Part>,
}

#[derive(Clone, Debug)]
enum Kind {
    Files(Vec<PathBuf>),
    Memory(Arc<Vec<Conversation>>),
}

/// Conversations one after the other.
pub type Conversations = Box<dyn Iterator<Item = Result<Conversation, DataError>> + Send>;

impl Source {
    /// A .parquet file, a .jsonl or .json file of one object a line, or a folder with .parquet or .jsonl files in it or
    /// in its `data`.
    ///
    /// Of a folder whose files are named as the hub names splits (`train.jsonl`, `data/train-00000-of-00002.parquet`),
    /// those of the split `train`, so that `test` beside it stays unseen. Where no name speaks of `train`, all Parquet
    /// files, else all JSONL files, by name.
    ///
    /// # Errors
    /// [`DataError::NoSource`] when there is none; [`DataError::Hub`] when files of the split `train` are missing, or
    /// there are several such splits; [`DataError::Io`] when the path cannot be read.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let files = if path.is_dir() {
            folder_files(path)?
        } else {
            vec![path.to_path_buf()]
        };
        let readable = |file: &PathBuf| is(file, "parquet") || is(file, "jsonl") || is(file, "json");
        if files.is_empty() || !files.iter().all(readable) {
            return Err(DataError::NoSource {
                path: path.to_path_buf(),
            });
        }
        for file in &files {
            std::fs::metadata(file).map_err(|source| DataError::io(file, source))?;
        }
        Ok(Self {
            kind: Kind::Files(files),
            parts: Vec::new(),
        })
    }

    /// Conversations already in memory.
    pub fn from_conversations(conversations: Vec<Conversation>) -> Self {
        Self {
            kind: Kind::Memory(Arc::new(conversations)),
            parts: Vec::new(),
        }
    }

    /// The conversations from the first one on, up to an error if there is one: what comes after it is not known to be
    /// what was meant.
    pub fn conversations(&self) -> Conversations {
        let all: Conversations = match &self.kind {
            Kind::Memory(all) => {
                let all = all.clone();
                Box::new((0..all.len()).map(move |index| Ok(all[index].clone())))
            }
            Kind::Files(files) => until_error(files.clone().into_iter().flat_map(|file| read_file(&file))),
        };
        if self.parts.is_empty() {
            return all;
        }
        let parts = self.parts.clone();
        // What cannot be read is no conversation of either side: both report it.
        Box::new(all.filter(move |found| {
            let on_this_side = |conversation| parts.iter().all(|part| part.holds(conversation));
            found.as_ref().map_or(true, on_this_side)
        }))
    }
}

fn until_error(mut all: impl Iterator<Item = Result<Conversation, DataError>> + Send + 'static) -> Conversations {
    let mut ended = false;
    Box::new(std::iter::from_fn(move || {
        let found = if ended { None } else { all.next() };
        ended = !matches!(found, Some(Ok(_)));
        found
    }))
}

fn read_file(file: &Path) -> Conversations {
    let opened = if is(file, "parquet") {
        parquet::open(file)
    } else {
        jsonl::open(file)
    };
    opened.unwrap_or_else(|error| Box::new(std::iter::once(Err(error))))
}

fn is(file: &Path, extension: &str) -> bool {
    file.extension()
        .is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

fn folder_files(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let (mut files, mut names) = (Vec::new(), Vec::new());
    for (prefix, below) in [("", folder.to_path_buf()), ("data/", folder.join("data"))] {
        if !below.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&below).map_err(|source| DataError::io(&below, source))? {
            let entry = entry.map_err(|source| DataError::io(&below, source))?;
            names.extend(entry.file_name().to_str().map(|name| format!("{prefix}{name}")));
            files.push(entry.path());
        }
    }
    let place = folder.display().to_string();
    match split_files(&place, &names, None, "train", SplitMatch::OrVariant) {
        Ok(train) => return Ok(train.into_iter().map(|name| folder.join(name)).collect()),
        Err(error) if names.iter().any(|name| is_train(name)) => return Err(error.into()),
        Err(_) => {}
    }
    files.sort();
    let parquet: Vec<PathBuf> = files.iter().filter(|file| is(file, "parquet")).cloned().collect();
    let jsonl = files.into_iter().filter(|file| is(file, "jsonl")).collect();
    Ok(if parquet.is_empty() { jsonl } else { parquet })
}

/// Whether a data file is of the split `train`, or of one of its variants (`train_sft`), by its name.
fn is_train(name: &str) -> bool {
    let stem = name.strip_suffix(".parquet").or_else(|| name.strip_suffix(".jsonl"));
    let rest = stem.and_then(|stem| stem.rsplit('/').next()?.strip_prefix("train"));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_') || rest.starts_with("-0"))
}
