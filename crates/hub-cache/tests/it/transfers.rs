//! Listing, fetching, resuming, and every way it fails.

use crate::setting::{LARGE, files, same, setting};
use fixtures::hub::Fault;
use hub_cache::{HubError, HubRepo, TransferEvent, TransferProgress};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn files_arrive_whole_and_stay() {
    let mut setting = setting();
    let folder = setting.fetch().unwrap();
    same(&folder);
    assert!(folder.starts_with(setting.cache.path().join("models--owner--name/snapshots")));
    setting.hub.requests();
    // A second fetch asks for the listing alone.
    same(&setting.fetch().unwrap());
    assert_eq!(setting.hub.requests().len(), 1);
    setting.hub.stop();
    let cached = setting.repo.cached().unwrap().unwrap();
    assert_eq!(cached.folder, folder);
    assert_eq!(cached.listing.as_ref(), Some(&cached.names()));
    assert_eq!(cached.names(), files().into_keys().collect::<Vec<_>>());
    assert!(cached.file("config.json").is_some());
    assert_eq!(cached.file("../../refs/main"), None);
    // By its commit too, which has no entry among the references.
    let commit = folder.file_name().unwrap().to_string_lossy().into_owned();
    let by_commit = HubRepo {
        revision: commit,
        ..setting.repo.clone()
    };
    assert_eq!(by_commit.cached().unwrap().unwrap().folder, folder);
}

#[test]
fn a_revision_is_its_own() {
    let setting = setting();
    let other = BTreeMap::from([("config.json".to_owned(), b"[]".to_vec())]);
    setting.hub.add("models/owner/name", "refs/pr/1", other);
    let repo = HubRepo {
        revision: "refs/pr/1".to_owned(),
        ..setting.repo.clone()
    };
    let remote = repo.remote().unwrap();
    assert_eq!(remote.names().collect::<Vec<_>>(), ["config.json"]);
    remote.fetch("config.json").unwrap();
    remote.finish().unwrap();
    let read = |repo: &HubRepo| std::fs::read(repo.cached().unwrap().unwrap().folder.join("config.json")).unwrap();
    assert_eq!(read(&repo), b"[]");
    setting.fetch().unwrap();
    assert_eq!((read(&repo), read(&setting.repo)), (b"[]".to_vec(), b"{}".to_vec()));
}

#[test]
fn an_interrupted_transfer_goes_on_by_itself() {
    let setting = setting();
    setting.hub.fail(Fault::HalfOnce);
    same(&setting.fetch().unwrap());
    let ranges: Vec<String> = setting
        .hub
        .requests()
        .into_iter()
        .filter_map(|request| request.range)
        .collect();
    assert!(ranges.contains(&format!("bytes={}-", LARGE / 2)), "{ranges:?}");
}

#[test]
fn a_transfer_that_is_always_cut_is_an_error_and_resumes_later() {
    let setting = setting();
    setting.hub.fail(Fault::Halves);
    let error = setting.message();
    assert!(
        error.contains("large.bin") && error.contains("expected 1048576 bytes"),
        "{error}"
    );
    setting.holds_only_complete_files();
    setting.hub.fail(Fault::None);
    setting.hub.requests();
    same(&setting.fetch().unwrap());
    // What had arrived was not asked for again.
    let ranges: Vec<String> = setting
        .hub
        .requests()
        .into_iter()
        .filter_map(|request| request.range)
        .collect();
    let first: usize = ranges[0]
        .trim_start_matches("bytes=")
        .trim_end_matches('-')
        .parse()
        .unwrap();
    assert!(first > LARGE / 2, "{ranges:?}");
}

#[test]
fn a_cut_without_ranges_starts_again() {
    let setting = setting();
    setting.hub.fail(Fault::CutAt(LARGE * 3 / 4));
    let error = setting.message();
    assert!(error.contains("try again"), "{error}");
    setting.holds_only_complete_files();
    // Still no ranges, but no cut: what had arrived must not be doubled.
    setting.hub.fail(Fault::CutAt(LARGE));
    same(&setting.fetch().unwrap());
}

#[test]
fn corruption_is_noticed_and_not_kept() {
    let setting = setting();
    setting.hub.fail(Fault::Corruption);
    let error = setting.message();
    assert!(error.contains("large.bin") && error.contains("SHA-256"), "{error}");
    setting.holds_only_complete_files();
    setting.hub.fail(Fault::None);
    same(&setting.fetch().unwrap());
}

