//! Where results go: refused before the work begins, and never half written.

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file that takes its name when it is complete. Until then, and after an error for good, what there is stands
/// beside it as `NAME.partial`.
pub struct WholeFile {
    target: PathBuf,
    partial: PathBuf,
    writer: BufWriter<File>,
}

impl WholeFile {
    /// Begins a file; one that is there under this name stays until [`WholeFile::finish`].
    ///
    /// # Errors
    /// When nothing can be written there.
    pub fn create(path: &Path) -> Result<Self> {
        prepare_file(path)?;
        // A link's target is replaced, not the link.
        let target = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let mut name = target.file_name().unwrap_or_default().to_os_string();
        name.push(".partial");
        let partial = target.with_file_name(name);
        let file = File::create(&partial).with_context(|| format!("cannot write {}", partial.display()))?;
        let writer = BufWriter::new(file);
        Ok(Self {
            target,
            partial,
            writer,
        })
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// When the last of it cannot be written.
    pub fn finish(mut self) -> Result<()> {
        let written = self.writer.flush();
        written.with_context(|| format!("cannot write {}", self.partial.display()))?;
        let renamed = std::fs::rename(&self.partial, &self.target);
        renamed.with_context(|| format!("cannot write {}", self.target.display()))
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

/// Makes the folder of a file that is written later.
///
/// # Errors
/// When the path is a folder or a device, or its folder cannot be made.
pub fn prepare_file(path: &Path) -> Result<()> {
    if path.is_dir() {
        bail!(
            "{}: expected a file to write, found a folder; name a file in it",
            path.display()
        );
    }
    if path.exists() && !path.is_file() {
        bail!(
            "{}: expected a file to write, found a pipe or device; name a file",
            path.display()
        );
    }
    match path.parent() {
        Some(folder) => std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display())),
        None => Ok(()),
    }
}

/// Refuses a file where a folder is to be.
///
/// # Errors
/// When the path is one.
pub fn check_folder(path: &Path) -> Result<()> {
    if path.exists() && !path.is_dir() {
        bail!(
            "{}: expected a folder to write into, found a file; choose another name",
            path.display()
        );
    }
    Ok(())
}

/// Refuses a folder that holds a model already.
///
/// # Errors
/// When it does, or is no folder.
pub fn check_new_model(folder: &Path) -> Result<()> {
    check_folder(folder)?;
    if folder.join("config.json").exists() {
        bail!(
            "{}: expected no model, found a config.json; choose another --output, or remove this folder",
            folder.display()
        );
    }
    Ok(())
}

/// Refuses to write what is being read.
///
/// # Errors
/// When both paths are the same file.
pub fn check_different(input: &Path, output: &Path) -> Result<()> {
    if let (Ok(input), Ok(target)) = (input.canonicalize(), output.canonicalize())
        && input == target
    {
        bail!(
            "{}: expected another file than --input, found the same; choose another --output",
            output.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_when_the_new_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/scores.jsonl");
        let partial = path.with_file_name("scores.jsonl.partial");
        let mut first = WholeFile::create(&path).unwrap();
        first.write_all(b"first").unwrap();
        assert!(!path.exists() && partial.exists());
        first.finish().unwrap();
        drop(WholeFile::create(&path).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        WholeFile::create(&path).unwrap().finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        assert!(!partial.exists());
    }

    #[test]
    fn folders_files_and_models_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        assert!(prepare_file(folder.path()).is_err());
        assert!(check_new_model(folder.path()).is_ok());
        std::fs::write(&file, "{}").unwrap();
        assert!(check_folder(&file).is_err());
        assert!(check_new_model(folder.path()).is_err());
        assert!(check_different(&file, &folder.path().join("./config.json")).is_err());
        assert!(check_different(&file, &folder.path().join("absent")).is_ok());
    }
}
