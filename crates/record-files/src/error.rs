use crate::Place;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The errors of reading records.
///
/// `expected` is what the format or the caller requires at that place, and `found` is what the file contains.
#[derive(Debug, Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields that recur are described above")]
pub enum RecordError {
    /// A file or folder could not be opened or read.
    #[error("{}: {source}; check that the path exists and can be read", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    /// One record is invalid. The records after it can be read.
    #[error("{place}: expected {expected}, found {found}")]
    Record {
        place: Place,
        expected: String,
        found: String,
    },
    /// The rest of the file cannot be read.
    #[error("{place}: expected {expected}, found {found}")]
    Unreadable {
        /// The first record that cannot be read.
        place: Place,
        expected: String,
        found: String,
    },
    /// A data set has no files for the requested split.
    #[error("{place}: expected {expected}, found {found}; name another configuration or split")]
    Split {
        /// The folder or repository.
        place: String,
        expected: String,
        found: String,
    },
}

impl RecordError {
    /// Whether the records after this one can be read.
    pub fn is_one_record(&self) -> bool {
        matches!(self, Self::Record { .. })
    }

    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_path_buf(),
            source,
        }
    }
}
