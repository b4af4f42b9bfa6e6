//! # Brief overview
//!
//! This crate reads files of Hugging Face hub repositories through a local cache. A file appears in the cache only once
//! it is complete.
//!
//! - [`HubAccess`]: endpoint, cache folder, access token, proxy and time limits. They are not read from environment
//!   variables; the default cache folder is in the directory that [`std::env::home_dir`] returns.
//! - [`HubRepo`]: one revision of the repository of a model or a data set.
//! - [`Snapshot`]: the files of a repository that are in the cache. It needs neither the network nor a feature.
//! - [`Remote`]: a repository as the hub lists it. [`Remote::fetch`] downloads a file into the cache. It needs the
//!   feature `net`.
//! - [`HubRepo::model_folder`]: the complete folder of a model.
//! - [`HubRepo::files`]: files that the caller chooses by name.
//!
//! Read `access.rs`, `cache.rs`, `remote.rs` and `download.rs` in this order. They use `retry.rs`, `lock.rs`,
//! `write.rs` and `http.rs`.
//!
//! # The cache
//!
//! The cache has the same layout and names as those of Python's `huggingface_hub` and of hf-hub
//! (`models--owner--name/{blobs,refs,snapshots}`, `.locks`), so each program can use files that another has downloaded.
//! This crate adds the folder `listings` (the names in a commit) and the files `blobs/<hash>.*.kallm-partial` of
//! unfinished downloads.
//!
//! - A blob is given its final name once it is on disk and its length and hash match those that the hub lists (SHA-256
//!   for a large file, git's hash for others). [`Remote::fetch`] checks existing blobs in the same way, including those
//!   written by other programs. [`HubRepo::cached`] does not check contents: it uses a snapshot if all its files exist.
//! - The lock is the same one that the other programs use. Its only purpose is to avoid downloading a file twice. If
//!   the file system does not support locks, or after [`HubAccess::lock_wait`], the file is downloaded without a lock,
//!   under a name that no other process uses.
//! - An interrupted download is resumed by the next one. If the hash is then wrong, the file is downloaded once more
//!   from the beginning.
//!
//! # Requests
//!
//! [`Retry`] sets which failed requests are repeated, how often and for how long; [`TransferProgress`] is notified of
//! each wait. The token is sent only to the scheme, host and port of the endpoint. A redirect from https to http is an
//! error. TLS is rustls with Mozilla's root certificates, or with those of [`HubAccess::ca_file`]. A proxy is used only
//! if [`HubAccess::proxy`] names one.
//!
//! # Why not hf-hub
//!
//! The source of hf-hub 1.0.0 was reviewed for this crate. Its client handles redirects and retries well, and supports
//! xet. However, it has the following problems (the file names are those of that release):
//!
//! - `client.rs`: the request client has no time limit unless the caller provides one. A second client, which sends the
//!   HEAD request before every download, cannot be given one. If the hub stops responding, the program hangs forever.
//! - `repository/download.rs`: a download into the cache does not check the status of the response. The error page of a
//!   403 or 503 is stored as the blob. Neither length nor hash is checked.
//! - `repository/download.rs`: downloads are not resumed; the `.incomplete` file is truncated. Release 0.5 resumes
//!   downloads, but it has no time limit either, and checks neither length nor hash.
//! - `client.rs`: if the program gives no token, one is read from `HF_TOKEN`, `HF_TOKEN_PATH` or the home directory. A
//!   program therefore cannot choose to send anonymous requests.
//! - `cache/storage.rs`: a second process gives up after 10 seconds while the first one downloads.
//!
//! Release 0.5 is a development dependency: the tests use it to find files that this crate has downloaded. Its path
//! functions are private in 1.0. A release that checks the status, accepts time limits for every request and can be
//! configured without a token could replace `http.rs` and most of `download.rs`. The hash check would remain in this
//! crate.
//!
//! ```
//! use hub_cache::{HubAccess, HubError, HubRepo, RepoKind};
//!
//! let access = HubAccess { cache_dir: Some("/nowhere".into()), ..HubAccess::default() };
//! let repo = HubRepo::new(RepoKind::Dataset, "owner/name", access);
//! assert!(repo.cached()?.is_none());
//! # Ok::<(), HubError>(())
//! ```
//!
//! `examples/generate.rs` opens a model by its hub id.
#![deny(missing_docs)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod access;
mod cache;
mod choice;
mod download;
mod error;
mod http;
mod lock;
mod model;
mod remote;
mod retry;
mod write;

pub use access::{HubAccess, Retry, TransferEvent, TransferProgress};
pub use cache::Snapshot;
pub use error::HubError;
pub use remote::Remote;

use std::fmt;
use std::path::Path;

/// The kind of a repository. The hub separates the kinds, so a model and a data set may have the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepoKind {
    /// A model: configuration, weights, tokenizer.
    Model,
    /// A data set: Parquet or JSONL files.
    Dataset,
}

impl RepoKind {
    /// The name in the hub's addresses and the cache's folders.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Dataset => "datasets",
        }
    }
}

/// One revision of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubRepo {
    /// Whether it is a model or a data set.
    pub kind: RepoKind,
    /// `owner/name`, or the bare name of an old data set.
    pub id: String,
    /// Branch, tag or commit. A commit never changes, so its files are not requested again.
    pub revision: String,
    /// Endpoint, cache folder, token and time limits.
    pub access: HubAccess,
}

impl HubRepo {
    /// The default branch (`main`) of a repository.
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

/// Splits `owner/name` or `owner/name@revision`; `None` if the text is not a hub id. The revision is `main` if absent.
pub fn parse_id(text: &str) -> Option<(&str, &str)> {
    let (id, revision) = text.split_once('@').unwrap_or((text, "main"));
    let is_valid = id.split('/').count() == 2 && is_id(id) && is_revision(revision);
    is_valid.then_some((id, revision))
}

/// Whether a text that could be a hub id is more likely a mistyped path: there is a folder with the name of its owner,
/// as for `data/trian`. With a revision (`data/trian@main`) it is a hub id.
pub fn is_mistyped_path(text: &str) -> bool {
    let owner = text.split_once('/').map_or(text, |(owner, _)| owner);
    parse_id(text).is_some() && !text.contains('@') && Path::new(owner).is_dir()
}

/// `owner/name`, or the bare `name` of an old data set, of the characters the hub allows.
fn is_id(text: &str) -> bool {
    text.split('/').count() <= 2 && text.split('/').all(|part| is_name(part, "-_."))
}

/// Whether git allows the name and a file system accepts it as a path below a folder.
fn is_revision(text: &str) -> bool {
    text.split('/').all(|part| is_name(part, "-_.+"))
}

/// Whether the text has only ASCII letters, digits and `others`, and no dot at the beginning.
fn is_name(text: &str, others: &str) -> bool {
    let is_allowed = text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c));
    is_allowed && !text.is_empty() && !text.starts_with('.')
}
