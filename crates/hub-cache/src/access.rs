//! Settings for access to the hub, and progress reports while files are downloaded.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Settings for access to the hub. None of them is read from an environment variable.
#[derive(Clone, PartialEq, Eq)]
pub struct HubAccess {
    /// Address of the hub or of a mirror. Default `https://huggingface.co`.
    pub endpoint: String,
    /// Cache folder. Default `None`: `.cache/huggingface/hub` in the home directory, as [`std::env::home_dir`] gives it
    /// (on Unix it reads `HOME`).
    pub cache_dir: Option<PathBuf>,
    /// Access token for private repositories. It is sent only to the scheme, host and port of `endpoint`, never to the
    /// host of a redirect. It is an error if `endpoint` is plain `http` on another machine. Default `None`: anonymous.
    pub token: Option<String>,
    /// Proxy for every connection, `http://[user:password@]host:port` or the same with `https`. Default `None`.
    pub proxy: Option<String>,
    /// PEM file with the root certificates to trust instead of Mozilla's, which are compiled in. On Debian the system's
    /// certificates are in `/etc/ssl/certs/ca-certificates.crt`. Default `None`.
    pub ca_file: Option<PathBuf>,
    /// Longest wait for a connection, for a response, or for the next bytes of a body. A body that arrives at less than
    /// 1 KiB per second over this time counts as interrupted. Default 30 seconds.
    pub timeout: Duration,
    /// What happens after a failed request. See [`Retry`].
    pub retry: Retry,
    /// Longest wait for another process that is downloading the same file; after that the file is downloaded twice.
    /// Default 10 minutes.
    pub lock_wait: Duration,
    /// Receives progress and notices. Default `None`.
    pub progress: Option<TransferProgress>,
}

impl HubAccess {
    pub(crate) fn tell(&self, event: TransferEvent<'_>) {
        if let Some(progress) = &self.progress {
            (progress.0)(event);
        }
    }
}

impl Default for HubAccess {
    fn default() -> Self {
        Self {
            endpoint: "https://huggingface.co".to_owned(),
            cache_dir: None,
            token: None,
            proxy: None,
            ca_file: None,
            timeout: Duration::from_secs(30),
            retry: Retry::default(),
            lock_wait: Duration::from_secs(600),
            progress: None,
        }
    }
}

/// Shows neither the token nor the proxy, whose address may contain a password.
impl fmt::Debug for HubAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubAccess")
            .field("endpoint", &self.endpoint)
            .field("cache_dir", &self.cache_dir)
            .field("token", &self.token.as_ref().map(|_| ".."))
            .field("proxy", &self.proxy.as_ref().map(|_| ".."))
            .field("ca_file", &self.ca_file)
            .field("timeout", &self.timeout)
            .field("retry", &self.retry)
            .field("lock_wait", &self.lock_wait)
            .finish_non_exhaustive()
    }
}

/// How often and how long a failed request is repeated.
///
/// A request is repeated after status 408, 429 or 5xx, after a refused or broken connection, and after an interrupted
/// body, which continues where it stopped. The counts start again whenever at least 64 KiB have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Number of attempts, including the first. Default 6.
    pub attempts: u32,
    /// Wait before the second attempt. It doubles with each further attempt, up to a minute, and is reduced by a random
    /// part of up to one half. A wait that the hub asks for (`Retry-After`, `RateLimit`) is added. Default 1 second.
    pub first_wait: Duration,
    /// Total time for all attempts. No attempt starts after it, so the download fails at once if the hub asks for a
    /// longer wait. Default 10 minutes.
    pub total: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 6,
            first_wait: Duration::from_secs(1),
            total: Duration::from_secs(600),
        }
    }
}

/// An event during a download. `Display` formats it as one line of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransferEvent<'a> {
    /// Sent when a transfer begins, after every few hundred kilobytes, and when it is complete.
    Bytes {
        /// Name of the file in the repository.
        file: &'a str,
        /// Bytes of the file received so far.
        arrived: u64,
        /// Length of the file as the hub lists it.
        total: u64,
    },
    /// A request failed and will be repeated.
    Retrying {
        /// Name of the file, or `listing` for the names in the repository.
        what: &'a str,
        /// Why the request failed, without the name of the file.
        reason: &'a str,
        /// Time until the next attempt.
        wait: Duration,
    },
    /// Another process is downloading the file. Sent every 10 seconds.
    Waiting {
        /// Name of the file in the repository.
        file: &'a str,
        /// The lock that the other process holds.
        lock: &'a Path,
        /// Time since the wait began.
        waited: Duration,
    },
    /// The file is downloaded without a lock, so another process may download it at the same time.
    Unlocked {
        /// Name of the file in the repository.
        file: &'a str,
        /// Why there is no lock.
        reason: &'a str,
    },
}

impl fmt::Display for TransferEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes { file, arrived, total } => write!(f, "{file}: {arrived} of {total} bytes"),
            Self::Retrying { what, reason, wait } => write!(f, "{what}: {reason}; next attempt in {wait:.1?}"),
            Self::Waiting { file, lock, waited } => write!(
                f,
                "{file}: another process is downloading it, waiting for {waited:.0?} (lock {})",
                lock.display()
            ),
            Self::Unlocked { file, reason } => write!(f, "{file}: downloading without a lock: {reason}"),
        }
    }
}

type Receive = dyn Fn(TransferEvent<'_>) + Send + Sync;

/// A function that receives every [`TransferEvent`].
///
/// ```
/// use hub_cache::{HubAccess, TransferEvent, TransferProgress};
///
/// let progress = TransferProgress::new(|event| match event {
///     TransferEvent::Bytes { file, arrived, total } => assert!(arrived <= total, "{file}"),
///     notice => println!("{notice}"),
/// });
/// let access = HubAccess { progress: Some(progress), ..HubAccess::default() };
/// # assert_eq!(access, access.clone());
/// ```
#[derive(Clone)]
pub struct TransferProgress(Arc<Receive>);

impl TransferProgress {
    /// `receive` is called on the downloading thread.
    pub fn new(receive: impl Fn(TransferEvent<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(receive))
    }
}

/// Equal if both are clones of one value.
impl PartialEq for TransferProgress {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for TransferProgress {}
