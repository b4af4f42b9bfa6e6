//! Sources of conversations. Every source streams.

mod interleave;
mod record;
mod split;

pub(crate) use split::fingerprint;

use crate::{Conversation, DataError};
use record_files::{Records, SplitMatch, data_files, split_files};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A source of conversations, which can be read any number of times in the same order.
#[derive(Clone, Debug)]
pub struct Source {
    kind: Kind,
    /// Parts of splits, one within the other.
    parts: Vec<split::Part>,
}

#[derive(Clone, Debug)]
enum Kind {
    Files(Vec<PathBuf>),
    Memory(Arc<Vec<Conversation>>),
    Interleaved(Vec<Source>),
}

/// Where a conversation is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    File(record_files::Place),
    /// The index of one in memory.
    Memory(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(place) => place.fmt(f),
            Self::Memory(index) => write!(f, "conversation {index}"),
        }
    }
}

/// Conversations one after the other, and where they are.
pub(crate) type Located = Box<dyn Iterator<Item = Result<(Place, Conversation), DataError>> + Send>;

/// Conversations one after the other.
pub type Conversations = Box<dyn Iterator<Item = Result<Conversation, DataError>> + Send>;

impl Source {
    /// A .parquet file, a .jsonl or .json file of one object per line, or a folder with .parquet or .jsonl files in it
    /// or in its `data`. Hidden files are ignored.
    ///
    /// If the files of a folder are named as the hub names splits (`train.jsonl`, `data/train-00000-of-00002.parquet`),
    /// the split `train` is read, and `test` next to it is not. If no name contains `train`, all Parquet files are
    /// read, or if there are none, all JSONL files, by name.
    ///
    /// # Errors
    /// [`DataError::NoSource`] when there is none; [`DataError::Records`] when files of the split `train` are missing, or
    /// there are several such splits; that or [`DataError::Io`] when the path cannot be read.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let files = if path.is_dir() {
            folder_files(path)?
        } else {
            vec![path.to_path_buf()]
        };
        let readable = ["parquet", "jsonl", "json"];
        if files.is_empty() || !files.iter().all(|file| readable.iter().any(|known| is(file, known))) {
            return Err(DataError::NoSource {
                path: path.to_path_buf(),
            });
        }
        for file in &files {
            std::fs::metadata(file).map_err(|source| DataError::io(file, source))?;
        }
        Ok(Self::from_files(files))
    }

    /// Parquet or JSONL files in this order, for instance those of a hub split.
    pub fn from_files(files: Vec<PathBuf>) -> Self {
        Self {
            kind: Kind::Files(files),
            parts: Vec::new(),
        }
    }

    /// Conversations already in memory.
    pub fn from_conversations(conversations: Vec<Conversation>) -> Self {
        Self {
            kind: Kind::Memory(Arc::new(conversations)),
            parts: Vec::new(),
        }
    }

    /// Takes one conversation of each source in turn; when one ends, the others continue. So the beginning of the
    /// result, which is held out or shuffled in a small buffer, has conversations of each.
    pub fn interleave(sources: Vec<Source>) -> Self {
        Self {
            kind: Kind::Interleaved(sources),
            parts: Vec::new(),
        }
    }

    /// All conversations in order. A record that is not a conversation is an error in its place
    /// ([`DataError::is_bad_record`]), and the next one follows; after any other error there are no more.
    pub fn conversations(&self) -> Conversations {
        Box::new(self.located().map(|found| Ok(found?.1)))
    }

    pub(crate) fn located(&self) -> Located {
        let all: Located = match &self.kind {
            Kind::Memory(all) => {
                let all = all.clone();
                Box::new((0..all.len()).map(move |index| Ok((Place::Memory(index), all[index].clone()))))
            }
            Kind::Files(files) => until_error(files.clone().into_iter().flat_map(|file| read_file(&file))),
            Kind::Interleaved(sources) => until_error(interleave::in_turn(sources)),
        };
        if self.parts.is_empty() {
            return all;
        }
        let parts = self.parts.clone();
        // A record that cannot be read is in neither part; both report it.
        Box::new(all.filter(move |found| match found {
            Ok((_, conversation)) => parts.iter().all(|part| part.holds(conversation)),
            Err(_) => true,
        }))
    }
}

fn until_error(mut all: impl Iterator<Item = Result<(Place, Conversation), DataError>> + Send + 'static) -> Located {
    let mut ended = false;
    Box::new(std::iter::from_fn(move || {
        let found = if ended { None } else { all.next() };
        ended = match &found {
            Some(Ok(_)) => false,
            Some(Err(error)) => !error.is_bad_record(),
            None => true,
        };
        found
    }))
}

fn read_file(file: &Path) -> Located {
    match Records::open_columns(file, &record::COLUMNS) {
        Ok(records) => Box::new(records.map(|found| {
            let record = found?;
            let place = Place::File(record.place().clone());
            Ok((place, record::conversation(record)?))
        })),
        Err(error) => Box::new(std::iter::once(Err(error.into()))),
    }
}

fn is(file: &Path, extension: &str) -> bool {
    file.extension()
        .is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

fn folder_files(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut names = data_files(folder)?;
    let below = folder.join("data");
    if below.is_dir() {
        names.extend(data_files(&below)?.iter().map(|name| format!("data/{name}")));
    }
    let place = folder.display().to_string();
    match split_files(&place, &names, None, "train", SplitMatch::OrVariant) {
        Ok(train) => return Ok(train.into_iter().map(|name| folder.join(name)).collect()),
        Err(error) if names.iter().any(|name| is_train(name)) => return Err(error.into()),
        Err(_) => {}
    }
    let mut files: Vec<PathBuf> = names.into_iter().map(|name| folder.join(name)).collect();
    files.sort();
    if files.iter().any(|file| is(file, "parquet")) {
        files.retain(|file| is(file, "parquet"));
    }
    Ok(files)
}

/// Whether a data file is of the split `train`, or of one of its variants (`train_sft`), by its name.
fn is_train(name: &str) -> bool {
    let stem = name.strip_suffix(".parquet").or_else(|| name.strip_suffix(".jsonl"));
    let rest = stem.and_then(|stem| stem.rsplit('/').next()?.strip_prefix("train"));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_') || rest.starts_with("-0"))
}
