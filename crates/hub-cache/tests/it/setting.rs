//! A hub with one repository, and a cache.

use fixtures::hub::{LoopbackHub, Request};
use hub_cache::{HubAccess, HubError, HubRepo, RepoKind, Retry, TransferEvent, TransferProgress};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

pub(crate) const LARGE: usize = 1 << 20;
pub(crate) const LARGE_NAME: &str = "below/a folder/large.bin";

pub(crate) fn files() -> BTreeMap<String, Vec<u8>> {
    let large = (0..LARGE as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    BTreeMap::from([
        ("config.json".to_owned(), b"{}".to_vec()),
        ("empty.txt".to_owned(), Vec::new()),
        (LARGE_NAME.to_owned(), large),
    ])
}

pub(crate) struct Setting {
    pub(crate) hub: LoopbackHub,
    pub(crate) cache: TempDir,
    pub(crate) repo: HubRepo,
}

/// Three attempts, one after the other.
pub(crate) fn setting() -> Setting {
    let hub = LoopbackHub::start();
    hub.add("models/owner/name", "main", files());
    let cache = tempfile::tempdir().unwrap();
    let access = HubAccess {
        endpoint: hub.endpoint(),
        cache_dir: Some(cache.path().to_owned()),
        timeout: Duration::from_secs(10),
        retry: Retry {
            attempts: 3,
            first_wait: Duration::ZERO,
            ..Retry::default()
        },
        ..HubAccess::default()
    };
    let repo = HubRepo::new(RepoKind::Model, "owner/name", access);
    Setting { hub, cache, repo }
}

impl Setting {
    pub(crate) fn fetch(&self) -> Result<PathBuf, HubError> {
        let remote = self.repo.remote()?;
        for name in files().keys() {
            remote.fetch(name)?;
        }
        remote.finish()?;
        Ok(self.repo.cached()?.expect("a snapshot").folder)
    }

    /// The error, which names the repository.
    pub(crate) fn message(&self) -> String {
        let error = self.fetch().unwrap_err().to_string();
        assert!(error.contains("owner/name@main"), "{error}");
        error
    }

    /// Notices other than of bytes, from now on.
    pub(crate) fn notices(&mut self) -> Arc<Mutex<Vec<String>>> {
        let notices = Arc::new(Mutex::new(Vec::new()));
        let kept = notices.clone();
        self.on_notice(move |event| kept.lock().unwrap().push(event.to_string()));
        notices
    }

    pub(crate) fn on_notice(&mut self, receive: impl Fn(TransferEvent<'_>) + Send + Sync + 'static) {
        self.repo.access.progress = Some(TransferProgress::new(move |event| match event {
            TransferEvent::Bytes { .. } => {}
            notice => receive(notice),
        }));
    }

    /// Path of a file's content after a first fetch.
    pub(crate) fn blob(&self, name: &str) -> PathBuf {
        std::fs::canonicalize(self.repo.remote().unwrap().fetch(name).unwrap()).unwrap()
    }

    /// The requests for the content of the large file since the last call.
    pub(crate) fn storage_requests(&self) -> Vec<Request> {
        let mut requests = self.hub.requests();
        requests.retain(|request| request.path.starts_with("/storage"));
        requests
    }

    /// Nothing incomplete is reachable under its name.
    pub(crate) fn holds_only_complete_files(&self) {
        let snapshots = self.cache.path().join("models--owner--name/snapshots");
        for commit in std::fs::read_dir(snapshots).into_iter().flatten() {
            let folder = commit.unwrap().path();
            for (name, bytes) in files() {
                let path = folder.join(&name);
                assert!(!path.exists() || std::fs::read(&path).unwrap() == bytes, "{name}");
            }
        }
        assert_eq!(
            self.repo.cached().unwrap(),
            None,
            "the revision is noted only when all of it is there"
        );
    }
}

pub(crate) fn same(folder: &Path) {
    for (name, bytes) in files() {
        assert!(std::fs::read(folder.join(&name)).unwrap() == bytes, "{name}");
    }
}
