//! # Brief overview
//!
//! Files of Hugging Face hub repositories through a local cache: a file is in the cache whole or not at all.
//!
//! - [`HubAccess`]: which hub, which cache folder, which token, how much patience. No environment variable is read.
//! - [`HubRepo`]: one revision of a model's or a data set's repository.
//! - [`Snapshot`]: what the cache has of it; needs no network and no feature.
//! - [`Remote`]: the repository as the hub lists it; [`Remote::fetch`] brings a file into the cache. Needs the feature
//!   `net`.
//! - [`split_files`]: which files of a data set hold a split of a configuration.
//!
//! The cache is hf-hub's, laid out as Python's `huggingface_hub` does it (`models--owner--name/{blobs,refs,snapshots}`),
//! and each uses what the others have fetched. The client is not hf-hub's. That of 0.5 has no setting for a timeout; it
//! sends the token to the storage host it is redirected to; it asks for an empty range, which is an error, after a
//! partial file that is complete; it appends a whole body where a server knows no ranges; and it compares neither the
//! final size nor the hash with those listed. Here a transfer goes to `blobs/<hash>.incomplete` and is renamed when its
//! length and its hash (SHA-256 of a large file, git's own of another) are those the hub lists; an interrupted one goes
//! on where it stopped.
//!
//! ```
//! use hub_cache::{HubAccess, HubRepo, RepoKind, split_files};
//!
//! let access = HubAccess { cache_dir: Some("/nowhere".into()), ..HubAccess::default() };
//! let repo = HubRepo::new(RepoKind::Dataset, "owner/name", access);
//! assert!(repo.cached()?.is_none());
//!
//! let names = ["README.md", "data/test-00000-of-00001.parquet", "data/train-00000-of-00001.parquet"];
//! assert_eq!(split_files("owner/name", &names, None, "test")?, ["data/test-00000-of-00001.parquet"]);
//! # Ok::<(), hub_cache::HubError>(())
//! ```
//!
//! `examples/generate.rs` opens a model by its hub id.
#![deny(missing_docs)]

mod cache;
mod error;
mod http;
mod remote;
mod split;

pub use cache::Snapshot;
pub use error::HubError;
pub use remote::Remote;
pub use split::split_files;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How the hub is reached. Every setting is here: no environment variable is read.
#[derive(Clone, PartialEq, Eq)]
pub struct HubAccess {
    /// Address of the hub or of a mirror. Default `https://huggingface.co`.
    pub endpoint: String,
    /// Cache folder. Default `None`: `.cache/huggingface/hub` in the home directory.
    pub cache_dir: Option<PathBuf>,
    /// Access token for private repositories; sent to the endpoint alone. Default `None`: anonymous.
    pub token: Option<String>,
    /// Longest wait for a connection, an answer, or the next bytes of a file. Default 30 seconds.
    pub timeout: Duration,
    /// Hears how far a file's transfer is. Default `None`.
    pub progress: Option<TransferProgress>,
}

type Told = dyn Fn(&str, u64, u64) + Send + Sync;

/// Told during a transfer: the file's name, the bytes that are here, the bytes of the whole.
///
/// ```
/// use hub_cache::{HubAccess, TransferProgress};
///
/// let progress = TransferProgress::new(|file, here, whole| assert!(here <= whole, "{file}"));
/// let access = HubAccess { progress: Some(progress), ..HubAccess::default() };
/// # assert_eq!(access, access.clone());
/// ```
#[derive(Clone)]
pub struct TransferProgress(Arc<Told>);

impl TransferProgress {
    /// Calls `told` when a transfer begins, after every few hundred kilobytes, and when it is complete.
    pub fn new(told: impl Fn(&str, u64, u64) + Send + Sync + 'static) -> Self {
        Self(Arc::new(told))
    }
}

/// One is equal to its clones alone.
impl PartialEq for TransferProgress {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for TransferProgress {}

impl Default for HubAccess {
    fn default() -> Self {
        Self {
            endpoint: "https://huggingface.co".to_owned(),
            cache_dir: None,
            token: None,
            timeout: Duration::from_secs(30),
            progress: None,
        }
    }
}

/// Does not show the token.
impl fmt::Debug for HubAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubAccess")
            .field("endpoint", &self.endpoint)
            .field("cache_dir", &self.cache_dir)
            .field("token", &self.token.as_ref().map(|_| ".."))
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// What a repository holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepoKind {
    /// Configuration and weights.
    Model,
    /// Data files.
    Dataset,
}

/// One revision of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubRepo {
    /// What it holds.
    pub kind: RepoKind,
    /// `owner/name`.
    pub id: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// How it is reached.
    pub access: HubAccess,
}

impl HubRepo {
    /// The default branch of a repository.
    pub fn new(kind: RepoKind, id: impl Into<String>, access: HubAccess) -> Self {
        Self {
            kind,
            id: id.into(),
            revision: "main".to_owned(),
            access,
        }
    }
}

impl fmt::Display for HubRepo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, self.revision)
    }
}

/// Splits `owner/name` or `owner/name@revision`; `None` when the text is no hub id. The revision is `main` when absent.
pub fn parse_id(text: &str) -> Option<(&str, &str)> {
    let (id, revision) = text.split_once('@').unwrap_or((text, "main"));
    let whole = id.split('/').count() == 2 && is_id(id) && is_revision(revision);
    whole.then_some((id, revision))
}

/// `owner/name`, or the bare `name` of an old data set, of the characters the hub allows.
fn is_id(text: &str) -> bool {
    let part = |part: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        !part.is_empty() && !part.starts_with('.') && part.chars().all(allowed)
    };
    text.split('/').count() <= 2 && text.split('/').all(part)
}

/// What git allows in a name and a file system takes for a path below a folder.
fn is_revision(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(allowed);
    text.split('/').all(part)
}
