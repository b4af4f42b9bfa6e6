//! The folder of a study: it belongs to one study and holds a folder per finished cell, and locks between processes.
//!
//! A cell is trained and evaluated in `VARIANT/seed-N.partial`, renamed to `VARIANT/seed-N` once all of it is on disk.
//! Nothing else is ever removed, unless an earlier study is to be replaced.

mod cell;
mod removal;
mod settings;

pub(super) use cell::{CellFolder, remove_folder};

use super::plan::{Cell, StudyPlan};
use super::record::CellRecord;
use crate::error::{KallmError, OfPath, Result};
use crate::files::{children, create_folder, write_new, write_whole};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Held by the processes that write into the folder.
const LOCK: &str = "study.lock";
/// The settings that all cells share. A folder with this file is the folder of a study.
const SETTINGS: &str = "study.json";
/// The resolved plan.
const PLAN: &str = "plan.toml";
/// In the folder of every finished cell.
const OUTCOME: &str = "outcome.json";
/// The page.
const PAGE: &str = "report.html";
/// The tasks, their data and the training conversations of each seed, if they are synthetic.
const WORLD: &str = "synthetic";
/// The tokenizer, if the study made it.
const TOKENIZER: &str = "tokenizer";

/// The folder of a study, for as long as this process writes into it.
pub struct StudyFolder {
    root: PathBuf,
    _lock: File,
    /// Whether an earlier study with other settings is removed.
    replace: bool,
    /// Why the folder is not locked, if it is not. Some network file systems have no locks; the study runs anyway.
    pub unlocked: Option<io::Error>,
}

impl StudyFolder {
    /// Locks a folder that is empty, absent, or of an earlier study, for exclusive use by this process. With `replace`,
    /// an earlier study with other settings is removed when the new one begins. The operating system releases the lock
    /// when the process ends, even if it is killed.
    ///
    /// # Errors
    /// When it holds something else, or another process works in it.
    pub fn lock(root: &Path, replace: bool) -> Result<Self> {
        Self::locked(root, replace, File::try_lock)
    }

    /// As [`StudyFolder::lock`], but shared with other processes, each of which works on its own cell.
    ///
    /// # Errors
    /// When it holds something else, or another process has an exclusive lock.
    pub fn share(root: &Path) -> Result<Self> {
        Self::locked(root, false, File::try_lock_shared)
    }

    fn locked(root: &Path, replace: bool, lock: fn(&File) -> Result<(), TryLockError>) -> Result<Self> {
        refuse_foreign(root)?;
        create_folder(root)?;
        let (file, unlocked) = locked_file(root.join(LOCK), lock)?;
        Ok(Self {
            root: root.to_path_buf(),
            _lock: file,
            replace,
            unlocked,
        })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the page is written.
    pub fn page(&self) -> PathBuf {
        self.root.join(PAGE)
    }

    pub(super) fn world(&self, seed: u64) -> PathBuf {
        self.root.join(WORLD).join(seed_name(seed))
    }

    pub(super) fn tokenizer(&self) -> PathBuf {
        self.root.join(TOKENIZER)
    }

    /// Makes this the folder of a study with these settings. Returns whether an earlier study was replaced.
    ///
    /// # Errors
    /// When the folder belongs to a study with other settings that must not be replaced; the error names the first
    /// difference. When the files to remove include one that no study wrote; nothing is removed then.
    pub(super) fn settle(&self, plan: &StudyPlan, settings: &Value) -> Result<bool> {
        let replaced = self.settle_settings(settings)?;
        write_whole(&self.root.join(PLAN), &plan.to_toml()?)?;
        Ok(replaced)
    }

    fn settle_settings(&self, settings: &Value) -> Result<bool> {
        let path = self.root.join(SETTINGS);
        // Through text, so that numbers are compared in their written form.
        let text = format!("{settings:#}");
        // If two processes begin a study at the same time, one writes and the other compares.
        if !path.exists() && write_new(&path, &text)? {
            return Ok(false);
        }
        let expected: Value = serde_json::from_str(&text).map_err(KallmError::json("settings"))?;
        match settings::difference(&read_json(&path)?, &expected) {
            None => Ok(false),
            Some(_) if self.replace => {
                removal::remove_study(&self.root)?;
                // Last, so that a killed program leaves a folder that is still the earlier study's.
                write_whole(&path, &text).map(|()| true)
            }
            Some(difference) => Err(KallmError::OtherStudy { path, difference }),
        }
    }

    /// Refuses the folder of a study with another plan. Program and device of its cells may differ.
    ///
    /// # Errors
    /// When it is one, naming the first difference, or holds no study.
    pub(super) fn check_plan(&self, plan: &Value) -> Result<()> {
        let path = self.root.join(SETTINGS);
        let mut found: Value = read_json(&path)?;
        let (found, expected) = (
            serde_json::json!({ "plan": found["plan"].take() }),
            serde_json::json!({ "plan": plan }),
        );
        match settings::difference(&found, &expected) {
            None => Ok(()),
            Some(difference) => Err(KallmError::OtherStudy { path, difference }),
        }
    }

    /// The record of a cell that is finished.
    ///
    /// # Errors
    /// When its folder exists but is not that of this cell.
    pub(super) fn record(&self, cell: &Cell<'_>) -> Result<Option<CellRecord>> {
        let folder = self.cell_path(cell);
        if !folder.exists() {
            return Ok(None);
        }
        check_finished(&folder)?;
        let path = folder.join(OUTCOME);
        let record: CellRecord = read_json(&path)?;
        if record.variant == *cell.variant && record.run.seed == cell.seed {
            return Ok(Some(record));
        }
        Err(KallmError::unusable(
            path.display(),
            format!("{:?} with seed {}", cell.variant, cell.seed),
            format!("{:?} with seed {}", record.variant, record.run.seed),
            "give the variant another name, or choose another folder",
        ))
    }

    /// How far a cell is.
    pub fn state(&self, cell: &Cell<'_>) -> CellState {
        CellState::in_folder(&self.root, cell)
    }

    fn cell_path(&self, cell: &Cell<'_>) -> PathBuf {
        cell_path(&self.root, cell)
    }
}

fn cell_path(root: &Path, cell: &Cell<'_>) -> PathBuf {
    root.join(&cell.variant.name).join(seed_name(cell.seed))
}

/// How far a cell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellState {
    /// Nobody began it.
    Waiting,
    /// A process works on it, or was interrupted.
    Begun,
    /// It is trained and judged.
    Finished,
}

