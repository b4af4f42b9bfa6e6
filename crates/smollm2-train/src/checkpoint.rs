//! Checkpoints that are complete or absent.
//!
//! A checkpoint is written inside a folder beside its final place whose name starts with `.partial-`; every file is
//! flushed to the disk, a manifest with the length and SHA-256 of each is written last, and it is moved to its place. A
//! process killed at any moment leaves at most a partial folder, which nobody reads and the next run removes.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::TrainError;

const MANIFEST: &str = "manifest.json";
const PARTIAL: &str = ".partial-";
const PREFIX: &str = "step-";

/// What `manifest.json` says of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    bytes: u64,
    sha256: String,
}

type Manifest = BTreeMap<String, Entry>;

/// A complete, verified checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Steps made when it was written.
    pub step: usize,
    /// Its folder, which `smollm2_model::weights::load` opens as a model.
    pub folder: PathBuf,
}

/// The newest complete checkpoint and why newer ones were passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// One reason per refused, newer checkpoint.
    pub rejected: Vec<String>,
}

/// Writes the checkpoint of `step` into `root`, where `fill` puts its files into the folder it is given. Then keeps
/// only the newest `keep` up to this one, and none beyond it: a run passes over a newer one only if it is damaged.
///
/// # Errors
/// [`TrainError::Io`] and whatever `fill` returns; earlier checkpoints are untouched then.
pub fn write(
    root: &Path,
    step: usize,
    keep: usize,
    fill: impl FnOnce(&Path) -> Result<(), TrainError>,
) -> Result<PathBuf, TrainError> {
    create(root)?;
    let name = format!("{PREFIX}{step:08}");
    let (staging, target) = (root.join(format!("{PARTIAL}{name}")), root.join(&name));
    // One level deeper than it needs: what `fill` writes beside its folder, to rename it into place, is partial too.
    let folder = staging.join(&name);
    remove(&staging)?;
    fs::create_dir_all(&folder).map_err(TrainError::io("create", &folder))?;
    fill(&folder)?;
    seal(&folder)?;
    if target.exists() {
        retire(root, &target)?;
    }
    fs::rename(&folder, &target).map_err(TrainError::io("replace", &target))?;
    sync(root)?;
    remove(&staging)?;
    prune(root, step, keep)?;
    Ok(target)
}

/// Makes the folder of checkpoints, for good.
pub(crate) fn create(root: &Path) -> Result<(), TrainError> {
    fs::create_dir_all(root).map_err(TrainError::io("create", root))?;
    match root.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync(parent),
        _ => sync(Path::new(".")),
    }
}

/// The newest complete checkpoint of `root`. Damaged ones are passed over, each with a reason.
///
/// # Errors
/// [`TrainError::NoCheckpoint`] when none is complete, with all reasons.
pub fn latest(root: &Path) -> Result<Found, TrainError> {
    let mut rejected = Vec::new();
    for checkpoint in list(root)?.into_iter().rev() {
        match verify(&checkpoint.folder) {
            Ok(()) => return Ok(Found { checkpoint, rejected }),
            Err(reason) => rejected.push(reason.to_string()),
        }
    }
    Err(TrainError::NoCheckpoint {
        folder: root.to_owned(),
        rejected,
    })
}

/// All checkpoints of `root`, oldest first, unverified; none when the folder does not exist.
///
/// # Errors
/// [`TrainError::Io`].
pub fn list(root: &Path) -> Result<Vec<Checkpoint>, TrainError> {
    let mut found = Vec::new();
    if root.exists() {
        for folder in children(root)? {
            let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if let Some(step) = name.strip_prefix(PREFIX).and_then(|step| step.parse().ok()) {
                found.push(Checkpoint { step, folder });
            }
        }
    }
    found.sort_by_key(|checkpoint| checkpoint.step);
    Ok(found)
}

/// Checks every file of a checkpoint against its manifest.
///
/// # Errors
/// [`TrainError::Checkpoint`], naming the file, and what was expected and found.
pub fn verify(folder: &Path) -> Result<(), TrainError> {
    let manifest: Manifest = read_json(folder, MANIFEST)?;
    for (file, entry) in &manifest {
        let path = folder.join(file);
        let found = fs::metadata(&path)
            .map_err(|error| damaged(folder, file, "a file", error))?
            .len();
        if found != entry.bytes {
            return Err(damaged(
                folder,
                file,
                format!("{} bytes", entry.bytes),
                format!("{found} bytes"),
            ));
        }
        let sha256 = digest(&path).map_err(|error| damaged(folder, file, "a readable file", error))?;
        if sha256 != entry.sha256 {
            let (expected, found) = (format!("SHA-256 {}", entry.sha256), format!("SHA-256 {sha256}"));
            return Err(damaged(folder, file, expected, found));
        }
    }
    Ok(())
}

/// Removes what a killed process left behind.
///
/// # Errors
/// [`TrainError::Io`].
pub fn remove_partial(root: &Path) -> Result<(), TrainError> {
    if !root.exists() {
        return Ok(());
    }
    for path in children(root)? {
        if path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with(PARTIAL))
        {
            remove(&path)?;
        }
    }
    Ok(())
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
        expected: expected.into(),
        found: found.to_string(),
    }
}

/// Flushes every file and writes the manifest.
fn seal(folder: &Path) -> Result<(), TrainError> {
    let mut manifest = Manifest::new();
    for path in children(folder)? {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
            .to_owned();
        sync(&path)?;
        let bytes = fs::metadata(&path).map_err(TrainError::io("read", &path))?.len();
        let sha256 = digest(&path).map_err(TrainError::io("read", &path))?;
        manifest.insert(name, Entry { bytes, sha256 });
    }
    write_json(folder, MANIFEST, &manifest)?;
    sync(&folder.join(MANIFEST))?;
    sync(folder)
}

/// Keeps the newest `keep` up to `step`, the one just written. Counting newer, damaged ones would remove good ones.
fn prune(root: &Path, step: usize, keep: usize) -> Result<(), TrainError> {
    let (upto, beyond): (Vec<_>, Vec<_>) = list(root)?.into_iter().partition(|found| found.step <= step);
    let surplus = upto.len().saturating_sub(keep.max(1));
    upto.iter()
        .take(surplus)
        .chain(&beyond)
        .try_for_each(|checkpoint| retire(root, &checkpoint.folder))
}

/// Removes a checkpoint by way of a partial name: half of a checkpoint never stands under its own name.
fn retire(root: &Path, folder: &Path) -> Result<(), TrainError> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let retired = root.join(format!("{PARTIAL}old-{name}"));
    remove(&retired)?;
    fs::rename(folder, &retired).map_err(TrainError::io("rename", folder))?;
    remove(&retired)
}

fn remove(folder: &Path) -> Result<(), TrainError> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(TrainError::io("remove", folder))
    } else {
        Ok(())
    }
}

fn children(folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let entries = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut paths: Vec<PathBuf> = entries.map_err(TrainError::io("list", folder))?;
    paths.sort();
    Ok(paths)
}

fn sync(path: &Path) -> Result<(), TrainError> {
    // Windows cannot open a folder as a file, and flushes its entries by itself; a file it flushes only for a writer.
    if cfg!(windows) && path.is_dir() {
        return Ok(());
    }
    let file = OpenOptions::new().read(true).write(cfg!(windows)).open(path);
    file.and_then(|file| file.sync_all())
        .map_err(TrainError::io("flush", path))
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
