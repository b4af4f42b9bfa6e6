//! The output folder of a comparison: one process at a time, one comparison for good, one folder per variant.
//!
//! A variant is trained and judged in `NAME.partial`, which becomes `NAME` when all of it is on the disk. Only a
//! `NAME.partial` that a killed comparison left is ever removed, unless an earlier comparison is to be replaced.

use super::outcome::Outcome;
use super::variant_name;
use crate::error::{KallmError, OfPath, Result};
use crate::files::{children, create_folder, rename, sync, sync_all, write_whole};
use serde::de::DeserializeOwned;
use serde_json::Value;
use smollm2_model::FeedForwardKind;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Held by the process that writes into the folder.
const LOCK: &str = "comparison.lock";
/// The resolved settings. Its presence says that the folder is a comparison's.
const SETTINGS: &str = "comparison.json";
/// In the folder of every finished variant.
const OUTCOME: &str = "outcome.json";
/// The copy of the page.
const PAGE: &str = "report.html";
/// The tasks, their data and the training conversations of a comparison without a model.
const WORLD: &str = "synthetic";
/// All that a comparison writes into the folder of a variant, and into that of the synthetic world.
const IN_VARIANT: [&str; 9] = [
    "checkpoints",
    "loss.svg",
    "metrics.jsonl",
    "model",
    OUTCOME,
    "results",
    "run.json",
    "run.lock",
    "train.toml",
];
const IN_WORLD: [&str; 3] = ["data", "tasks", "train.jsonl"];

/// An output folder that no other comparison writes into as long as this exists.
pub struct StudyFolder {
    root: PathBuf,
    _lock: File,
    /// Why the folder is not locked. Some network file systems have no locks, which is no reason not to compare.
    pub unlocked: Option<io::Error>,
}

impl StudyFolder {
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
        let file = file.of_path("write", &path)?;
        let unlocked = match file.try_lock() {
            Ok(()) => None,
            Err(TryLockError::WouldBlock) => return Err(KallmError::Busy { path }),
            Err(TryLockError::Error(error)) => Some(error),
        };
        Ok(Self {
            root: root.to_path_buf(),
            _lock: file,
            unlocked,
        })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes this the folder of a comparison with these settings. What one with other settings left is removed if it is
    /// to be replaced; whether that happened is returned.
    ///
    /// # Errors
    /// When it belongs to one with others, which is not to be replaced; the first setting that differs is named. When
    /// something that no comparison wrote lies among what is to be removed: then nothing is.
    pub(super) fn settle(&self, settings: &Value, replace: bool) -> Result<bool> {
        let path = self.root.join(SETTINGS);
        // Through text, so that numbers are compared as they are written.
        let text = format!("{settings:#}");
        if !path.exists() {
            return write_whole(&path, &text).map(|()| false);
        }
        let expected: Value = serde_json::from_str(&text).map_err(KallmError::json("settings"))?;
        let found = read_json(&path)?;
        let Some(difference) = first_difference("", &found, &expected) else {
            return Ok(false);
        };
        if !replace {
            let difference = reason(&difference);
            return Err(KallmError::OtherStudy { path, difference });
        }
        self.remove_comparison()?;
        // Last, so that a killed program leaves a folder that is still the earlier comparison's.
        write_whole(&path, &text).map(|()| true)
    }

    /// Removes the variants, the world and the page of a comparison, after a look at all of them.
    fn remove_comparison(&self) -> Result<()> {
        let names = FeedForwardKind::ALL.map(variant_name);
        for name in &names {
            let folder = self.root.join(name);
            if folder.exists() {
                check_finished(&folder)?;
                check_only(&folder, &IN_VARIANT)?;
            }
        }
        check_only(&self.root.join(WORLD), &IN_WORLD)?;
        for name in &names {
            let partial = self.partial(name);
            remove_folder(&partial)?;
            if self.root.join(name).exists() {
                // Half a variant never has the name of a whole one.
                rename(&self.root.join(name), &partial)?;
                remove_folder(&partial)?;
            }
        }
        remove_folder(&self.root.join(WORLD))?;
        let page = self.root.join(PAGE);
        if page.is_file() {
            fs::remove_file(&page).of_path("remove", &page)?;
        }
        sync(&self.root)
    }

