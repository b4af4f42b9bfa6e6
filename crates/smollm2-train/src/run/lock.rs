//! Ensures that the output folder belongs to one run: files of other origin are an error, and only one run at a time
//! can write.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
};

use super::{FIGURE, METRICS, RunOptions};
use crate::{
    TrainError,
    checkpoint::{self, Checkpoint, RECIPE, RECORD},
    files,
};

const LOCK: &str = "run.lock";

impl RunOptions<'_> {
    /// Refuses an output folder with files that a run would replace and that no run has written: it has neither
    /// `run.lock` nor a checkpoint.
    ///
    /// # Errors
    /// [`TrainError::ForeignFile`], naming the first; [`TrainError::Io`].
    pub fn check_folder(&self) -> Result<(), TrainError> {
        if self.output.join(LOCK).exists() || !checkpoint::list(&self.checkpoints())?.is_empty() {
            return Ok(());
        }
        let mut files = [RECIPE, RECORD, METRICS, FIGURE]
            .map(|name| self.output.join(name))
            .into_iter();
        match files.find(|path| path.exists()) {
            Some(path) => Err(TrainError::ForeignFile { path }),
            None => Ok(()),
        }
    }
}

/// The lock of an output folder: two runs would remove each other's half-written checkpoints. The system releases it
/// when the process ends, even if it is killed.
pub(super) fn acquire(output: &Path) -> Result<File, TrainError> {
    files::create(output)?;
    let path = output.join(LOCK);
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let file = file.map_err(TrainError::io("open", &path))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(TrainError::Locked { path }),
        // Some network file systems have no locks; the run continues without one.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

/// Prepares the folder of checkpoints for a run after `step`: refuses one with later checkpoints, which would count as
/// newer than this run's, and removes what a killed run left.
pub(super) fn claim(root: &Path, step: usize) -> Result<(), TrainError> {
    files::create(root)?;
    match checkpoint::list(root)?
        .into_iter()
        .rev()
        .find(|found| is_beyond(found, step))
    {
        Some(newest) => Err(TrainError::UsedFolder {
            path: root.to_owned(),
            from: step,
            step: newest.step,
        }),
        None => checkpoint::remove_partial(root),
    }
}

/// Whether a checkpoint is of a later step. A resumed run has passed over damaged ones.
fn is_beyond(found: &Checkpoint, step: usize) -> bool {
    found.step > step && (step == 0 || checkpoint::verify(&found.folder).is_ok())
}
