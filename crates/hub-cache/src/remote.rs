//! A repository as the hub lists it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::cache::{Places, is_file_name, is_hash};
use crate::http::{Answer, Client, Failure};
use crate::retry::{Failed, with_retries};
use crate::write::write_text;
use crate::{HubError, HubRepo, RepoKind};

/// Largest listing read. Those of the hub's largest repositories are smaller.
const MAX_LISTING: u64 = 128 << 20;
/// Longest time for one attempt to read a listing.
const LISTING_TIME: Duration = Duration::from_secs(600);

/// The characters that must be escaped in a path.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// A revision as the hub lists it.
#[derive(Debug)]
pub struct Remote {
    pub(crate) repo: HubRepo,
    pub(crate) places: Places,
    pub(crate) client: Client,
    pub(crate) commit: String,
    pub(crate) files: BTreeMap<String, Listed>,
}

/// The hub's information about a file.
#[derive(Debug)]
pub(crate) struct Listed {
    /// Name of the blob: SHA-256 of a large file, git's hash of others.
    pub(crate) hash: String,
    pub(crate) size: u64,
}

impl HubRepo {
    /// Asks the hub for the revision's commit and files.
    ///
    /// # Errors
    /// [`HubError`] with the reason, after the attempts of [`HubAccess::retry`](crate::HubAccess::retry). A host that
    /// is not found is not tried again.
    pub fn remote(&self) -> Result<Remote, HubError> {
        let places = Places::of(self)?;
        let client = Client::new(self)?;
        let bytes = with_retries(&self.access, "listing", || self.listing(&client))?;
        let listing: Value =
            serde_json::from_slice(&bytes).map_err(|error| self.answer_error("listing", "JSON", error.to_string()))?;
        let (commit, files) = self.read_listing(&listing)?;
        Ok(Remote {
            repo: self.clone(),
            places,
            client,
            commit,
            files,
        })
    }

    fn listing(&self, client: &Client) -> Result<Vec<u8>, Failed> {
        let url = format!(
            "{}/api/{}/{}/revision/{}?blobs=true",
            self.endpoint(),
            self.kind.plural(),
            self.id,
            self.revision.replace('/', "%2F")
        );
        let answer = client.get(&url, None, Some(LISTING_TIME));
        let answer = answer.map_err(|failure| self.failed(failure, false))?;
        self.check(&answer)?;
        let mut bytes = Vec::new();
        let read = answer.body.take(MAX_LISTING).read_to_end(&mut bytes);
        read.map_err(|error| self.failed(Failure::Passing(error.into()), false))?;
        Ok(bytes)
    }

    fn read_listing(&self, listing: &Value) -> Result<(String, BTreeMap<String, Listed>), HubError> {
        let commit = listing.get("sha").and_then(Value::as_str);
        let commit = commit.filter(|commit| is_hash(commit, 40)).ok_or_else(|| {
            let expected = "a commit of 40 hexadecimal digits";
            self.answer_error("listing: `sha`", expected, listing["sha"].to_string())
        })?;
        let siblings = listing.get("siblings").and_then(Value::as_array);
        let siblings =
            siblings.ok_or_else(|| self.answer_error("listing: `siblings`", "an array", "nothing of that kind"))?;
        let mut files = BTreeMap::new();
        for sibling in siblings {
            let name = sibling.get("rfilename").and_then(Value::as_str);
            let name = name.filter(|name| is_file_name(name)).ok_or_else(|| {
                let expected = "a path inside the repository";
                self.answer_error("listing: `rfilename`", expected, sibling["rfilename"].to_string())
            })?;
            let listed = Listed::read(sibling).ok_or_else(|| {
                self.answer_error(&format!("listing: {name}"), "`size` and `blobId`", sibling.to_string())
            })?;
            files.insert(name.to_owned(), listed);
        }
        Ok((commit.to_owned(), files))
    }

    fn endpoint(&self) -> &str {
        self.access.endpoint.trim_end_matches('/')
    }

