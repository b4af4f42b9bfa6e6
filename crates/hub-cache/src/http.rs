//! GET requests, one attempt at a time.

// Without the client, nothing here is used.
#![cfg_attr(not(feature = "net"), allow(dead_code))]

#[cfg(feature = "net")]
mod client;

use std::error::Error;
use std::io::{self, ErrorKind, Read};
use std::time::{Duration, Instant};

#[cfg(not(feature = "net"))]
pub(crate) use absent::Client;
#[cfg(feature = "net")]
pub(crate) use client::Client;

/// Bytes per second below which a body counts as interrupted.
const LEAST_RATE: f64 = 1024.0;

/// A response whose body has not been read yet.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_range: Option<String>,
    /// The wait before the next request that the hub asks for.
    pub(crate) asked: Option<Duration>,
    pub(crate) body: PacedBody,
}

pub(crate) type Cause = Box<dyn Error + Send + Sync>;

/// Why there is no response.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Another attempt would fail in the same way.
    Lasting(Cause),
    /// The host is not found: it is misspelt or this machine is offline. Temporary if the host has answered before.
    NoHost(Cause),
    /// Another attempt may succeed: the host is busy, or the connection broke.
    Passing(Cause),
}

/// A body that fails when it becomes too slow. A limit on each read alone would allow one byte at a time, forever.
pub(crate) struct PacedBody {
    body: Box<dyn Read>,
    window: Duration,
    began: Instant,
    bytes: u64,
}

impl PacedBody {
    pub(crate) fn new(body: Box<dyn Read>, window: Duration) -> Self {
        Self {
            body,
            window,
            began: Instant::now(),
            bytes: 0,
        }
    }
}

impl Read for PacedBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.body.read(buffer)?;
        self.bytes += read as u64;
        let elapsed = self.began.elapsed();
        if read > 0 && elapsed >= self.window {
            if (self.bytes as f64) < LEAST_RATE * elapsed.as_secs_f64() {
                let reason = format!("too slow: {} bytes in {elapsed:.1?}", self.bytes);
                return Err(io::Error::new(ErrorKind::TimedOut, reason));
            }
            (self.began, self.bytes) = (Instant::now(), 0);
        }
        Ok(read)
    }
}

#[cfg(not(feature = "net"))]
mod absent {
    use super::{Answer, Failure};
    use crate::{HubError, HubRepo};
    use std::time::Duration;

    #[derive(Debug)]
    pub(crate) enum Client {}

    impl Client {
        pub(crate) fn new(repo: &HubRepo) -> Result<Self, HubError> {
            Err(HubError::NoNetwork { repo: repo.to_string() })
        }

        pub(crate) fn get(&self, _: &str, _: Option<u64>, _: Option<Duration>) -> Result<Answer, Failure> {
            match *self {}
        }
    }
}
