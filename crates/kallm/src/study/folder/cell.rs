//! The folder of one cell: in progress, then finished.

use super::{OUTCOME, StudyFolder, locked_file, read_json};
use crate::error::{KallmError, OfPath, Result};
use crate::files::{create_folder, folder_of, rename, sync, sync_all, write_whole};
use crate::study::plan::{Cell, VariantPlan};
use crate::study::record::CellRecord;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What the cell in progress is of.
const CELL: &str = "cell.json";

/// The locked folder of a cell: while this exists, no other process works on the cell.
pub(in crate::study) struct CellFolder {
    finished: PathBuf,
    partial: PathBuf,
    _lock: File,
}

/// Where a cell is until it is finished.
pub(super) fn partial(finished: &Path) -> PathBuf {
    finished.with_added_extension("partial")
}

impl StudyFolder {
    /// Takes a cell for this process.
    ///
    /// # Errors
    /// When another process works on it.
    pub(in crate::study) fn cell(&self, cell: &Cell<'_>) -> Result<CellFolder> {
        let finished = self.cell_path(cell);
        create_folder(folder_of(&finished))?;
        // Without locks, locking the study has already reported it.
        let (lock, _) = locked_file(finished.with_added_extension("lock"), File::try_lock)?;
        Ok(CellFolder {
            partial: partial(&finished),
            finished,
            _lock: lock,
        })
    }
}

impl CellFolder {
    /// The folder to work in. What an interrupted process left of the same cell is kept; of another cell it is removed.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(in crate::study) fn begin(&self, variant: &VariantPlan) -> Result<PathBuf> {
        let path = self.partial.join(CELL);
        // Only what is certainly another cell's is removed: a file that cannot be read is an error.
        if path.try_exists().of_path("read", &path)? && read_json::<VariantPlan>(&path)? == *variant {
            return Ok(self.partial.clone());
        }
        self.restart(variant)
    }

    /// The folder to work in, empty.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(in crate::study) fn restart(&self, variant: &VariantPlan) -> Result<PathBuf> {
        remove_folder(&self.partial)?;
        create_folder(&self.partial)?;
        let text = serde_json::to_string_pretty(variant).map_err(KallmError::json(CELL))?;
        write_whole(&self.partial.join(CELL), &text)?;
        Ok(self.partial.clone())
    }

    /// Gives the folder its name, with the record in it.
    ///
    /// # Errors
    /// When something cannot be written.
    pub(in crate::study) fn finish(&self, record: &CellRecord) -> Result<()> {
        let text = serde_json::to_string(record).map_err(KallmError::json(OUTCOME))?;
        write_whole(&self.partial.join(OUTCOME), &text)?;
        sync_all(&self.partial)?;
        rename(&self.partial, &self.finished)?;
        sync(folder_of(&self.finished))
    }
}

pub(in crate::study) fn remove_folder(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    fs::remove_dir_all(folder).of_path("remove", folder)
}
