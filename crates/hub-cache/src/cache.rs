//! The cache folder: the paths in it, and which files it already contains.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use crate::{HubError, HubRepo, is_id, is_revision};

/// The files of a revision that are in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The folder with the files fetched so far, under their names in the repository.
    pub folder: PathBuf,
    /// Names of all files in the repository, if known. Python's client does not store them.
    pub listing: Option<Vec<String>>,
}

impl Snapshot {
    /// Path of a file in the cache; `None` if it is not there.
    pub fn file(&self, name: &str) -> Option<PathBuf> {
        let path = self.folder.join(name);
        (is_file_name(name) && path.is_file()).then_some(path)
    }

    /// Names of the files in the cache, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        collect(&self.folder, "", &mut names);
        names.sort();
        names
    }
}

/// Adds the names of the files below a folder. A folder that cannot be read counts as empty.
fn collect(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Some(name) = entry.file_name().to_str().map(|name| format!("{prefix}{name}")) else {
            continue;
        };
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{name}/"), names);
        } else if entry.path().is_file() {
            names.push(name);
        }
    }
}

impl HubRepo {
    /// The files of this revision that are in the cache; `None` if the cache does not know the revision.
    ///
    /// # Errors
    /// [`HubError::Id`] for an invalid id or revision, [`HubError::NoHome`] if there is no cache folder.
    pub fn cached(&self) -> Result<Option<Snapshot>, HubError> {
        let places = Places::of(self)?;
        let commit = match fs::read_to_string(&places.reference) {
            Ok(text) => text.trim().to_owned(),
            Err(_) => self.revision.clone(),
        };
        let folder = places.snapshot(&commit);
        if !is_hash(&commit, 40) || !folder.is_dir() {
            return Ok(None);
        }
        let listing = read_listing(&places.listing(&commit));
        Ok(Some(Snapshot { folder, listing }))
    }

    pub(crate) fn cache_error<'a>(
        &'a self,
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> HubError + 'a {
        move |source| HubError::Cache {
            repo: self.to_string(),
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// A listing that cannot be read counts as missing, so it is requested from the hub again.
fn read_listing(path: &Path) -> Option<Vec<String>> {
    let value: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let names = value.as_array()?.iter();
    names.map(|name| name.as_str().map(str::to_owned)).collect()
}

/// The paths of a repository in the cache: the layout of huggingface_hub and hf-hub, and this crate's own folder.
#[derive(Debug)]
pub(crate) struct Places {
    cache: PathBuf,
    /// Name of the repository's folder, `models--owner--name`.
    folder: String,
    pub(crate) root: PathBuf,
    pub(crate) reference: PathBuf,
}

impl Places {
    pub(crate) fn of(repo: &HubRepo) -> Result<Self, HubError> {
        if !is_id(&repo.id) || !is_revision(&repo.revision) {
            return Err(HubError::Id { repo: repo.to_string() });
        }
        let cache = repo.access.cache_dir.clone().or_else(default_cache);
        let cache = cache.ok_or_else(|| HubError::NoHome { repo: repo.to_string() })?;
        let folder = format!("{}--{}", repo.kind.plural(), repo.id.replace('/', "--"));
        let root = cache.join(&folder);
        Ok(Self {
            reference: root.join("refs").join(&repo.revision),
            cache,
            folder,
            root,
        })
    }

    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// The lock file that a process holds while it downloads a blob.
    pub(crate) fn lock(&self, hash: &str) -> PathBuf {
        let locks = self.cache.join(".locks").join(&self.folder);
        locks.join(format!("{hash}.lock"))
    }

    pub(crate) fn blob(&self, hash: &str) -> PathBuf {
        self.root.join("blobs").join(hash)
    }

    /// The folder that only this crate uses.
    pub(crate) fn listings(&self) -> PathBuf {
        self.root.join("listings")
    }

    /// The file with the names in the repository at a commit.
    pub(crate) fn listing(&self, commit: &str) -> PathBuf {
        self.listings().join(format!("{commit}.json"))
    }

    /// Links the file's name in a snapshot to the blob.
    pub(crate) fn point(&self, commit: &str, name: &str, hash: &str) -> io::Result<PathBuf> {
        let pointer = self.snapshot(commit).join(name);
        if let Some(folder) = pointer.parent() {
            fs::create_dir_all(folder)?;
        }
        let blob = self.blob(hash);
        if is_same_file(&pointer, &blob) {
            return Ok(pointer);
        }
        if pointer.is_symlink() || pointer.exists() {
            remove_link(&pointer)?;
        }
        match link(&blob, name, hash, &pointer) {
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_same_file(&pointer, &blob) => {}
            linked => linked?,
        }
        Ok(pointer)
    }
}

/// The default folder of the other clients.
fn default_cache() -> Option<PathBuf> {
    std::env::home_dir().map(|home| home.join(".cache/huggingface/hub"))
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}

/// Removes a link, unless another process has done so already.
fn remove_link(pointer: &Path) -> io::Result<()> {
    match fs::remove_file(pointer) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(unix)]
fn link(_blob: &Path, name: &str, hash: &str, pointer: &Path) -> io::Result<()> {
    // Relative, so that the cache can be moved: up from the snapshot's folders, then down to the blobs.
    let up = "../".repeat(2 + name.matches('/').count());
    std::os::unix::fs::symlink(format!("{up}blobs/{hash}"), pointer)
}

/// On other systems symbolic links need a privilege.
#[cfg(not(unix))]
fn link(blob: &Path, _name: &str, _hash: &str, pointer: &Path) -> io::Result<()> {
    fs::hard_link(blob, pointer).or_else(|_| fs::copy(blob, pointer).map(|_| ()))
}

/// A relative path of plain components: a listing must not reach outside the cache.
pub(crate) fn is_file_name(name: &str) -> bool {
    let is_plain = Path::new(name)
        .components()
        .all(|component| matches!(component, Component::Normal(_)));
    let is_whole = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    // A colon names a drive or a stream on Windows, and is like any other character elsewhere.
    let has_foreign = name.contains(['\\', '\0']) || cfg!(windows) && name.contains(':');
    is_plain && is_whole && !has_foreign
}

/// Whether the text consists of this number of hexadecimal digits.
pub(crate) fn is_hash(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
