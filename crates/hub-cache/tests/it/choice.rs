//! Files chosen by their names, through the cache.

use fixtures::hub::LoopbackHub;
use hub_cache::{HubAccess, HubError, HubRepo, RepoKind, Retry};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A hub that has this repository, and the repository through an empty cache.
fn serve(names: &[&str], cache: &Path) -> (LoopbackHub, HubRepo) {
    let hub = LoopbackHub::start();
    let files = names.iter().map(|name| (name.to_string(), name.as_bytes().to_vec()));
    hub.add("datasets/owner/name", "main", BTreeMap::from_iter(files));
    let access = HubAccess {
        endpoint: hub.endpoint(),
        cache_dir: Some(cache.to_owned()),
        retry: Retry {
            attempts: 1,
            ..Retry::default()
        },
        ..HubAccess::default()
    };
    (hub, HubRepo::new(RepoKind::Dataset, "owner/name", access))
}

/// The files that begin so, if there are as many.
fn files(repo: &HubRepo, start: &str, count: usize) -> Result<Vec<PathBuf>, HubError> {
    repo.files(|names| {
        let chosen = names.iter().filter(|name| name.starts_with(start));
        let chosen: Vec<String> = chosen.map(ToString::to_string).collect();
        if chosen.len() == count {
            return Ok(chosen);
        }
        Err(HubError::NoFile {
            repo: repo.to_string(),
            file: start.to_owned(),
        })
    })
}

#[test]
fn files_come_from_the_cache_when_all_of_them_are_there() {
    let names = ["train-0.parquet", "train-1.parquet", "test-0.parquet"];
    let cache = tempfile::tempdir().unwrap();
    let (mut hub, repo) = serve(&names, cache.path());
    let train = files(&repo, "train", 2).unwrap();
    assert_eq!(train.len(), 2);
    assert_eq!(std::fs::read(&train[1]).unwrap(), names[1].as_bytes());
    // The listing and the two files; then nothing.
    assert_eq!(hub.requests().len(), 3);
    assert_eq!(files(&repo, "train", 2).unwrap(), train);
    assert!(hub.requests().is_empty());
    assert!(matches!(files(&repo, "dev", 1), Err(HubError::NoFile { .. })));
    hub.stop();
    assert_eq!(files(&repo, "train", 2).unwrap(), train);
    // Never fetched, so not to be had.
    assert!(matches!(files(&repo, "test", 1), Err(HubError::Unreachable { .. })));
    // A cache that Python filled has no listing: it is believed, but for a missing file.
    std::fs::remove_dir_all(cache.path().join("datasets--owner--name/listings")).unwrap();
    assert_eq!(files(&repo, "train", 2).unwrap(), train);
    std::fs::remove_file(&train[1]).unwrap();
    assert!(matches!(files(&repo, "train", 2), Err(HubError::Unreachable { .. })));
}

#[test]
fn a_part_of_a_commit_is_not_believed_offline() {
    let names = ["test-0.parquet", "test-1.parquet"];
    let cache = tempfile::tempdir().unwrap();
    let (mut hub, repo) = serve(&names, cache.path());
    // The program ended here.
    let first = repo.remote().unwrap().fetch(names[0]).unwrap();
    hub.stop();
    let below = first
        .strip_prefix(cache.path().join("datasets--owner--name/snapshots"))
        .unwrap();
    let by_commit = HubRepo {
        revision: below.iter().next().unwrap().to_str().unwrap().to_owned(),
        ..repo
    };
    assert_eq!(by_commit.cached().unwrap().unwrap().names(), names[..1]);
    let error = files(&by_commit, "test", 2).unwrap_err();
    assert!(matches!(error, HubError::Unreachable { .. }), "{error}");
}
