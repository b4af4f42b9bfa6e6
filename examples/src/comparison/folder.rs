//! The output folder of a comparison: one process at a time, one comparison for good, one folder per variant.
//!
//! A variant is trained and judged in `NAME.partial`, which becomes `NAME` when all of it is on the disk. Only a
//! `NAME.partial` that a killed comparison left is ever removed.

use super::outcome::Outcome;
use crate::output::{children, create_folder, rename, sync, sync_all, write_whole};
use crate::terminal::note;
use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// Held by the process that writes into the folder.
const LOCK: &str = "comparison.lock";
/// The resolved settings. Its presence says that the folder is a comparison's.
const SETTINGS: &str = "comparison.json";
/// In the folder of every finished variant.
const OUTCOME: &str = "outcome.json";

/// An output folder that no other comparison writes into as long as this exists.
pub struct ComparisonFolder {
    root: PathBuf,
    _lock: File,
}

impl ComparisonFolder {
    /// Locks a folder that is empty, absent, or of an earlier comparison. The operating system releases the lock when
    /// the process ends, however it ends.
    ///
    /// # Errors
    /// When it holds something else, or another comparison writes into it.
    pub fn lock(root: &Path) -> Result<Self> {
        refuse_foreign(root)?;
        create_folder(root)?;
        let path = root.join(LOCK);
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "{}: another comparison is writing into this folder; wait for it, or choose another --output-path",
                path.display()
            ),
            // Some network file systems have no locks, which is no reason not to compare.
            Err(TryLockError::Error(error)) => note(format_args!(
                "{}: cannot be locked ({error}); make sure that no other comparison writes into this folder",
                path.display()
            )),
        }
        Ok(Self {
            root: root.to_path_buf(),
            _lock: file,
        })
    }

    /// Makes this the folder of a comparison with these settings.
    ///
    /// # Errors
    /// When it belongs to one with others; the first setting that differs is named.
    pub fn settle(&self, settings: &Value) -> Result<()> {
        let path = self.root.join(SETTINGS);
        // Through text, so that numbers are compared as they are written.
        let text = serde_json::to_string_pretty(settings)?;
        if !path.exists() {
            return write_whole(&path, &text);
        }
        let (found, expected): (Value, Value) = (read_json(&path)?, serde_json::from_str(&text)?);
        if let Some(difference) = first_difference("", &found, &expected) {
            bail!(
                "{}: this folder holds a comparison with other settings: {difference}; choose another --output-path, \
                 or remove the folder",
                path.display()
            );
        }
        Ok(())
    }

    /// What a variant that is already finished came to.
    ///
    /// # Errors
    /// When its folder exists but is not that of a finished variant.
    pub fn finished(&self, variant: &str) -> Result<Option<Outcome>> {
        let folder = self.root.join(variant);
        if !folder.exists() {
            return Ok(None);
        }
        let path = folder.join(OUTCOME);
        if !path.is_file() {
            bail!(
                "{}: expected a finished variant with {OUTCOME}, found a folder that `compare` did not make; move it \
                 away, or choose another --output-path",
                folder.display()
            );
        }
        read_json(&path).map(Some)
    }

    /// An empty folder for the work on a variant. What a killed comparison left of it is removed.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn begin(&self, variant: &str) -> Result<PathBuf> {
        let folder = self.root.join(format!("{variant}.partial"));
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        create_folder(&folder)?;
        Ok(folder)
    }

    /// Gives a folder made by [`ComparisonFolder::begin`] its name, with the outcome in it.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn finish(&self, variant: &str, outcome: &Outcome) -> Result<()> {
        let folder = self.root.join(format!("{variant}.partial"));
        write_whole(&folder.join(OUTCOME), &serde_json::to_string(outcome)?)?;
        self.publish(&folder, variant)
    }

    /// Renames a complete folder into this one.
    ///
    /// # Errors
    /// When it cannot be flushed to the disk or renamed.
    pub fn publish(&self, folder: &Path, name: &str) -> Result<()> {
        sync_all(folder)?;
        rename(folder, &self.root.join(name))?;
        sync(&self.root)
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{}: expected what `compare` writes into such a file", path.display()))
}

/// A folder in which something lies that no comparison made is never written into.
fn refuse_foreign(root: &Path) -> Result<()> {
    if !root.exists() || root.join(SETTINGS).is_file() {
        return Ok(());
    }
    let paths = children(root)?;
    let mut names: Vec<_> = paths.iter().filter_map(|path| path.file_name()).collect();
    names.retain(|name| *name != LOCK);
    names.sort();
    match names.first() {
        None => Ok(()),
        Some(first) => bail!(
            "{}: expected an empty folder or one with {SETTINGS}, which `compare` leaves, found `{}` and no {SETTINGS}; \
             choose another --output-path",
            root.display(),
            first.display()
        ),
    }
}

/// The first place in which two settings differ, and how.
fn first_difference(place: &str, found: &Value, expected: &Value) -> Option<String> {
    let (Value::Object(there), Value::Object(here)) = (found, expected) else {
        return (found != expected).then(|| format!("{place} is {found} there and {expected} in this command"));
    };
    let names: BTreeSet<&String> = there.keys().chain(here.keys()).collect();
    names.into_iter().find_map(|name| {
        let place = match place {
            "" => name.clone(),
            above => format!("{above}.{name}"),
        };
        // An absent setting is indexed as null.
        first_difference(&place, &found[name], &expected[name])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_difference_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let settings = |steps: usize, rate: f64| json!({ "recipe": { "steps": steps, "rate": rate }, "device": "cpu" });
        let ours = ComparisonFolder::lock(folder.path()).unwrap();
        ours.settle(&settings(3, 3e-3)).unwrap();
        ours.settle(&settings(3, 3e-3)).unwrap();
        let error = ours.settle(&settings(4, 3e-3)).unwrap_err().to_string();
        assert!(error.contains("recipe.steps is 3 there and 4"), "{error}");
        let error = ours
            .settle(&json!({ "recipe": { "steps": 3 } }))
            .unwrap_err()
            .to_string();
        assert!(error.contains("recipe.rate is 0.003 there and null"), "{error}");
    }

    #[test]
    fn a_foreign_folder_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("swiglu")).unwrap();
        let error = ComparisonFolder::lock(folder.path()).err().unwrap().to_string();
        assert!(error.contains("swiglu"), "{error}");
        assert_eq!(children(folder.path()).unwrap().len(), 1);
        let empty = tempfile::tempdir().unwrap();
        let held = ComparisonFolder::lock(empty.path()).unwrap();
        assert!(ComparisonFolder::lock(empty.path()).is_err());
        drop(held);
        ComparisonFolder::lock(empty.path()).unwrap();
    }

    #[test]
    fn a_folder_that_took_a_variants_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let ours = ComparisonFolder::lock(folder.path()).unwrap();
        assert!(ours.finished("swiglu").unwrap().is_none());
        std::fs::create_dir(folder.path().join("swiglu")).unwrap();
        assert!(ours.finished("swiglu").is_err());
    }
}
