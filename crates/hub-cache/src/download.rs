//! Downloads a file into the cache.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::http::Answer;
use crate::lock::DownloadLock;
use crate::remote::Listed;
use crate::retry::{Failed, with_retries};
use crate::write::Partial;
use crate::{HubError, Remote, TransferEvent};

/// The count of attempts restarts after this many new bytes.
const PROGRESS: u64 = 64 << 10;

impl Remote {
    /// Downloads a file into the cache, unless the cache already has it with the content that the hub lists.
    ///
    /// # Errors
    /// [`HubError`] with the reason. An incomplete file never appears under its name.
    pub fn fetch(&self, name: &str) -> Result<PathBuf, HubError> {
        let listed = self.files.get(name).ok_or_else(|| self.no_file(name))?;
        let blob = self.places.blob(&listed.hash);
        if !self.has_content(&blob, listed)? {
            self.download(name, listed, &blob)?;
        }
        // Before the file appears: a partial snapshot must not be mistaken for a complete one.
        self.note_listing()?;
        let pointed = self.places.point(&self.commit, name, &listed.hash);
        pointed.map_err(self.repo.cache_error("link", &blob))
    }

    /// Whether the cache has this content. Other programs write to the cache too, and not all of them check what they
    /// write, so a blob is not trusted for its name and length.
    fn has_content(&self, blob: &Path, listed: &Listed) -> Result<bool, HubError> {
        let mut file = match File::open(blob) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(false),
            opened => opened.map_err(self.repo.cache_error("read", blob))?,
        };
        let length = file.metadata().map_err(self.repo.cache_error("read", blob))?.len();
        if length != listed.size {
            return Ok(false);
        }
        let hash = hash_of(&mut file, listed).map_err(self.repo.cache_error("read", blob))?;
        Ok(hash.eq_ignore_ascii_case(&listed.hash))
    }

    fn download(&self, name: &str, listed: &Listed, blob: &Path) -> Result<(), HubError> {
        if let Some(folder) = blob.parent() {
            fs::create_dir_all(folder).map_err(self.repo.cache_error("write", folder))?;
        }
        if self.try_download(name, listed, blob)?.is_none() {
            return Ok(());
        }
        // If the other process did not finish, its download is resumed now.
        match self.try_download(name, listed, blob)? {
            None => Ok(()),
            Some(taken) => Err(self.repo.cache_error("write", blob)(taken)),
        }
    }

    /// Downloads once. An error in an `Ok` means that another process took over the unfinished file and did not provide
    /// the content. This can happen without a lock, or where locks are not honoured.
    fn try_download(&self, name: &str, listed: &Listed, blob: &Path) -> Result<Option<io::Error>, HubError> {
        let lock = DownloadLock::take(&self.repo.access, name, &self.places.lock(&listed.hash));
        // Another process may have downloaded it meanwhile.
        if self.has_content(blob, listed)? {
            return Ok(None);
        }
        let mut partial = Partial::new(blob, lock.is_held()).map_err(self.repo.cache_error("write", blob))?;
        if let Err(error) = self.fill_and_verify(name, listed, &mut partial) {
            let is_empty = partial.length().is_ok_and(|length| length == 0);
            if lock.is_held() && !is_empty && !matches!(error, HubError::Corrupt { .. }) {
                partial.keep().map_err(self.repo.cache_error("write", blob))?;
            }
            return Err(error);
        }
        match partial.place(blob) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let is_there = self.has_content(blob, listed)?;
                Ok((!is_there).then_some(error))
            }
            placed => placed.map(|()| None).map_err(self.repo.cache_error("write", blob)),
        }
    }

    /// Downloads what is missing and compares the hash. If the wrong part may be older than this download, the file is
    /// downloaded once more from the beginning.
    fn fill_and_verify(&self, name: &str, listed: &Listed, partial: &mut Partial) -> Result<(), HubError> {
        let path = partial.path().to_owned();
        self.fill(name, listed, partial)?;
        let mut found = hash_of(partial.file(), listed).map_err(self.repo.cache_error("write", &path))?;
        if !found.eq_ignore_ascii_case(&listed.hash) && partial.resumed {
            partial
                .continue_from(0)
                .map_err(self.repo.cache_error("write", &path))?;
            self.fill(name, listed, partial)?;
            found = hash_of(partial.file(), listed).map_err(self.repo.cache_error("write", &path))?;
        }
        if found.eq_ignore_ascii_case(&listed.hash) {
            return Ok(());
        }
        let kind = if listed.is_large() { "SHA-256" } else { "git hash" };
        Err(HubError::Corrupt {
            repo: self.repo.to_string(),
            file: name.to_owned(),
            expected: format!("{kind} {}", listed.hash),
            found,
        })
    }

    fn fill(&self, name: &str, listed: &Listed, partial: &mut Partial) -> Result<(), HubError> {
        let mut furthest = partial
            .length()
            .map_err(self.repo.cache_error("write", partial.path()))?;
        with_retries(&self.repo.access, name, || {
            let (error, asked) = match self.transfer(name, listed, partial) {
                Err(Failed::Passing { error, asked, .. }) => (error, asked),
                other => return other,
            };
            let reached = partial
                .length()
                .map_err(self.repo.cache_error("write", partial.path()))?;
            let progress = reached >= furthest.saturating_add(PROGRESS);
            furthest = furthest.max(reached);
            Err(Failed::Passing { error, asked, progress })
        })
    }

    /// Sends one request for the missing bytes.
    fn transfer(&self, name: &str, listed: &Listed, partial: &mut Partial) -> Result<(), Failed> {
        let path = partial.path().to_owned();
        let mut start = partial.length().map_err(self.repo.cache_error("write", &path))?;
        if start > listed.size {
            let emptied = partial.continue_from(0);
            emptied.map_err(self.repo.cache_error("write", &path))?;
            start = 0;
        }
        if start == listed.size {
            return Ok(());
        }
        let answer = self.client.get(&self.url(name), (start > 0).then_some(start), None);
        let answer = answer.map_err(|failure| self.repo.failed(failure, true))?;
        if answer.status == 404 {
            return Err(self.no_file(name).into());
        }
        self.repo.check(&answer)?;
        if answer.status == 206 {
            self.check_range(name, listed, start, &answer)?;
        } else {
            // The complete file, from a server that does not support ranges.
            start = 0;
        }
        let prepared = partial.continue_from(start);
        prepared.map_err(self.repo.cache_error("write", &path))?;
        self.receive(name, listed, start, answer.body, partial)
    }

    fn receive(
        &self,
        name: &str,
        listed: &Listed,
        start: u64,
        body: impl Read,
        partial: &mut Partial,
    ) -> Result<(), Failed> {
        let path = partial.path().to_owned();
        let mut body = body.take(listed.size - start);
        let mut arrived = start;
        let mut buffer = vec![0; 256 << 10];
        self.tell(name, arrived, listed.size);
        while arrived < listed.size {
            let read = match body.read(&mut buffer) {
                Ok(0) => return Err(self.incomplete(name, listed, arrived, "the hub ended the transfer")),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.incomplete(name, listed, arrived, &error.to_string())),
            };
            arrived += read as u64;
            let written = partial.file().write_all(&buffer[..read]);
            written.map_err(self.repo.cache_error("write", &path))?;
            self.tell(name, arrived, listed.size);
        }
        Ok(())
    }

    fn incomplete(&self, name: &str, listed: &Listed, found: u64, reason: &str) -> Failed {
        Failed::passing(HubError::Incomplete {
            repo: self.repo.to_string(),
            file: name.to_owned(),
            expected: listed.size,
            found,
            reason: reason.to_owned(),
        })
    }

    fn tell(&self, file: &str, arrived: u64, total: u64) {
        self.repo.access.tell(TransferEvent::Bytes { file, arrived, total });
    }

    /// Rejects a range of the file other than the requested one.
    fn check_range(&self, name: &str, listed: &Listed, start: u64, answer: &Answer) -> Result<(), HubError> {
        let expected = format!("bytes {start}-{}/{}", listed.size - 1, listed.size);
        let found = answer.content_range.as_deref().unwrap_or("none");
        if found == expected {
            return Ok(());
        }
        let what = format!("{name}: content-range");
        Err(self.repo.answer_error(&what, &expected, found))
    }
}

/// The hash of a complete file, with the algorithm of the listed hash.
fn hash_of(file: &mut File, listed: &Listed) -> io::Result<String> {
    if listed.is_large() {
        hash::<Sha256>(file, b"")
    } else {
        hash::<Sha1>(file, format!("blob {}\0", listed.size).as_bytes())
    }
}

fn hash<D: Digest + Write>(file: &mut File, before: &[u8]) -> io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut digest = D::new();
    digest.update(before);
    io::copy(file, &mut digest)?;
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
