//! What can go wrong between a hub id and a file.

use std::path::PathBuf;

/// Why a file of a repository cannot be had. Every message names the repository with its revision and says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The id or the revision has characters no repository has.
    #[error("hub repository {repo}: expected owner/name and a branch, tag or commit; check the spelling")]
    Id {
        /// `id@revision`.
        repo: String,
    },
    /// The hub knows no such repository or revision.
    #[error(
        "hub repository {repo}: not found at {endpoint}; check the spelling of id and revision (a private repository \
         needs a token)"
    )]
    NotFound {
        /// `id@revision`.
        repo: String,
        /// Address of the hub.
        endpoint: String,
    },
    /// The hub refuses access.
    #[error(
        "hub repository {repo}: {endpoint} refuses access (status {status}); give a token that may read it, accept its \
         terms on its page, and check the spelling"
    )]
    Refused {
        /// `id@revision`.
        repo: String,
        /// Address of the hub.
        endpoint: String,
        /// HTTP status.
        status: u16,
    },
    /// There is no answer.
    #[error(
        "hub repository {repo}: cannot reach {endpoint}: {reason}; check the network, or download the repository \
         elsewhere and give its folder"
    )]
    Unreachable {
        /// `id@revision`.
        repo: String,
        /// Address of the hub.
        endpoint: String,
        /// What the client says.
        reason: String,
    },
    /// The answer is not what a hub answers.
    #[error(
        "hub repository {repo}: {what}: expected {expected}, found {found}; check the endpoint, or try again later"
    )]
    Answer {
        /// `id@revision`.
        repo: String,
        /// The file, or the part of the listing.
        what: String,
        /// What a hub answers.
        expected: String,
        /// What came.
        found: String,
    },
    /// The repository lacks a file.
    #[error("hub repository {repo}: it has no {file}; check that it is a repository of this kind and revision")]
    NoFile {
        /// `id@revision`.
        repo: String,
        /// The file.
        file: String,
    },
    /// A transfer stopped early. What arrived is kept apart and the next attempt goes on from there.
    #[error("hub repository {repo}: {file}: expected {expected} bytes, found {found}: {reason}; try again to go on")]
    Incomplete {
        /// `id@revision`.
        repo: String,
        /// The file.
        file: String,
        /// Its length as the hub lists it.
        expected: u64,
        /// Bytes that arrived.
        found: u64,
        /// Why the transfer stopped.
        reason: String,
    },
    /// A whole file with the wrong content arrived; it was thrown away.
    #[error("hub repository {repo}: {file}: expected {expected}, found {found}; it was thrown away: try again")]
    Corrupt {
        /// `id@revision`.
        repo: String,
        /// The file.
        file: String,
        /// The hash the hub lists: SHA-256 of a large file, git's blob hash of another.
        expected: String,
        /// That of what arrived.
        found: String,
    },
    /// A data set has no files for what was asked.
    #[error("{place}: expected {expected}, found {found}; name another configuration or split")]
    Split {
        /// The repository or folder.
        place: String,
        /// Which files were looked for.
        expected: String,
        /// Which there are.
        found: String,
    },
    /// The cache folder cannot be read or written.
    #[error("hub repository {repo}: cannot {action} {}: {source}; check the cache folder", path.display())]
    Cache {
        /// `id@revision`.
        repo: String,
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// There is no default cache folder.
    #[error("hub repository {repo}: there is no home directory; give a cache folder")]
    NoHome {
        /// `id@revision`.
        repo: String,
    },
    /// The cache lacks files and the program cannot fetch them.
    #[error(
        "hub repository {repo}: not complete in the cache, and this program was built without the feature `hub`; \
         build it with the feature, or give a folder"
    )]
    NoNetwork {
        /// `id@revision`.
        repo: String,
    },
}
