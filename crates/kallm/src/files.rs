//! Output files. An unusable path is an error before the work begins, and a file appears only once it is complete.

use crate::error::{AtPlace, KallmError, OfPath, Result};
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A file that gets its final name once it is complete and on disk. Until then, and permanently after an error, the
/// data are in `NAME.partial-XXXXXX` next to it.
pub struct WholeFile {
    target: PathBuf,
    writer: BufWriter<NamedTempFile>,
}

impl WholeFile {
    /// Begins a file. One that exists under this name stays until [`WholeFile::finish`].
    ///
    /// # Errors
    /// When nothing can be written there.
    pub fn create(path: &Path) -> Result<Self> {
        prepare_file(path)?;
        // A link's target is replaced, not the link.
        let target = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let mut prefix = target.file_name().unwrap_or_default().to_os_string();
        prefix.push(".partial-");
        let file = partial(&prefix)
            .tempfile_in(folder_of(&target))
            .of_path("write", &target)?;
        let writer = BufWriter::new(file);
        Ok(Self { target, writer })
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// When the remaining data cannot be written.
    pub fn finish(self) -> Result<()> {
        let written = self.writer.into_inner().map_err(|error| error.into_error());
        let synced = written.and_then(|file| file.as_file().sync_all().map(|()| file));
        let file = synced.of_path("write", &self.target)?;
        file.persist(&self.target)
            .map_err(|error| error.error)
            .of_path("write", &self.target)?;
        sync(folder_of(&self.target))
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}

/// Writes a text through a [`WholeFile`].
///
/// # Errors
/// When it cannot be written.
pub fn write_whole(path: &Path, text: &str) -> Result<()> {
    let mut file = WholeFile::create(path)?;
    let written = file.write_all(text.as_bytes());
    written.of_path("write", path)?;
    file.finish()
}

/// Writes a text into a file that does not exist yet. Returns false, and leaves the file, if another process was first.
///
/// # Errors
/// When it cannot be written.
#[cfg(all(feature = "bench", feature = "train"))]
pub(crate) fn write_new(path: &Path, text: &str) -> Result<bool> {
    let mut prefix = path.file_name().unwrap_or_default().to_os_string();
    prefix.push(".partial-");
    let mut builder = partial(&prefix);
    let mut file = builder
        .disable_cleanup(false)
        .tempfile_in(folder_of(path))
        .of_path("write", path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all());
    written.of_path("write", path)?;
    match file.persist_noclobber(path) {
        Ok(_) => sync(folder_of(path)).map(|()| true),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.error).of_path("write", path),
    }
}

/// Temporary names with the permissions of a new file, which stay after an error.
fn partial(prefix: &OsStr) -> tempfile::Builder<'_, '_> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).disable_cleanup(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666)); // less the umask
    }
    builder
}

/// Creates a folder and those above it.
///
/// # Errors
/// When it cannot be created.
pub(crate) fn create_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).of_path("create", folder)
}

/// Renames a file or folder, which must be on the same file system.
///
/// # Errors
/// When it cannot be renamed.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to)
        .of_path("rename", from)
        .at_place(|| format!("to {}", to.display()))
}

/// What is in a folder.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn children(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    entries.of_path("read", folder)
}

/// Flushes a folder and everything in it to the disk.
///
/// # Errors
/// When that fails.
pub(crate) fn sync_all(folder: &Path) -> Result<()> {
    for path in children(folder)? {
        if path.is_dir() {
            sync_all(&path)?;
        } else {
            sync(&path)?;
        }
    }
    sync(folder)
}

/// Flushes a file, or the names in a folder, to the disk.
///
/// # Errors
/// When that fails.
pub(crate) fn sync(path: &Path) -> Result<()> {
    // Windows cannot open a folder as a file, and flushes its names by itself; a file it flushes only for a writer.
    if cfg!(windows) && path.is_dir() {
        return Ok(());
    }
    let file = OpenOptions::new().read(true).write(cfg!(windows)).open(path);
    let synced = file.and_then(|file| file.sync_all());
    synced.of_path("flush", path)
}

/// The folder that a path lies in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Refuses a folder or a device where a file is to be written.
///
/// # Errors
/// When the path is one.
pub fn check_file(path: &Path) -> Result<()> {
    let (found, remedy) = match path {
        path if path.is_dir() => ("a folder", "name a file in it"),
        path if path.exists() && !path.is_file() => ("a pipe or device", "name a file"),
        _ => return Ok(()),
    };
    Err(KallmError::unusable(path.display(), "a file to write", found, remedy))
}

/// Creates the folder of a file that is written later.
///
/// # Errors
/// When the path is a folder or a device, or its folder cannot be made.
pub fn prepare_file(path: &Path) -> Result<()> {
    check_file(path)?;
    create_folder(folder_of(path))
}

/// Refuses a file where a folder is to be.
///
/// # Errors
/// When the path is one.
pub fn check_folder(path: &Path) -> Result<()> {
    if path.exists() && !path.is_dir() {
        let expected = "a folder to write into";
        return Err(KallmError::unusable(
            path.display(),
            expected,
            "a file",
            "choose another name",
        ));
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = children(folder)
            .unwrap()
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_when_the_new_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/scores.jsonl");
        let mut first = WholeFile::create(&path).unwrap();
        first.write_all(b"first").unwrap();
        assert!(!path.exists());
        first.finish().unwrap();
        assert_eq!(names(path.parent().unwrap()), ["scores.jsonl"]);
        let mut given_up = WholeFile::create(&path).unwrap();
        given_up.write_all(b"some").unwrap();
        drop(given_up);
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        assert_eq!(
            names(path.parent().unwrap()).len(),
            2,
            "what was written before an error stays"
        );
        WholeFile::create(&path).unwrap().finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn two_writers_of_one_file_do_not_mix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scores.jsonl");
        let (mut one, mut other) = (WholeFile::create(&path).unwrap(), WholeFile::create(&path).unwrap());
        one.write_all(b"one, the longer of them").unwrap();
        other.write_all(b"other").unwrap();
        one.finish().unwrap();
        other.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"other");
        assert_eq!(names(folder.path()), ["scores.jsonl"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_has_the_permissions_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (plain, whole) = (folder.path().join("plain"), folder.path().join("whole"));
        std::fs::write(&plain, "").unwrap();
        write_whole(&whole, "").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
        assert_eq!(mode(&plain), mode(&whole));
    }

    #[test]
    fn folders_and_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        assert!(prepare_file(folder.path()).is_err());
        std::fs::write(&file, "{}").unwrap();
        assert!(check_folder(&file).is_err());
    }
}
