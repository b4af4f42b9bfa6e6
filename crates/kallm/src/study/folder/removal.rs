//! Removes an earlier study, and nothing that it did not write.

use super::cell::{partial, remove_folder};
use super::{OUTCOME, PAGE, PLAN, TOKENIZER, WORLD, check_finished};
use crate::error::{KallmError, OfPath, Result};
use crate::files::{children, rename, sync};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// All that is written into the folder of a cell, of a world and of a tokenizer.
const IN_CELL: [&str; 12] = [
    "answers.jsonl",
    "cell.json",
    "checkpoints",
    "functions.json",
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
const IN_TOKENIZER: [&str; 3] = ["chat_template.jinja", "tokenizer.json", "tokenizer_config.json"];

/// Removes the cells, the worlds, the tokenizer and the page of a study, after checking all of them.
pub(super) fn remove_study(root: &Path) -> Result<()> {
    let mut variants = Vec::new();
    for folder in children(root)? {
        let name = folder.file_name().unwrap_or_default();
        if folder.is_dir() && name != WORLD && name != TOKENIZER && is_variant(&folder)? {
            variants.push(folder);
        }
    }
    let (worlds, tokenizer) = (root.join(WORLD), root.join(TOKENIZER));
    for variant in &variants {
        check_variant(variant)?;
    }
    for world in existing(&worlds)? {
        check_seed(&world)?;
        check_only(&world, &IN_WORLD)?;
    }
    check_only(&tokenizer, &IN_TOKENIZER)?;
    for variant in &variants {
        remove_variant(variant)?;
    }
    remove_folder(&worlds)?;
    remove_folder(&tokenizer)?;
    for file in [PAGE, PLAN].map(|name| root.join(name)) {
        if file.is_file() {
            fs::remove_file(&file).of_path("remove", &file)?;
        }
    }
    sync(root)
}

/// Whether a folder has something in it that is named as a study names its cells.
fn is_variant(folder: &Path) -> Result<bool> {
    Ok(children(folder)?
        .iter()
        .any(|path| is_seed(path.file_name().unwrap_or_default())))
}

/// `seed-7`, `seed-7.partial` or `seed-7.lock`.
fn is_seed(name: &OsStr) -> bool {
    let number = name.to_str().and_then(|name| name.strip_prefix("seed-"));
    number.is_some_and(|number| {
        let number = number
            .strip_suffix(".partial")
            .or(number.strip_suffix(".lock"))
            .unwrap_or(number);
        number.parse::<u64>().is_ok()
    })
}

fn check_variant(folder: &Path) -> Result<()> {
    for path in children(folder)? {
        check_seed(&path)?;
        if path.is_dir() && path.extension() != Some(OsStr::new("partial")) {
            check_finished(&path)?;
            check_only(&path, &IN_CELL)?;
        }
    }
    Ok(())
}

fn check_seed(path: &Path) -> Result<()> {
    if is_seed(path.file_name().unwrap_or_default()) {
        return Ok(());
    }
    Err(foreign(path.parent().unwrap_or(path), path))
}

/// Refuses to remove a folder to which something was added.
fn check_only(folder: &Path, known: &[&str]) -> Result<()> {
    let paths = existing(folder)?;
    match paths.iter().find(|path| !is_known(path, known)) {
        None => Ok(()),
        Some(other) => Err(foreign(folder, other)),
    }
}

/// A run keeps copies of metrics it could not read: `metrics.damaged-7.jsonl`.
fn is_known(path: &Path, known: &[&str]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_copy = name.starts_with("metrics.") && name.ends_with(".jsonl") && known.contains(&"metrics.jsonl");
    is_copy || known.contains(&name.as_ref())
}

fn foreign(folder: &Path, other: &Path) -> KallmError {
    KallmError::unusable(
        folder.display(),
        "only what the study that is to be removed wrote",
        other.display().to_string(),
        "move it away, or choose another folder",
    )
}

fn existing(folder: &Path) -> Result<Vec<PathBuf>> {
    if folder.exists() {
        children(folder)
    } else {
        Ok(Vec::new())
    }
}

fn remove_variant(folder: &Path) -> Result<()> {
    for path in children(folder)? {
        if path.is_file() {
            fs::remove_file(&path).of_path("remove", &path)?;
        } else if path.extension() == Some(OsStr::new("partial")) {
            remove_folder(&path)?;
        } else {
            // A partial cell never has the name of a finished one.
            let unfinished = partial(&path);
            remove_folder(&unfinished)?;
            rename(&path, &unfinished)?;
            remove_folder(&unfinished)?;
        }
    }
    fs::remove_dir(folder).of_path("remove", folder)
}
