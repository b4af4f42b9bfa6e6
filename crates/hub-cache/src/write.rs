//! Files that appear under their final names only once they are complete.
//!
//! Each is written under a unique name that did not exist before, synced, and renamed.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

/// Suffix of unfinished downloads, used only by this crate: huggingface_hub and hf-hub use `.incomplete`.
const PARTIAL: &str = ".kallm-partial";

/// The unfinished file of a download, in the folder of the blobs. Removed when dropped, unless placed or kept.
pub(crate) struct Partial {
    file: NamedTempFile,
    /// Whether the beginning comes from an earlier download.
    pub(crate) resumed: bool,
}

impl Partial {
    /// An empty file for the download of `blob` or, with `resume`, a copy of what an earlier download has left.
    ///
    /// It is a copy because another process may still be writing to the leftover: not every file system honours locks.
    pub(crate) fn new(blob: &Path, resume: bool) -> io::Result<Self> {
        let folder = blob.parent().expect("a blob lies in a folder");
        let hash = blob.file_name().expect("a blob has a name").to_string_lossy();
        let prefix = format!("{hash}.");
        let leftovers = if resume {
            leftovers(folder, &prefix)?
        } else {
            Vec::new()
        };
        let mut file = builder().prefix(&prefix).suffix(PARTIAL).tempfile_in(folder)?;
        let mut copied = 0;
        if let Some((_, longest)) = leftovers.iter().max() {
            copied = io::copy(&mut File::open(longest)?, file.as_file_mut())?;
        }
        for (_, leftover) in leftovers {
            // Where locks are not honoured, another process may have done so already.
            fs::remove_file(leftover).ok();
        }
        let resumed = copied > 0;
        Ok(Self { file, resumed })
    }

    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(crate) fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    pub(crate) fn length(&self) -> io::Result<u64> {
        Ok(self.file.as_file().metadata()?.len())
    }

    /// Truncates the file to `length`, where the next byte is written.
    pub(crate) fn continue_from(&mut self, length: u64) -> io::Result<()> {
        self.file().set_len(length)?;
        self.file().seek(SeekFrom::Start(length)).map(|_| ())
    }

    /// Leaves the file for a later download to resume.
    pub(crate) fn keep(self) -> io::Result<()> {
        self.file.keep().map(|_| ()).map_err(|error| error.error)
    }

    /// Renames the file to `blob`.
    pub(crate) fn place(self, blob: &Path) -> io::Result<()> {
        place(self.file, blob)
    }
}

/// Lengths and paths of the files left by earlier downloads; links are not included.
fn leftovers(folder: &Path, prefix: &str) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(prefix) && name.ends_with(PARTIAL) && entry.file_type()?.is_file() {
            found.push((entry.metadata()?.len(), entry.path()));
        }
    }
    Ok(found)
}

/// Writes a short text to `path` through a temporary file in `folder`, on the same file system.
pub(crate) fn write_text(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = builder().tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    place(file, path)
}

fn place(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    if let Some(folder) = path.parent() {
        sync_folder(folder);
    }
    Ok(())
}

/// By default only the owner can read a temporary file, but a cache may be shared.
fn builder<'a, 'b>() -> Builder<'a, 'b> {
    #[allow(unused_mut)]
    let mut builder = Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
}

/// Makes a new name survive a power failure, where the file system supports it.
fn sync_folder(folder: &Path) {
    #[cfg(unix)]
    File::open(folder).and_then(|folder| folder.sync_all()).ok();
    #[cfg(not(unix))]
    let _ = folder;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn leave(blob: &Path, bytes: &[u8]) {
        let mut partial = Partial::new(blob, false).unwrap();
        partial.file().write_all(bytes).unwrap();
        partial.keep().unwrap();
    }

    #[test]
    fn the_longest_leftover_is_resumed_and_all_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (blob, other) = (folder.path().join("aa"), folder.path().join("ab"));
        for bytes in [&b"12"[..], b"1234", b"123"] {
            leave(&blob, bytes);
        }
        leave(&other, b"another file");
        fs::write(folder.path().join("aa.incomplete"), "of Python").unwrap();
        let partial = Partial::new(&blob, true).unwrap();
        assert!(partial.resumed);
        assert_eq!(fs::read(partial.path()).unwrap(), b"1234");
        partial.place(&blob).unwrap();
        let left = names(folder.path());
        assert_eq!(left.len(), 3, "{left:?}");
        assert_eq!(left[..2], ["aa", "aa.incomplete"]);
        assert!(left[2].starts_with("ab."));
    }

    #[test]
    fn a_dropped_download_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let partial = Partial::new(&folder.path().join("aa"), true).unwrap();
        assert!(!partial.resumed);
        drop(partial);
        assert!(names(folder.path()).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (blobs, victim) = (folder.path().join("blobs"), folder.path().join("victim"));
        fs::create_dir(&blobs).unwrap();
        fs::write(&victim, "precious").unwrap();
        for name in ["aa.incomplete", "aa.x.kallm-partial", "aa"] {
            std::os::unix::fs::symlink(&victim, blobs.join(name)).unwrap();
        }
        let mut partial = Partial::new(&blobs.join("aa"), true).unwrap();
        assert!(!partial.resumed);
        partial.file().write_all(b"new").unwrap();
        partial.place(&blobs.join("aa")).unwrap();
        assert_eq!(fs::read(blobs.join("aa")).unwrap(), b"new");
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
    }

    #[cfg(unix)]
    #[test]
    fn files_are_as_readable_as_others() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (plain, blob, note) = (
            folder.path().join("p"),
            folder.path().join("aa"),
            folder.path().join("n"),
        );
        fs::write(&plain, "").unwrap();
        Partial::new(&blob, false).unwrap().place(&blob).unwrap();
        write_text(folder.path(), &note, "text").unwrap();
        let [plain, blob, note] = [plain, blob, note].map(|path| fs::metadata(path).unwrap().permissions().mode());
        assert_eq!((blob, note), (plain, plain));
    }

    #[test]
    fn threads_that_write_one_note_do_not_collide() {
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("refs/main");
        std::thread::scope(|scope| {
            for text in ["one", "two", "six"] {
                let (folder, note) = (folder.path().join("listings"), &note);
                scope.spawn(move || (0..200).for_each(|_| write_text(&folder, note, text).unwrap()));
            }
        });
        assert_eq!(fs::read(&note).unwrap().len(), 3);
        assert_eq!(names(note.parent().unwrap()), ["main"]);
        assert!(names(&folder.path().join("listings")).is_empty());
    }
}
