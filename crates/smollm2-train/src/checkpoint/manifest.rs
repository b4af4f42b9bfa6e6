//! The list of a checkpoint's files with their lengths and hashes.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Component, Path},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use smoltalk_data::Mismatch;

use super::{OPTIMIZER, RECIPE, STATE};
use crate::{
    TrainError,
    files::{children, sync},
};

const MANIFEST: &str = "manifest.json";
const REQUIRED: [&str; 5] = ["model.safetensors", "config.json", OPTIMIZER, STATE, RECIPE];

/// The entry of one file in `manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    bytes: u64,
    sha256: String,
}

type Manifest = BTreeMap<String, Entry>;

/// Checks every file of a checkpoint against its manifest.
///
/// # Errors
/// [`TrainError::Checkpoint`], naming the file, and what was expected and found.
pub fn verify(folder: &Path) -> Result<(), TrainError> {
    let manifest: Manifest = read_json(folder, MANIFEST)?;
    if let Some(missing) = REQUIRED.into_iter().find(|file| !manifest.contains_key(*file)) {
        return Err(damaged(folder, MANIFEST, format!("an entry for {missing}"), "none"));
    }
    manifest
        .iter()
        .try_for_each(|(file, entry)| verify_file(folder, file, entry))
}

fn verify_file(folder: &Path, file: &str, entry: &Entry) -> Result<(), TrainError> {
    if !is_plain_name(file) {
        let found = format!("an entry for {file:?}");
        return Err(damaged(folder, MANIFEST, "names of files in this folder", found));
    }
    let path = folder.join(file);
    let metadata = fs::metadata(&path).map_err(|error| damaged(folder, file, "a file", error))?;
    if !metadata.is_file() {
        return Err(damaged(folder, file, "a file", "a folder or a device"));
    }
    let (expected, found) = (entry.bytes, metadata.len());
    if found != expected {
        let (expected, found) = (format!("{expected} bytes"), format!("{found} bytes"));
        return Err(damaged(folder, file, expected, found));
    }
    let sha256 = digest(&path).map_err(|error| damaged(folder, file, "a readable file", error))?;
    if sha256 != entry.sha256 {
        let (expected, found) = (format!("SHA-256 {}", entry.sha256), format!("SHA-256 {sha256}"));
        return Err(damaged(folder, file, expected, found));
    }
    Ok(())
}

/// Whether a name is that of a file directly in the folder.
fn is_plain_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!(components.next(), Some(Component::Normal(first)) if first == name) && components.next().is_none()
}

/// Flushes every file and writes the manifest.
pub(super) fn seal(folder: &Path) -> Result<(), TrainError> {
    let mut manifest = Manifest::new();
    for path in children(folder)? {
        let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        let name = name.filter(|_| path.is_file()).ok_or_else(|| {
            damaged(
                folder,
                &path.to_string_lossy(),
                "a file with a name in UTF-8",
                "something else",
            )
        })?;
        sync(&path)?;
        let bytes = fs::metadata(&path).map_err(TrainError::io("read", &path))?.len();
        let sha256 = digest(&path).map_err(TrainError::io("read", &path))?;
        manifest.insert(name, Entry { bytes, sha256 });
    }
    write_json(folder, MANIFEST, &manifest)?;
    sync(&folder.join(MANIFEST))?;
    sync(folder)
}

pub(crate) fn read_json<T: DeserializeOwned>(folder: &Path, file: &str) -> Result<T, TrainError> {
    let text = fs::read_to_string(folder.join(file)).map_err(|error| damaged(folder, file, "a file", error))?;
    serde_json::from_str(&text).map_err(|error| damaged(folder, file, "its JSON record", error))
}

pub(crate) fn write_json<T: Serialize>(folder: &Path, file: &str, value: &T) -> Result<(), TrainError> {
    let path = folder.join(file);
    let text = serde_json::to_string_pretty(value).map_err(io::Error::from);
    text.and_then(|text| fs::write(&path, text))
        .map_err(TrainError::io("write", &path))
}

pub(crate) fn damaged(folder: &Path, file: &str, expected: impl Into<String>, found: impl ToString) -> TrainError {
    TrainError::Checkpoint {
        checkpoint: folder.to_owned(),
        file: file.to_owned(),
        mismatch: Mismatch::new(expected, found),
    }
}

fn digest(path: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