impl CellState {
    /// The progress of a cell of the study in this folder, if there is one.
    pub fn in_folder(root: &Path, cell: &Cell<'_>) -> Self {
        let folder = cell_path(root, cell);
        if folder.join(OUTCOME).is_file() {
            Self::Finished
        } else if cell::partial(&folder).exists() {
            Self::Begun
        } else {
            Self::Waiting
        }
    }
}

impl std::fmt::Display for CellState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Waiting => "waiting",
            Self::Begun => "begun",
            Self::Finished => "finished",
        })
    }
}

fn seed_name(seed: u64) -> String {
    format!("seed-{seed}")
}

/// A lock file, and why it is not locked where the file system has no locks.
fn locked_file(path: PathBuf, lock: fn(&File) -> Result<(), TryLockError>) -> Result<(File, Option<io::Error>)> {
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let file = file.of_path("write", &path)?;
    match lock(&file) {
        Ok(()) => Ok((file, None)),
        Err(TryLockError::WouldBlock) => Err(KallmError::Busy { path }),
        Err(TryLockError::Error(error)) => Ok((file, Some(error))),
    }
}

fn check_finished(folder: &Path) -> Result<()> {
    if !folder.join(OUTCOME).is_file() {
        return Err(KallmError::unusable(
            folder.display(),
            format!("a finished cell with {OUTCOME}"),
            "a folder that no study made",
            "move it away, or choose another folder",
        ));
    }
    Ok(())
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).of_path("read", path)?;
    serde_json::from_str(&text).map_err(KallmError::json(path.display().to_string()))
}

/// Never writes into a folder that contains anything a study did not make.
fn refuse_foreign(root: &Path) -> Result<()> {
    if !root.exists() || root.join(SETTINGS).is_file() {
        return Ok(());
    }
    let paths = children(root)?;
    let mut names: Vec<_> = paths.iter().filter_map(|path| path.file_name()).collect();
    names.retain(|name| *name != LOCK && !is_unfinished_settings(name));
    names.sort();
    match names.first() {
        None => Ok(()),
        Some(first) => Err(KallmError::unusable(
            root.display(),
            format!("an empty folder or one with {SETTINGS}, which a study leaves"),
            format!("`{}` and no {SETTINGS}", first.display()),
            "choose another folder",
        )),
    }
}

/// A temporary file of [`write_new`] that a killed study left.
fn is_unfinished_settings(name: &OsStr) -> bool {
    let start = format!("{SETTINGS}.partial-");
    name.as_encoded_bytes().starts_with(start.as_bytes())
}

#[cfg(test)]
mod tests;
