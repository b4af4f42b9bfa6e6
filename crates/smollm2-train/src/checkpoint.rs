//! Checkpoints that are complete or absent.
//!
//! A checkpoint is written inside a folder next to its final place whose name starts with `.partial-`; every file is
//! flushed to the disk, a manifest with the length and SHA-256 of each is written last, and it is moved to its place. A
//! process killed at any moment leaves at most a partial folder, which nobody reads and the next run removes.
//!
//! A checkpoint that is written again replaces the earlier one of its step. That one is renamed to `.replaced-step-..`
//! until the new one is in place, and counts as the checkpoint of its step if the process is killed in between.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use smoltalk_data::Mismatch;

use crate::TrainError;

const MANIFEST: &str = "manifest.json";
const PARTIAL: &str = ".partial-";
const REPLACED: &str = ".replaced-";
const PREFIX: &str = "step-";

/// Files of a checkpoint; older ones have no record.
pub(crate) const OPTIMIZER: &str = "optimizer.safetensors";
pub(crate) const STATE: &str = "state.json";
pub(crate) const RECIPE: &str = "train.toml";
pub(crate) const RECORD: &str = "run.json";
const REQUIRED: [&str; 5] = ["model.safetensors", "config.json", OPTIMIZER, STATE, RECIPE];

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
/// only the newest `keep` up to this one, and removes damaged ones beyond it; intact ones beyond it stay.
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
    // The other files of the run, too, must not be younger than the checkpoint.
    sync(parent_of(root))?;
    settle(root)?;
    let name = format!("{PREFIX}{step:08}");
    let (staging, target) = (root.join(format!("{PARTIAL}{name}")), root.join(&name));
    // One level deeper than it needs: what `fill` writes next to its folder, to rename it into place, is partial too.
    let folder = staging.join(&name);
    remove(&staging)?;
    fs::create_dir_all(&folder).map_err(TrainError::io("create", &folder))?;
    fill(&folder)?;
    seal(&folder)?;
    let replaced = root.join(format!("{REPLACED}{name}"));
    if target.exists() {
        fs::rename(&target, &replaced).map_err(TrainError::io("rename", &target))?;
    }
    fs::rename(&folder, &target).map_err(TrainError::io("replace", &target))?;
    sync(root)?;
    remove(&replaced)?;
    remove(&staging)?;
    prune(root, step, keep)?;
    Ok(target)
}

/// Makes a folder and those it lies in, and flushes the folder that holds each new one: after a power loss they are
/// still there.
pub(crate) fn create(folder: &Path) -> Result<(), TrainError> {
    let (mut changed, mut missing) = (Vec::new(), folder);
    while !missing.exists() {
        missing = parent_of(missing);
        changed.push(missing);
    }
    fs::create_dir_all(folder).map_err(TrainError::io("create", folder))?;
    changed.into_iter().try_for_each(sync)
}

fn parent_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Ends a replacement that a killed process began: the earlier checkpoint gets its name back, or is removed where the
/// new one is in place and not damaged.
fn settle(root: &Path) -> Result<(), TrainError> {
    for (checkpoint, replaced) in named(root)? {
        let target = root.join(format!("{PREFIX}{:08}", checkpoint.step));
        match (replaced, target.exists()) {
            (true, true) if verify(&target).is_err() && verify(&checkpoint.folder).is_ok() => {
                remove(&target)?;
                rename(&checkpoint.folder, &target)?;
            }
            (true, true) => remove(&checkpoint.folder)?,
            (true, false) => rename(&checkpoint.folder, &target)?,
            (false, _) => {}
        }
    }
    Ok(())
}

fn rename(from: &Path, to: &Path) -> Result<(), TrainError> {
    fs::rename(from, to).map_err(TrainError::io("rename", to))
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
    let mut found = named(root)?;
    // Where both are there, the one that was being replaced is the older one.
    found.sort_by_key(|(checkpoint, replaced)| (checkpoint.step, !replaced));
    Ok(found.into_iter().map(|(checkpoint, _)| checkpoint).collect())
}

/// Every checkpoint of `root`, and whether it was being replaced.
fn named(root: &Path) -> Result<Vec<(Checkpoint, bool)>, TrainError> {
    let mut found = Vec::new();
    if !root.exists() {
        return Ok(found);
    }
    for folder in children(root)? {
        let Some(name) = folder.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let (replaced, name) = match name.strip_prefix(REPLACED) {
            Some(name) => (true, name),
            None => (false, name),
        };
        if let Some(step) = name.strip_prefix(PREFIX).and_then(|step| step.parse().ok()) {
            found.push((Checkpoint { step, folder }, replaced));
        }
    }
    Ok(found)
}

/// Checks every file of a checkpoint against its manifest.
///
/// # Errors
/// [`TrainError::Checkpoint`], naming the file, and what was expected and found.
pub fn verify(folder: &Path) -> Result<(), TrainError> {
    let manifest: Manifest = read_json(folder, MANIFEST)?;
    if let Some(missing) = REQUIRED.into_iter().find(|file| !manifest.contains_key(*file)) {
        return Err(damaged(folder, MANIFEST, format!("an entry for {missing}"), "none"));
    }
    for (file, entry) in &manifest {
        if !is_plain_name(file) {
            let found = format!("an entry for {file:?}");
            return Err(damaged(folder, MANIFEST, "names of files in this folder", found));
        }
        let path = folder.join(file);
        let metadata = fs::metadata(&path).map_err(|error| damaged(folder, file, "a file", error))?;
        if !metadata.is_file() {
            return Err(damaged(folder, file, "a file", "a folder or a device"));
        }
        let found = metadata.len();
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

/// Whether a name is that of a file in the folder itself, and leads nowhere else.
fn is_plain_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!(components.next(), Some(Component::Normal(first)) if first == name) && components.next().is_none()
}

/// Removes what a killed process left behind, and gives a checkpoint that it was replacing its name back.
///
/// # Errors
/// [`TrainError::Io`].
pub fn remove_partial(root: &Path) -> Result<(), TrainError> {
    if !root.exists() {
        return Ok(());
    }
    settle(root)?;
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
        mismatch: Mismatch::new(expected, found),
    }
}

/// Flushes every file and writes the manifest.
fn seal(folder: &Path) -> Result<(), TrainError> {
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

/// Keeps the newest `keep` up to `step`, the one just written, and the intact ones beyond it. Counting newer ones would
/// remove good ones.
fn prune(root: &Path, step: usize, keep: usize) -> Result<(), TrainError> {
    let (upto, beyond): (Vec<_>, Vec<_>) = list(root)?.into_iter().partition(|found| found.step <= step);
    let surplus = upto.len().saturating_sub(keep.max(1));
    let damaged = beyond.iter().filter(|checkpoint| verify(&checkpoint.folder).is_err());
    upto.iter()
        .take(surplus)
        .chain(damaged)
        .try_for_each(|checkpoint| retire(root, checkpoint))
}

/// Removes a checkpoint by way of a partial name: half of a checkpoint never has a checkpoint's name.
fn retire(root: &Path, checkpoint: &Checkpoint) -> Result<(), TrainError> {
    let (step, folder) = (checkpoint.step, &checkpoint.folder);
    let retired = root.join(format!("{PARTIAL}old-{PREFIX}{step:08}"));
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
