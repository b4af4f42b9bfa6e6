//! The repository as the hub lists it, and the way of a file into the cache.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::cache::{Places, is_file_name, is_hash};
use crate::http::{Answer, Client};
use crate::{HubError, HubRepo, RepoKind};

/// Largest listing read: the hub's largest repositories list in less.
const MAX_LISTING: u64 = 128 << 20;
/// A second connection that brings less than this before it breaks is the last, so the number of attempts is bounded.
const LEAST_PROGRESS: u64 = 64 << 10;

/// What may not stand in a path as it is.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// A revision as the hub lists it.
#[derive(Debug)]
pub struct Remote {
    repo: HubRepo,
    places: Places,
    client: Client,
    commit: String,
    files: BTreeMap<String, Listed>,
}

/// What the hub says about a file.
#[derive(Debug)]
struct Listed {
    /// Name of the blob: SHA-256 of a large file, git's own hash of another.
    hash: String,
    size: u64,
}

impl HubRepo {
    /// Asks the hub for the revision's commit and files.
    ///
    /// # Errors
    /// [`HubError`] with the reason, within the timeout of [`HubRepo::access`].
    pub fn remote(&self) -> Result<Remote, HubError> {
        let places = Places::of(self)?;
        let client = Client::new(&self.access);
        let client = client.ok_or_else(|| HubError::NoNetwork { repo: self.to_string() })?;
        let url = format!(
            "{}/api/{}/{}/revision/{}?blobs=true",
            self.endpoint(),
            self.kind_path(),
            self.id,
            self.revision.replace('/', "%2F")
        );
        let answer = client.get(&url, None).map_err(|reason| self.unreachable(reason))?;
        self.check(answer.status)?;
        let mut bytes = Vec::new();
        let read = answer.body.take(MAX_LISTING).read_to_end(&mut bytes);
        read.map_err(|error| self.unreachable(error.to_string()))?;
        let listing: Value =
            serde_json::from_slice(&bytes).map_err(|error| self.answer("listing", "JSON", error.to_string()))?;
        let (commit, files) = self.read_listing(&listing)?;
        Ok(Remote {
            repo: self.clone(),
            places,
            client,
            commit,
            files,
        })
    }

    fn read_listing(&self, listing: &Value) -> Result<(String, BTreeMap<String, Listed>), HubError> {
        let commit = listing.get("sha").and_then(Value::as_str).unwrap_or_default();
        if !is_hash(commit, 40) {
            return Err(self.answer(
                "listing: `sha`",
                "a commit of 40 hexadecimal digits",
                format!("`{commit}`"),
            ));
        }
        let siblings = listing.get("siblings").and_then(Value::as_array);
        let siblings =
            siblings.ok_or_else(|| self.answer("listing: `siblings`", "an array", "nothing of that kind"))?;
        let mut files = BTreeMap::new();
        for sibling in siblings {
            let name = sibling.get("rfilename").and_then(Value::as_str).unwrap_or_default();
            if !is_file_name(name) {
                return Err(self.answer(
                    "listing: `rfilename`",
                    "a path inside the repository",
                    format!("`{name}`"),
                ));
            }
            let listed = Listed::read(sibling)
                .ok_or_else(|| self.answer(&format!("listing: {name}"), "`size` and `blobId`", sibling.to_string()))?;
            files.insert(name.to_owned(), listed);
        }
        Ok((commit.to_owned(), files))
    }

    fn endpoint(&self) -> &str {
        self.access.endpoint.trim_end_matches('/')
    }

    fn kind_path(&self) -> &'static str {
        match self.kind {
            RepoKind::Model => "models",
            RepoKind::Dataset => "datasets",
        }
    }

    /// Refuses a status other than success.
    fn check(&self, status: u16) -> Result<(), HubError> {
        let (repo, endpoint) = (self.to_string(), self.access.endpoint.clone());
        match status {
            200 | 206 => Ok(()),
            401 | 403 => Err(HubError::Refused { repo, endpoint, status }),
            404 => Err(HubError::NotFound { repo, endpoint }),
            _ => Err(self.answer("status", "200", status.to_string())),
        }
    }

    fn unreachable(&self, reason: String) -> HubError {
        HubError::Unreachable {
            repo: self.to_string(),
            endpoint: self.access.endpoint.clone(),
            reason,
        }
    }

    fn answer(&self, what: &str, expected: &str, found: impl Into<String>) -> HubError {
        HubError::Answer {
            repo: self.to_string(),
            what: what.to_owned(),
            expected: expected.to_owned(),
            found: found.into(),
        }
    }
}

