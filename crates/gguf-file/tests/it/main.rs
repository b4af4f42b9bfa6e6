//! Integration tests of gguf-file, one binary.

mod dequantised;
mod malformed;
mod metadata;

use gguf_file::{GgufError, GgufFile};

/// Opens these bytes as a file.
fn open(bytes: &[u8]) -> Result<GgufFile, GgufError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).expect("written");
    GgufFile::open(&path)
}

/// The field of an error that is no I/O error.
fn field(error: &GgufError) -> &str {
    match error {
        GgufError::Field { field, .. } => field,
        other => panic!("{other}"),
    }
}