    /// Where a variant is until it is finished.
    fn partial(&self, variant: &str) -> PathBuf {
        self.root.join(format!("{variant}.partial"))
    }

    /// The outcome of a variant that is already finished.
    ///
    /// # Errors
    /// When its folder exists but is not that of a finished variant.
    pub(super) fn finished(&self, variant: &str) -> Result<Option<Outcome>> {
        let folder = self.root.join(variant);
        if !folder.exists() {
            return Ok(None);
        }
        check_finished(&folder)?;
        read_json(&folder.join(OUTCOME)).map(Some)
    }

    /// An empty folder for the work on a variant. What a killed comparison left of it is removed.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn begin(&self, variant: &str) -> Result<PathBuf> {
        let folder = self.partial(variant);
        remove_folder(&folder)?;
        create_folder(&folder)?;
        Ok(folder)
    }

    /// Gives a folder made by [`StudyFolder::begin`] its name, with the outcome in it.
    ///
    /// # Errors
    /// When something cannot be written.
    pub(super) fn finish(&self, variant: &str, outcome: &Outcome) -> Result<()> {
        let folder = self.partial(variant);
        write_whole(
            &folder.join(OUTCOME),
            &serde_json::to_string(outcome).map_err(KallmError::json(OUTCOME))?,
        )?;
        self.publish(&folder, variant)
    }

    /// Renames a complete folder into this one.
    ///
    /// # Errors
    /// When it cannot be flushed to the disk or renamed.
    fn publish(&self, folder: &Path, name: &str) -> Result<()> {
        sync_all(folder)?;
        rename(folder, &self.root.join(name))?;
        sync(&self.root)
    }
}

fn check_finished(folder: &Path) -> Result<()> {
    if !folder.join(OUTCOME).is_file() {
        return Err(KallmError::unusable(
            folder.display(),
            format!("a finished variant with {OUTCOME}"),
            "a folder that no comparison made",
            "move it away, or choose another folder",
        ));
    }
    Ok(())
}

/// Refuses to remove a folder to which something was added.
fn check_only(folder: &Path, known: &[&str]) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let paths = children(folder)?;
    match paths.iter().find(|path| !known.iter().any(|name| path.ends_with(name))) {
        None => Ok(()),
        Some(other) => Err(KallmError::unusable(
            folder.display(),
            "only what the comparison that is to be removed wrote",
            other.display().to_string(),
            "move it away, or choose another folder",
        )),
    }
}

fn remove_folder(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    fs::remove_dir_all(folder).of_path("remove", folder)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).of_path("read", path)?;
    serde_json::from_str(&text).map_err(KallmError::json(path.display().to_string()))
}

/// A folder in which something lies that no comparison made is never written into.
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
            format!("an empty folder or one with {SETTINGS}, which a comparison leaves"),
            format!("`{}` and no {SETTINGS}", first.display()),
            "choose another folder",
        )),
    }
}

/// What [`write_whole`] had begun when a comparison was killed.
fn is_unfinished_settings(name: &OsStr) -> bool {
    let start = format!("{SETTINGS}.partial-");
    name.as_encoded_bytes().starts_with(start.as_bytes())
}

/// Why a comparison cannot be continued.
fn reason(difference: &str) -> String {
    if difference.starts_with("program.") {
        return "this folder holds a comparison by another build of this program, which may compute other numbers"
            .into();
    }
    format!("this folder holds a comparison with other settings: {difference}")
}

/// The order in which settings are compared: what flags set, then the program, then the digests that follow from both.
fn rank(name: &str) -> usize {
    match name {
        "recipe" => 0,
        "program" => 2,
        "data" | "start" | "tasks" => 3,
        _ => 1,
    }
}

