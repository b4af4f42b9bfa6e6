//! Writes files and folders so that they survive a power loss.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::TrainError;

/// Creates a folder and its parents, and flushes the parent of each new one, so that they survive a power loss.
pub(crate) fn create(folder: &Path) -> Result<(), TrainError> {
    let (mut changed, mut missing) = (Vec::new(), folder);
    while !missing.exists() {
        missing = parent_of(missing);
        changed.push(missing);
    }
    fs::create_dir_all(folder).map_err(TrainError::io("create", folder))?;
    changed.into_iter().try_for_each(sync)
}

pub(crate) fn parent_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Replaces a file by one with this content. A reader sees either the old file or the new one.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), TrainError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let staging = path.with_file_name(name);
    let written = write_through(&staging, content);
    written.map_err(TrainError::io("write", &staging))?;
    fs::rename(&staging, path).map_err(TrainError::io("replace", path))
}

fn write_through(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), TrainError> {
    fs::rename(from, to).map_err(TrainError::io("rename", to))
}

pub(crate) fn remove(folder: &Path) -> Result<(), TrainError> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(TrainError::io("remove", folder))
    } else {
        Ok(())
    }
}

pub(crate) fn children(folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let entries = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut paths: Vec<PathBuf> = entries.map_err(TrainError::io("list", folder))?;
    paths.sort();
    Ok(paths)
}

pub(crate) fn sync(path: &Path) -> Result<(), TrainError> {
    // Windows cannot open a folder as a file, and flushes its entries by itself; a file it flushes only for a writer.
    if cfg!(windows) && path.is_dir() {
        return Ok(());
    }
    let file = OpenOptions::new().read(true).write(cfg!(windows)).open(path);
    file.and_then(|file| file.sync_all())
        .map_err(TrainError::io("flush", path))
}
