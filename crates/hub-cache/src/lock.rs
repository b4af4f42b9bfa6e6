//! The lock that huggingface_hub and hf-hub hold while they download a file.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::{HubAccess, TransferEvent};

/// Time between two attempts to take a lock.
const POLL: Duration = Duration::from_millis(100);
/// Time between two notices that a lock is waited for.
const NOTICE: Duration = Duration::from_secs(10);

/// A held lock, or permission to continue without one. The lock only avoids downloading a file twice. Correctness does
/// not depend on it, because some network file systems grant every lock and others none.
pub(crate) struct DownloadLock(Option<File>);

impl DownloadLock {
    /// Waits for the lock, at most [`HubAccess::lock_wait`].
    pub(crate) fn take(access: &HubAccess, file: &str, path: &Path) -> Self {
        Self::take_with(access, file, path, File::try_lock)
    }

    fn take_with(
        access: &HubAccess,
        file: &str,
        path: &Path,
        mut try_lock: impl FnMut(&File) -> Result<(), TryLockError>,
    ) -> Self {
        let taken = open(path).and_then(|lock| {
            let waited = wait(access, file, path, || try_lock(&lock));
            waited.inspect_err(|error| clear_away(&lock, path, error))?;
            Ok(lock)
        });
        if let Err(error) = &taken {
            let reason = &error.to_string();
            access.tell(TransferEvent::Unlocked { file, reason });
        }
        Self(taken.ok())
    }

    pub(crate) fn is_held(&self) -> bool {
        self.0.is_some()
    }
}

/// If the file system has no locks, Python's client uses the existence of the file as the lock, and writes to it.
fn clear_away(lock: &File, path: &Path, error: &io::Error) {
    let is_empty = lock.metadata().is_ok_and(|lock| lock.len() == 0);
    if is_empty && error.kind() != io::ErrorKind::TimedOut {
        fs::remove_file(path).ok();
    }
}

/// The lock file is never written, so a link to another file does no harm.
fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    // As in Python's client: members of a group that share a cache can wait for each other.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o664);
    options.open(path)
}

fn wait(
    access: &HubAccess,
    file: &str,
    path: &Path,
    mut try_lock: impl FnMut() -> Result<(), TryLockError>,
) -> io::Result<()> {
    let (began, mut next_notice) = (Instant::now(), Duration::ZERO);
    loop {
        match try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {}
        }
        let waited = began.elapsed();
        if waited >= next_notice {
            access.tell(TransferEvent::Waiting {
                file,
                lock: path,
                waited,
            });
            next_notice = waited + NOTICE;
        }
        if waited >= access.lock_wait {
            let reason = format!("another process has held {} for {waited:.0?}", path.display());
            return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
        }
        std::thread::sleep(POLL.min(access.lock_wait - waited));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TransferProgress;
    use std::sync::{Arc, Mutex};

    fn noting() -> (HubAccess, Arc<Mutex<Vec<String>>>) {
        let notices = Arc::new(Mutex::new(Vec::new()));
        let kept = notices.clone();
        let progress = TransferProgress::new(move |event| kept.lock().unwrap().push(event.to_string()));
        let access = HubAccess {
            lock_wait: Duration::from_millis(1),
            progress: Some(progress),
            ..HubAccess::default()
        };
        (access, notices)
    }

    /// Whether the lock is taken, and the notices, if `try_lock` returns these results in turn, the last one forever.
    fn take(results: &[fn() -> Result<(), TryLockError>], lock_wait: Duration) -> (bool, Vec<String>, bool) {
        let (mut access, notices) = noting();
        access.lock_wait = lock_wait;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hash.lock");
        let mut tries = 0;
        let taken = DownloadLock::take_with(&access, "a.bin", &path, |_| {
            tries += 1;
            results[(tries - 1).min(results.len() - 1)]()
        });
        let notices = std::mem::take(&mut *notices.lock().unwrap());
        (taken.is_held(), notices, path.exists())
    }

    fn held() -> Result<(), TryLockError> {
        Err(TryLockError::WouldBlock)
    }

    #[test]
    fn a_held_lock_is_waited_for_and_then_given_up() {
        let (is_held, notices, exists) = take(&[held], Duration::from_millis(1));
        assert!(!is_held && exists);
        assert!(
            notices[0].contains("a.bin: another process is downloading it"),
            "{notices:?}"
        );
        let last = notices.last().unwrap();
        assert!(last.contains("without a lock: another process has held"), "{notices:?}");
    }

    #[test]
    fn a_lock_that_is_released_is_taken() {
        let (is_held, notices, exists) = take(&[held, held, || Ok(())], Duration::from_secs(600));
        assert!(is_held && exists);
        assert_eq!(notices.len(), 1, "{notices:?}");
    }

    #[test]
    fn a_file_system_without_locks_is_a_notice() {
        const NO_LOCK_DAEMON: i32 = 37; // ENOLCK on Linux
        let errors: [fn() -> Result<(), TryLockError>; 2] = [
            || Err(TryLockError::Error(io::Error::from_raw_os_error(NO_LOCK_DAEMON))),
            || Err(TryLockError::Error(io::ErrorKind::Unsupported.into())),
        ];
        for refused in errors {
            let (is_held, notices, exists) = take(&[refused], Duration::from_secs(600));
            assert!(!is_held && !exists);
            assert!(
                notices[0].starts_with("a.bin: downloading without a lock: "),
                "{notices:?}"
            );
        }
        // A folder in place of the lock file cannot be opened for writing.
        let (access, _) = noting();
        let folder = tempfile::tempdir().unwrap();
        assert!(!DownloadLock::take(&access, "a.bin", folder.path()).is_held());
    }

    #[test]
    fn a_lock_is_released_when_dropped() {
        let (access, _) = noting();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".locks/models--owner--name/hash.lock");
        let first = DownloadLock::take(&access, "a.bin", &path);
        assert!(first.is_held() && !DownloadLock::take(&access, "a.bin", &path).is_held());
        drop(first);
        assert!(DownloadLock::take(&access, "a.bin", &path).is_held());
    }
}
