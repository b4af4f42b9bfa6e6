//! Checkpoints, which are either complete or absent.
//!
//! A checkpoint is first written into a folder next to its final place, whose name starts with `.partial-`. Every file
//! is flushed to disk. A manifest with the length and SHA-256 of each file is written last, and then the folder is
//! renamed. A process that is killed at any moment leaves at most a partial folder, which is never read and which the
//! next run removes.
//!
//! If a checkpoint is written again, it replaces the earlier one of its step. The earlier one is renamed to
//! `.replaced-step-..` until the new one is in place. If the process is killed in between, it is still used as the
//! checkpoint of its step.

mod manifest;

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    TrainError,
    files::{children, create, parent_of, remove, rename, sync},
};

pub use manifest::verify;
pub(crate) use manifest::{damaged, read_json, write_json};

const PARTIAL: &str = ".partial-";
const REPLACED: &str = ".replaced-";
const PREFIX: &str = "step-";

/// Files of a checkpoint; older ones have no record.
pub(crate) const OPTIMIZER: &str = "optimizer.safetensors";
pub(crate) const STATE: &str = "state.json";
pub(crate) const RECIPE: &str = "train.toml";
pub(crate) const RECORD: &str = "run.json";

/// A complete, verified checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Steps made when it was written.
    pub step: usize,
    /// Its folder, which `smollm2_model::weights::load` opens as a model.
    pub folder: PathBuf,
}

/// The newest complete checkpoint, and why newer ones were skipped.
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
    manifest::seal(&folder)?;
    let replaced = root.join(format!("{REPLACED}{name}"));
    if target.exists() {
        rename(&target, &replaced)?;
    }
    fs::rename(&folder, &target).map_err(TrainError::io("replace", &target))?;
    sync(root)?;
    remove(&replaced)?;
    remove(&staging)?;
    prune(root, step, keep)?;
    Ok(target)
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

/// The newest complete checkpoint of `root`. Damaged ones are skipped, each with a reason.
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
    rename(folder, &retired)?;
    remove(&retired)
}
