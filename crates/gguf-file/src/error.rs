use std::path::PathBuf;
use thiserror::Error;

/// The errors of opening and reading a GGUF file.
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
    /// A part of the file is malformed, missing, or not usable by the caller.
    #[error("{}: GGUF {field}: expected {expected}, found {found}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// A part of the header, a metadata key, or a tensor's name, followed by `.type`, `.dimensions` or `.offset` if
        /// the error is in one of these.
        field: String,
        /// What would have been accepted.
        expected: String,
        /// What the file contains (`nothing` if the key is missing).
        found: String,
    },
}
