//! The errors of this crate.

use std::path::PathBuf;
use std::time::Duration;

/// The reason why a file of a repository is not available. Every message names the repository and its revision, and
/// says what to do.
///
/// In all variants `repo` is `id@revision`, `endpoint` the address of the hub, `status` the HTTP status of its
/// response, and `file` a name in the repository. `expected` and `found` describe what a setting, a response or a file
/// should be and what it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields that recur are described above")]
pub enum HubError {
    /// The id or the revision contains characters that are not allowed in a repository name.
    #[error("hub repository {repo}: expected owner/name and a branch, tag or commit; check the spelling")]
    Id { repo: String },
    /// The hub has no such repository or revision.
    #[error(
        "hub repository {repo}: not found at {endpoint}; check the spelling of id and revision (a private repository \
         needs a token)"
    )]
    NotFound { repo: String, endpoint: String },
    /// The hub refuses access.
    #[error(
        "hub repository {repo}: {endpoint} refuses access (status {status}); give a token that may read it, accept its \
         terms on its page, and check the spelling"
    )]
    Refused {
        repo: String,
        endpoint: String,
        status: u16,
    },
    /// The hub cannot be reached.
    #[error(
        "hub repository {repo}: cannot reach {endpoint}: {source}; check the network and the proxy, or download the \
         repository elsewhere and give its folder"
    )]
    Unreachable {
        repo: String,
        endpoint: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The hub is overloaded or limits the number of requests, and all attempts are used up.
    #[error("hub repository {repo}: {endpoint} answers with status {status}{}; try again later", asks(*.asked))]
    Unavailable {
        repo: String,
        endpoint: String,
        status: u16,
        /// The wait that the hub asks for.
        asked: Option<Duration>,
    },
    /// A setting of [`HubAccess`](crate::HubAccess) cannot be used.
    #[error("hub repository {repo}: {setting}: expected {expected}, found {found}; correct this setting")]
    Setting {
        repo: String,
        setting: &'static str,
        expected: &'static str,
        /// The value that was set, without passwords and tokens.
        found: String,
    },
    /// The response is not one that a hub would send.
    #[error(
        "hub repository {repo}: {what}: expected {expected}, found {found}; check the endpoint, or try again later"
    )]
    Answer {
        repo: String,
        /// The file, or the part of the listing.
        what: String,
        expected: String,
        found: String,
    },
    /// The repository does not have a file.
    #[error("hub repository {repo}: it has no {file}; check that it is a repository of this kind and revision")]
    NoFile { repo: String, file: String },
    /// A repository holds GGUF files and no other weights.
    #[error(
        "hub repository {repo}: expected model.safetensors or its index, found GGUF files only ({files}); download one \
         of them and give its path"
    )]
    OnlyGguf { repo: String, files: String },
    /// A transfer stopped early. Unless it was made without a lock, the received part is kept, and the next attempt
    /// resumes from there.
    #[error("hub repository {repo}: {file}: expected {expected} bytes, found {found}: {reason}; try again to continue")]
    Incomplete {
        repo: String,
        file: String,
        /// Its length as the hub lists it.
        expected: u64,
        found: u64,
        reason: String,
    },
    /// A complete file with the wrong content arrived; it was deleted.
    #[error("hub repository {repo}: {file}: expected {expected}, found {found}; it was deleted: try again")]
    Corrupt {
        repo: String,
        file: String,
        /// The hash the hub lists: SHA-256 of a large file, git's blob hash of another.
        expected: String,
        found: String,
    },
    /// The cache folder cannot be read or written.
    #[error("hub repository {repo}: cannot {action} {}: {source}; check the cache folder", path.display())]
    Cache {
        repo: String,
        action: &'static str,
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// There is no default cache folder.
    #[error("hub repository {repo}: there is no home directory; give a cache folder")]
    NoHome { repo: String },
    /// Files are missing from the cache and the program cannot download them.
    #[error(
        "hub repository {repo}: not complete in the cache, and this program was built without the feature `hub`; \
         build it with the feature, or give a folder"
    )]
    NoNetwork { repo: String },
}

fn asks(wait: Option<Duration>) -> String {
    wait.map_or_else(String::new, |wait| format!(" and asks to wait {wait:.0?}"))
}

impl HubError {
    /// The cause alone, for a notice that names the file itself.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Unreachable { source, .. } => source.to_string(),
            Self::Unavailable { status, .. } => format!("status {status}"),
            Self::Incomplete { reason, .. } => reason.clone(),
            other => other.to_string(),
        }
    }
}