    /// Refuses a status other than success.
    pub(crate) fn check(&self, answer: &Answer) -> Result<(), Failed> {
        let (repo, endpoint, status) = (self.to_string(), self.access.endpoint.clone(), answer.status);
        match status {
            200 | 206 => Ok(()),
            401 | 403 => Err(HubError::Refused { repo, endpoint, status }.into()),
            404 => Err(HubError::NotFound { repo, endpoint }.into()),
            408 | 429 | 500..=599 => Err(Failed::Passing {
                error: HubError::Unavailable {
                    repo,
                    endpoint,
                    status,
                    asked: answer.asked,
                },
                asked: answer.asked,
                progress: false,
            }),
            _ => Err(self.answer_error("status", "200", status.to_string()).into()),
        }
    }

    /// A host that is not found is tried again only if it has answered before.
    pub(crate) fn failed(&self, failure: Failure, has_answered: bool) -> Failed {
        let (source, is_passing) = match failure {
            Failure::Lasting(source) => (source, false),
            Failure::NoHost(source) => (source, has_answered),
            Failure::Passing(source) => (source, true),
        };
        let error = HubError::Unreachable {
            repo: self.to_string(),
            endpoint: self.access.endpoint.clone(),
            source,
        };
        if is_passing {
            Failed::passing(error)
        } else {
            error.into()
        }
    }

    pub(crate) fn answer_error(&self, what: &str, expected: &str, found: impl Into<String>) -> HubError {
        HubError::Answer {
            repo: self.to_string(),
            what: what.to_owned(),
            expected: expected.to_owned(),
            found: found.into(),
        }
    }

    #[cfg(feature = "net")]
    pub(crate) fn setting_error(&self, setting: &'static str, expected: &'static str, found: String) -> HubError {
        HubError::Setting {
            repo: self.to_string(),
            setting,
            expected,
            found,
        }
    }
}

impl Listed {
    fn read(sibling: &Value) -> Option<Self> {
        let (hash, digits) = match sibling.get("lfs").filter(|lfs| !lfs.is_null()) {
            Some(lfs) => (lfs.get("sha256"), 64),
            None => (sibling.get("blobId"), 40),
        };
        let hash = hash.and_then(Value::as_str).filter(|hash| is_hash(hash, digits))?;
        let size = sibling.get("size").and_then(Value::as_u64)?;
        Some(Self {
            hash: hash.to_owned(),
            size,
        })
    }

    pub(crate) fn is_large(&self) -> bool {
        self.hash.len() == 64
    }
}

impl Remote {
    /// Names of all files, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Whether the repository has a file.
    pub fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// Records in the cache that the revision is this commit. Call it after all required files have been downloaded, so
    /// that a partly downloaded commit never replaces a complete one.
    ///
    /// # Errors
    /// [`HubError::Cache`] if the record cannot be written.
    pub fn finish(&self) -> Result<(), HubError> {
        self.note_listing()?;
        if self.commit == self.repo.revision {
            return Ok(());
        }
        self.note(&self.places.reference, &self.commit)
    }

    pub(crate) fn note_listing(&self) -> Result<(), HubError> {
        let path = self.places.listing(&self.commit);
        let names = Value::from_iter(self.names()).to_string();
        if fs::read_to_string(&path).is_ok_and(|noted| noted == names) {
            return Ok(());
        }
        self.note(&path, &names)
    }

    /// Another process may read or write the same file at this moment. The temporary file is in this crate's own
    /// folder, in case the process is killed: Python's client reads every file in `refs` as a reference.
    fn note(&self, path: &Path, text: &str) -> Result<(), HubError> {
        let written = write_text(&self.places.listings(), path, text);
        written.map_err(self.repo.cache_error("write", path))
    }

    pub(crate) fn no_file(&self, name: &str) -> HubError {
        HubError::NoFile {
            repo: self.repo.to_string(),
            file: name.to_owned(),
        }
    }

    pub(crate) fn url(&self, name: &str) -> String {
        let prefix = match self.repo.kind {
            RepoKind::Model => "",
            RepoKind::Dataset => "datasets/",
        };
        let (endpoint, id) = (self.repo.endpoint(), &self.repo.id);
        let name = utf8_percent_encode(name, ESCAPED);
        format!("{endpoint}/{prefix}{id}/resolve/{}/{name}", self.commit)
    }
}
