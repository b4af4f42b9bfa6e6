use std::path::PathBuf;
use thiserror::Error;

/// Everything that can go wrong with a GGUF file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GgufError {
    /// The file could not be opened or mapped.
    #[error("{}: {source}; check that the file exists and can be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A part of the file is malformed, missing, or not what the caller can use.
    #[error("{}: GGUF {field}: expected {expected}, found {found}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// A part of the header, a metadata key, or a tensor's name, with `.type`, `.dimensions` or `.offset` where one of
        /// these is meant.
        field: String,
        /// What would have been accepted.
        expected: String,
        /// What is there (`nothing` when the key is missing).
        found: String,
    },
}