/// The first place in which two settings differ, and how.
fn first_difference(place: &str, found: &Value, expected: &Value) -> Option<String> {
    let (Value::Object(there), Value::Object(here)) = (found, expected) else {
        return (found != expected).then(|| format!("{place} is {found} there and {expected} in this command"));
    };
    let mut names: Vec<&String> = there.keys().chain(here.keys()).collect();
    names.sort_by_key(|name| (rank(name), name.as_str()));
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
    use crate::files::tests::names;
    use serde_json::json;

    fn settings(steps: usize, rate: f64, program: &str) -> Value {
        json!({
            "recipe": { "steps": steps, "rate": rate },
            "device": "cpu",
            "data": { "world": format!("of {steps}") },
            "program": { "sha256": program },
        })
    }

    /// The message with which settings are refused.
    fn refused(folder: &StudyFolder, settings: &Value) -> String {
        folder.settle(settings, false).unwrap_err().to_string()
    }

    #[test]
    fn the_first_difference_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let ours = StudyFolder::lock(folder.path()).unwrap();
        ours.settle(&settings(3, 3e-3, "a"), false).unwrap();
        ours.settle(&settings(3, 3e-3, "a"), false).unwrap();
        // What a flag sets, before the digests that follow from it and before another build.
        let error = refused(&ours, &settings(4, 3e-3, "b"));
        assert!(error.contains("recipe.steps is 3 there and 4"), "{error}");
        let mut without = settings(3, 3e-3, "a");
        without["recipe"] = json!({ "steps": 3 });
        let error = refused(&ours, &without);
        assert!(error.contains("recipe.rate is 0.003 there and null"), "{error}");
        let error = refused(&ours, &settings(3, 3e-3, "b"));
        assert!(error.contains("another build of this program"), "{error}");
    }

    /// A folder with a finished variant, one in progress, and a file of somebody else.
    fn finished_comparison(root: &Path) -> StudyFolder {
        let folder = StudyFolder::lock(root).unwrap();
        folder.settle(&settings(3, 3e-3, "a"), false).unwrap();
        for file in [
            "swiglu/outcome.json",
            "swiglu/model/config.json",
            "gated-rational.partial/metrics.jsonl",
            "synthetic/train.jsonl",
            "report.html",
            "notes/mine.txt",
        ] {
            write_whole(&root.join(file), "{}").unwrap();
        }
        folder
    }

    #[test]
    fn a_replaced_comparison_leaves_nothing_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let ours = finished_comparison(folder.path());
        // Nothing to replace: the settings are the same.
        ours.settle(&settings(3, 3e-3, "a"), true).unwrap();
        assert!(folder.path().join("swiglu/model/config.json").exists());
        ours.settle(&settings(4, 3e-3, "a"), true).unwrap();
        assert_eq!(names(folder.path()), [SETTINGS, LOCK, "notes"]);
        assert!(folder.path().join("notes/mine.txt").exists());
        ours.settle(&settings(4, 3e-3, "a"), false).unwrap();
    }

    #[test]
    fn nothing_is_replaced_where_something_was_added() {
        for (added, place) in [
            ("swiglu/converted/config.json", "converted"),
            ("synthetic/mine.jsonl", "mine.jsonl"),
            ("group-kan/model/config.json", "group-kan"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let ours = finished_comparison(folder.path());
            write_whole(&folder.path().join(added), "{}").unwrap();
            let before = names(folder.path());
            let error = ours.settle(&settings(4, 3e-3, "a"), true).unwrap_err().to_string();
            assert!(error.contains(place), "{error}");
            assert_eq!(names(folder.path()), before);
            assert!(folder.path().join("swiglu/model/config.json").exists());
            ours.settle(&settings(3, 3e-3, "a"), false).unwrap();
        }
    }

    #[test]
    fn settings_that_were_never_finished_are_not_foreign() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("comparison.json.partial-a1B2c3"), "{").unwrap();
        let ours = StudyFolder::lock(folder.path()).unwrap();
        ours.settle(&settings(3, 3e-3, "a"), false).unwrap();
    }

    #[test]
    fn a_foreign_folder_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("swiglu")).unwrap();
        let error = StudyFolder::lock(folder.path()).err().unwrap().to_string();
        assert!(error.contains("swiglu"), "{error}");
        assert_eq!(children(folder.path()).unwrap().len(), 1);
        let empty = tempfile::tempdir().unwrap();
        let held = StudyFolder::lock(empty.path()).unwrap();
        assert!(StudyFolder::lock(empty.path()).is_err());
        drop(held);
        StudyFolder::lock(empty.path()).unwrap();
    }

    #[test]
    fn a_folder_that_took_a_variants_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let ours = StudyFolder::lock(folder.path()).unwrap();
        assert!(ours.finished("swiglu").unwrap().is_none());
        std::fs::create_dir(folder.path().join("swiglu")).unwrap();
        assert!(ours.finished("swiglu").is_err());
    }
}