#[test]
fn refusals_say_what_to_do() {
    let mut setting = setting();
    setting.repo.access.retry.attempts = 1;
    for (fault, words) in [
        (Fault::Status(401), "token"),
        (Fault::Status(403), "token"),
        (Fault::Status(404), "check the spelling"),
        (Fault::Status(500), "500"),
        (Fault::Status(302), "missing a location header"),
        (Fault::Nonsense, "expected JSON"),
        (Fault::Escape, "../../"),
        (Fault::Vanished, "it has no "),
        (Fault::Silence, "check the network"),
    ] {
        if fault == Fault::Silence {
            setting.repo.access.timeout = Duration::from_millis(1500);
        }
        setting.hub.fail(fault);
        let error = setting.message();
        assert!(error.contains(words), "{fault:?}: {error}");
        setting.holds_only_complete_files();
        // Where the listing's `../../config.json` leads from a snapshot.
        assert!(!setting.cache.path().join("models--owner--name/config.json").exists());
    }
    setting.repo.access.timeout = Duration::from_secs(10);
    setting.hub.fail(Fault::None);
    assert!(
        setting
            .repo
            .remote()
            .unwrap()
            .fetch("absent.bin")
            .unwrap_err()
            .to_string()
            .contains("it has no absent.bin")
    );
    same(&setting.fetch().unwrap());
}

#[test]
fn nobody_there_is_an_error() {
    let mut setting = setting();
    setting.hub.stop();
    let error = setting.message();
    assert!(
        error.contains("cannot reach http://127.0.0.1") && error.contains("check the network"),
        "{error}"
    );
}

#[test]
fn impossible_names_are_refused_before_anything_is_touched() {
    let setting = setting();
    for (id, revision) in [
        ("../name", "main"),
        ("a/b/c", "main"),
        ("owner/name", "../../x"),
        ("owner/na me", "main"),
    ] {
        let repo = HubRepo {
            id: id.to_owned(),
            revision: revision.to_owned(),
            ..setting.repo.clone()
        };
        assert!(matches!(repo.cached(), Err(HubError::Id { .. })), "{id}@{revision}");
        assert!(matches!(repo.remote(), Err(HubError::Id { .. })), "{id}@{revision}");
    }
    assert!(setting.hub.requests().is_empty());
}

#[test]
fn an_unwritable_cache_is_named() {
    let mut setting = setting();
    let file = setting.cache.path().join("file");
    std::fs::write(&file, "").unwrap();
    setting.repo.access.cache_dir = Some(file);
    let error = setting.message();
    assert!(
        error.contains("cannot write") && error.contains("cache folder"),
        "{error}"
    );
}

/// A reference can be read at every moment, also while it is written again.
#[test]
fn a_snapshot_does_not_vanish_while_another_is_noted() {
    let setting = setting();
    setting.fetch().unwrap();
    let remote = setting.repo.remote().unwrap();
    std::thread::scope(|scope| {
        let noting = scope.spawn(|| (0..100).for_each(|_| remote.finish().unwrap()));
        while !noting.is_finished() {
            assert!(setting.repo.cached().unwrap().is_some());
        }
    });
}

#[test]
fn two_at_once_share_a_transfer() {
    let setting = setting();
    std::thread::scope(|scope| {
        let both = [0, 1].map(|_| scope.spawn(|| setting.fetch().unwrap()));
        both.into_iter().for_each(|one| same(&one.join().unwrap()));
    });
    same(&setting.repo.cached().unwrap().unwrap().folder);
    let stored = setting.hub.requests();
    assert_eq!(
        stored
            .iter()
            .filter(|request| request.path.starts_with("/storage"))
            .count(),
        1
    );
}

#[test]
fn progress_counts_the_bytes_of_each_file() {
    let mut setting = setting();
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = told.clone();
    setting.repo.access.progress = Some(TransferProgress::new(move |event| {
        if let TransferEvent::Bytes { file, arrived, total } = event {
            telling.lock().unwrap().push((file.to_owned(), arrived, total));
        }
    }));
    setting.hub.fail(Fault::HalfOnce);
    setting.fetch().unwrap();
    let told_once = std::mem::take(&mut *told.lock().unwrap());
    for (name, bytes) in files().into_iter().filter(|(_, bytes)| !bytes.is_empty()) {
        let of_file = told_once.iter().filter(|(file, ..)| *file == name);
        let done: Vec<u64> = of_file.clone().map(|(_, done, _)| *done).collect();
        assert!(
            done.is_sorted() && done.last() == Some(&(bytes.len() as u64)),
            "{name}: {done:?}"
        );
        assert!(of_file.clone().all(|(.., total)| *total == bytes.len() as u64));
    }
    // What the cache has is not fetched, so there is nothing to tell.
    setting.fetch().unwrap();
    assert!(told.lock().unwrap().is_empty());
}

/// A name that no Windows file can have does not take the rest of the repository with it elsewhere.
#[cfg(unix)]
#[test]
fn names_with_a_colon_are_names() {
    let setting = setting();
    let mut more = files();
    more.insert("notes 10:30.txt".to_owned(), b"late".to_vec());
    setting.hub.add("models/owner/name", "main", more);
    let path = setting.repo.remote().unwrap().fetch("notes 10:30.txt").unwrap();
    assert_eq!(std::fs::read(path).unwrap(), b"late");
    same(&setting.fetch().unwrap());
}
