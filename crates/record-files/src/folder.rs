//! Data files in a folder.

use crate::RecordError;
use std::path::Path;

/// Names of the `.parquet` and `.jsonl` files in a folder, sorted. Hidden files are left out: editors and file managers
/// leave some that end like data (`._train.jsonl`, `.train.jsonl`).
///
/// # Errors
/// [`RecordError::Io`] when the folder cannot be read.
pub fn data_files(folder: &Path) -> Result<Vec<String>, RecordError> {
    let entries = std::fs::read_dir(folder).map_err(|source| RecordError::io(folder, source))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|source| RecordError::io(folder, source))?;
        let name = entry.file_name().into_string();
        names.extend(name.ok().filter(|name| is_data_file(name) && entry.path().is_file()));
    }
    names.sort_unstable();
    Ok(names)
}

fn is_data_file(name: &str) -> bool {
    let extension = Path::new(name).extension();
    let is_known = extension.is_some_and(|found| {
        ["parquet", "jsonl"]
            .iter()
            .any(|known| found.eq_ignore_ascii_case(known))
    });
    is_known && !name.starts_with('.')
}