impl Listed {
    fn read(sibling: &Value) -> Option<Self> {
        let text = |value: &Value, key: &str, digits: usize| {
            let hash = value.get(key).and_then(Value::as_str)?;
            is_hash(hash, digits).then(|| hash.to_owned())
        };
        let hash = match sibling.get("lfs").filter(|lfs| !lfs.is_null()) {
            Some(lfs) => text(lfs, "sha256", 64)?,
            None => text(sibling, "blobId", 40)?,
        };
        let size = sibling.get("size").and_then(Value::as_u64)?;
        Some(Self { hash, size })
    }

    fn is_large(&self) -> bool {
        self.hash.len() == 64
    }

    fn hash_name(&self) -> &'static str {
        match self.is_large() {
            true => "SHA-256",
            false => "git hash",
        }
    }

    /// The hash of a whole file, of the kind listed.
    fn hash_of(&self, file: &mut File) -> std::io::Result<String> {
        match self.is_large() {
            true => hash::<Sha256>(file, b""),
            false => hash::<Sha1>(file, format!("blob {}\0", self.size).as_bytes()),
        }
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

    /// Brings a file into the cache, unless it is there.
    ///
    /// # Errors
    /// [`HubError`] with the reason. Nothing that is not whole is reachable under the file's name afterwards.
    pub fn fetch(&self, name: &str) -> Result<PathBuf, HubError> {
        let listed = self.files.get(name).ok_or_else(|| self.no_file(name))?;
        let blob = self.places.blob(&listed.hash);
        if !fs::metadata(&blob).is_ok_and(|blob| blob.len() == listed.size) {
            self.download(name, listed, &blob)?;
        }
        // Before the file can be seen: a snapshot of a part must not be taken for the whole.
        self.note_listing()?;
        let pointed = self.places.point(&self.commit, name, &listed.hash);
        pointed.map_err(self.repo.cache_error("link", &blob))
    }

    /// Notes in the cache that the revision is this commit. Called when everything wanted has been fetched, so that a
    /// half-fetched commit never takes the place of a whole one.
    ///
    /// # Errors
    /// [`HubError::Cache`] when the note cannot be written.
    pub fn finish(&self) -> Result<(), HubError> {
        self.note_listing()?;
        match self.commit == self.repo.revision {
            true => Ok(()),
            false => self.note(&self.places.reference, &self.commit),
        }
    }

    fn note_listing(&self) -> Result<(), HubError> {
        let path = self.places.listing(&self.commit);
        let names = Value::from_iter(self.names()).to_string();
        match fs::read_to_string(&path).is_ok_and(|noted| noted == names) {
            true => Ok(()),
            false => self.note(&path, &names),
        }
    }

    /// Writes a note whole: another process may read it at this moment, or write the same.
    fn note(&self, path: &Path, text: &str) -> Result<(), HubError> {
        let wrong = || self.repo.cache_error("write", path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(wrong())?;
        }
        let (process, thread) = (std::process::id(), std::thread::current().id());
        let partial = path.with_file_name(format!(".{process}-{thread:?}"));
        fs::write(&partial, text).map_err(wrong())?;
        fs::rename(&partial, path).map_err(wrong())
    }

    fn no_file(&self, name: &str) -> HubError {
        HubError::NoFile {
            repo: self.repo.to_string(),
            file: name.to_owned(),
        }
    }

    fn download(&self, name: &str, listed: &Listed, blob: &Path) -> Result<(), HubError> {
        let path = blob.with_file_name(format!("{}.incomplete", listed.hash));
        let wrong = || self.repo.cache_error("write", &path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(wrong())?;
        }
        let file = File::options().read(true).append(true).create(true).open(&path);
        let mut file = file.map_err(wrong())?;
        // Another process may be fetching the same file: whoever comes second finds it done, or goes on with it.
        file.lock().map_err(wrong())?;
        if fs::metadata(blob).is_ok_and(|blob| blob.len() == listed.size) {
            return Ok(());
        }
        self.fill(name, listed, &path, &mut file)?;
        let found = listed.hash_of(&mut file).map_err(wrong())?;
        if !found.eq_ignore_ascii_case(&listed.hash) {
            file.set_len(0).map_err(wrong())?;
            return Err(HubError::Corrupt {
                repo: self.repo.to_string(),
                file: name.to_owned(),
                expected: format!("{} {}", listed.hash_name(), listed.hash),
                found,
            });
        }
        file.sync_all().map_err(wrong())?;
        fs::rename(&path, blob).map_err(wrong())
    }

    /// Transfers what is missing, again after an interruption as long as the transfers bring something.
    fn fill(&self, name: &str, listed: &Listed, path: &Path, file: &mut File) -> Result<(), HubError> {
        let wrong = || self.repo.cache_error("write", path);
        let length = |file: &File| file.metadata().map(|data| data.len()).map_err(wrong());
        let mut start = length(file)?;
        if start > listed.size {
            file.set_len(0).map_err(wrong())?;
            start = 0;
        }
        // The first interruption is always forgiven.
        let mut least = 0;
        while start < listed.size {
            let stopped = self.transfer(name, listed, path, file, start)?;
            let reached = length(file)?;
            if reached < listed.size && reached < start.saturating_add(least) {
                return Err(HubError::Incomplete {
                    repo: self.repo.to_string(),
                    file: name.to_owned(),
                    expected: listed.size,
                    found: reached,
                    reason: stopped.unwrap_or_else(|| "the hub ended the transfer".to_owned()),
                });
            }
            start = reached;
            least = LEAST_PROGRESS;
        }
        Ok(())
    }

    /// One request. Gives the reason when it stopped early, an error when another attempt is of no use.
    fn transfer(
        &self,
        name: &str,
        listed: &Listed,
        path: &Path,
        file: &mut File,
        start: u64,
    ) -> Result<Option<String>, HubError> {
        let answer = self.client.get(&self.url(name), (start > 0).then_some(start));
        let answer = answer.map_err(|reason| self.repo.unreachable(format!("{name}: {reason}")))?;
        match answer.status {
            404 => return Err(self.no_file(name)),
            status => self.repo.check(status)?,
        }
        let mut missing = listed.size - start;
        if start > 0 && answer.status != 206 {
            // The whole file again, from a server that knows no ranges.
            file.set_len(0).map_err(self.repo.cache_error("write", path))?;
            missing = listed.size;
        }
        self.check_range(name, listed, start, &answer)?;
        self.tell(name, listed.size - missing, listed.size);
        let mut body = answer.body;
        let mut buffer = vec![0; 256 << 10];
        loop {
            let read = match body.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Some(error.to_string())),
            };
            missing = missing.checked_sub(read as u64).ok_or_else(|| {
                let expected = format!("{} bytes", listed.size);
                self.repo.answer(name, &expected, "more")
            })?;
            let written = file.write_all(&buffer[..read]);
            written.map_err(self.repo.cache_error("write", path))?;
            self.tell(name, listed.size - missing, listed.size);
        }
    }

    fn tell(&self, name: &str, here: u64, whole: u64) {
        if let Some(progress) = &self.repo.access.progress {
            (progress.0)(name, here, whole);
        }
    }

    /// Refuses a part of the file other than the one asked for.
    fn check_range(&self, name: &str, listed: &Listed, start: u64, answer: &Answer) -> Result<(), HubError> {
        if answer.status != 206 {
            return Ok(());
        }
        let expected = format!("bytes {start}-{}/{}", listed.size.saturating_sub(1), listed.size);
        match answer.content_range.as_deref() {
            Some(range) if range == expected => Ok(()),
            other => Err(self.repo.answer(
                &format!("{name}: content-range"),
                &expected,
                format!("`{}`", other.unwrap_or_default()),
            )),
        }
    }

    fn url(&self, name: &str) -> String {
        let prefix = match self.repo.kind {
            RepoKind::Model => "",
            RepoKind::Dataset => "datasets/",
        };
        let (endpoint, id) = (self.repo.endpoint(), &self.repo.id);
        let name = utf8_percent_encode(name, ESCAPED);
        format!("{endpoint}/{prefix}{id}/resolve/{}/{name}", self.commit)
    }
}

fn hash<D: Digest + Write>(file: &mut File, before: &[u8]) -> std::io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut digest = D::new();
    digest.update(before);
    std::io::copy(file, &mut digest)?;
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
