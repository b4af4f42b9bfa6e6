//! One cache, several programs.

use crate::setting::{LARGE, LARGE_NAME, files, same, setting};
use fixtures::hub::Fault;
use hub_cache::{HubRepo, RepoKind, TransferEvent, TransferProgress};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

/// Where huggingface_hub and hf-hub 1.0 have the lock of a blob.
fn lock_path(cache: &Path, blob: &Path) -> PathBuf {
    let hash = blob.file_name().unwrap().to_str().unwrap();
    cache.join(format!(".locks/models--owner--name/{hash}.lock"))
}

fn leave(blob: &Path, bytes: &[u8]) -> PathBuf {
    let mut name = blob.file_name().unwrap().to_owned();
    name.push(".x1y2.kallm-partial");
    let path = blob.with_file_name(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn hf_hub_finds_what_was_fetched() {
    let setting = setting();
    let folder = setting.fetch().unwrap();
    let cache = hf_hub::Cache::new(setting.cache.path().to_owned());
    let found = cache.model("owner/name".to_owned());
    for name in files().keys() {
        assert_eq!(found.get(name), Some(folder.join(name)));
    }
    for (kind, other) in [
        (RepoKind::Model, hf_hub::RepoType::Model),
        (RepoKind::Dataset, hf_hub::RepoType::Dataset),
    ] {
        setting.hub.add("datasets/owner/name", "main", files());
        let repo = HubRepo {
            kind,
            ..setting.repo.clone()
        };
        let path = repo.remote().unwrap().fetch("config.json").unwrap();
        let folder = hf_hub::Repo::new("owner/name".to_owned(), other).folder_name();
        assert!(
            path.starts_with(setting.cache.path().join(folder)),
            "{}",
            path.display()
        );
    }
}

#[test]
fn a_download_waits_for_another_process() {
    let mut setting = setting();
    let blob = setting.blob("config.json");
    fs::remove_file(&blob).unwrap();
    let lock = File::options()
        .write(true)
        .open(lock_path(setting.cache.path(), &blob))
        .expect("the lock of the first download");
    lock.lock().unwrap();
    let held = Mutex::new(Some(lock));
    let finished = blob.clone();
    // The other process finishes while this one waits.
    setting.on_notice(move |event| {
        assert!(
            matches!(
                event,
                TransferEvent::Waiting {
                    file: "config.json",
                    ..
                }
            ),
            "{event}"
        );
        fs::write(&finished, "{}").unwrap();
        held.lock().unwrap().take();
    });
    setting.hub.requests();
    let remote = setting.repo.remote().unwrap();
    assert_eq!(fs::read(remote.fetch("config.json").unwrap()).unwrap(), b"{}");
    assert_eq!(setting.hub.requests().len(), 1, "the listing alone");
}

#[test]
fn a_lock_that_stays_is_given_up() {
    let mut setting = setting();
    let blob = setting.blob("config.json");
    fs::remove_file(&blob).unwrap();
    let lock = File::options()
        .write(true)
        .open(lock_path(setting.cache.path(), &blob))
        .unwrap();
    lock.lock().unwrap();
    setting.repo.access.lock_wait = Duration::from_millis(1);
    let notices = setting.notices();
    same(&setting.fetch().unwrap());
    let notices = notices.lock().unwrap();
    assert!(notices[0].contains("another process is downloading it"), "{notices:?}");
    assert!(
        notices[1].contains("downloading without a lock: another process has held"),
        "{notices:?}"
    );
}

#[test]
fn without_locks_a_download_is_made_all_the_same() {
    let mut setting = setting();
    let blob = setting.blob("config.json");
    fs::remove_file(&blob).unwrap();
    let lock = lock_path(setting.cache.path(), &blob);
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    let notices = setting.notices();
    same(&setting.fetch().unwrap());
    assert!(notices.lock().unwrap()[0].contains("config.json: downloading without a lock"));
    // What is not locked is not taken over either.
    fs::remove_file(&blob).unwrap();
    let leftover = leave(&blob, b"{");
    same(&setting.fetch().unwrap());
    assert_eq!(fs::read(leftover).unwrap(), b"{");
}

/// Without a lock, the one that holds it may take the unfinished file for a leftover, and then end before it is done.
#[test]
fn a_download_whose_file_was_taken_over_is_made_again() {
    let mut setting = setting();
    let blob = setting.blob(LARGE_NAME);
    fs::remove_file(&blob).unwrap();
    let lock = File::options()
        .write(true)
        .open(lock_path(setting.cache.path(), &blob))
        .unwrap();
    lock.lock().unwrap();
    setting.repo.access.lock_wait = Duration::from_millis(1);
    let (held, folder) = (Mutex::new(Some(lock)), blob.parent().unwrap().to_owned());
    setting.repo.access.progress = Some(TransferProgress::new(move |event| {
        if matches!(event, TransferEvent::Bytes { arrived: 1.., .. }) && held.lock().unwrap().take().is_some() {
            take_over(&folder);
        }
    }));
    setting.hub.requests();
    same(&setting.fetch().unwrap());
    let ranges: Vec<_> = setting
        .storage_requests()
        .into_iter()
        .map(|request| request.range)
        .collect();
    assert_eq!(ranges, [None, Some("bytes=1000-".to_owned())]);
}

/// Replaces the unfinished file by one with its beginning.
fn take_over(blobs: &Path) {
    let entries = fs::read_dir(blobs).unwrap().map(|entry| entry.unwrap().path());
    let mut partial = entries.filter(|path| path.to_string_lossy().ends_with(".kallm-partial"));
    let path = partial.next().expect("an unfinished file");
    fs::remove_file(&path).unwrap();
    let mut name = path.file_stem().unwrap().to_owned();
    name.push("2.kallm-partial");
    fs::write(path.with_file_name(name), &files()[LARGE_NAME][..1000]).unwrap();
}

#[test]
fn the_unfinished_files_of_other_programs_are_left_alone() {
    let setting = setting();
    let blob = setting.blob(LARGE_NAME);
    fs::remove_file(&blob).unwrap();
    let incomplete = blob.with_extension("incomplete");
    fs::write(&incomplete, [7; 1000]).unwrap();
    setting.hub.requests();
    same(&setting.fetch().unwrap());
    assert_eq!(fs::read(&incomplete).unwrap(), [7; 1000]);
    assert!(setting.storage_requests().iter().all(|request| request.range.is_none()));
}

#[test]
fn a_leftover_is_continued() {
    let setting = setting();
    let blob = setting.blob(LARGE_NAME);
    fs::remove_file(&blob).unwrap();
    let leftover = leave(&blob, &files()[LARGE_NAME][..1000]);
    setting.hub.requests();
    same(&setting.fetch().unwrap());
    let ranges: Vec<_> = setting
        .storage_requests()
        .into_iter()
        .map(|request| request.range)
        .collect();
    assert_eq!(ranges, [Some("bytes=1000-".to_owned())]);
    assert!(!leftover.exists());
}

#[test]
fn leftovers_of_another_length_or_content_cost_one_more_download() {
    for name in [LARGE_NAME, "config.json", "empty.txt"] {
        let size = files()[name].len();
        for leftover in [vec![7; size + 5], vec![7; size], vec![7; size / 2]] {
            let setting = setting();
            let blob = setting.blob(name);
            fs::remove_file(&blob).unwrap();
            let leftover = leave(&blob, &leftover);
            same(&setting.fetch().unwrap());
            assert!(!leftover.exists());
            assert_eq!(fs::read_dir(blob.parent().unwrap()).unwrap().count(), files().len());
        }
    }
}

/// A second wrong hash is the hub's fault.
#[test]
fn a_wrong_hash_is_not_downloaded_for_ever() {
    let setting = setting();
    let blob = setting.blob(LARGE_NAME);
    fs::remove_file(&blob).unwrap();
    leave(&blob, &[7; LARGE / 2]);
    setting.hub.fail(Fault::Corruption);
    setting.hub.requests();
    let error = setting.message();
    assert!(error.contains("large.bin: expected SHA-256"), "{error}");
    assert_eq!(setting.storage_requests().len(), 2);
    setting.holds_only_complete_files();
}

#[test]
fn content_that_another_program_left_is_checked() {
    for name in [LARGE_NAME, "config.json"] {
        let setting = setting();
        let blob = setting.blob(name);
        fs::write(&blob, vec![7; files()[name].len()]).unwrap();
        same(&setting.fetch().unwrap());
    }
}
