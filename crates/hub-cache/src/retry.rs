//! Repeats failed requests, with increasing waits.

use std::time::{Duration, Instant};

use crate::{HubAccess, HubError, Retry, TransferEvent};

/// Longest backoff between two attempts. A wait that the hub asks for is added to it.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Why an attempt failed, and whether another one may succeed.
pub(crate) enum Failed {
    /// Another attempt would fail in the same way.
    Lasting(HubError),
    /// Another attempt may succeed: the hub is busy, or the transfer broke off.
    Passing {
        error: HubError,
        /// The wait that the hub asks for.
        asked: Option<Duration>,
        /// Whether the attempt advanced the download, so that the count of attempts restarts.
        progress: bool,
    },
}

impl Failed {
    pub(crate) fn passing(error: HubError) -> Self {
        Self::Passing {
            error,
            asked: None,
            progress: false,
        }
    }
}

impl From<HubError> for Failed {
    fn from(error: HubError) -> Self {
        Self::Lasting(error)
    }
}

/// Calls `attempt` until it succeeds, fails for good, or [`HubAccess::retry`] is used up.
pub(crate) fn with_retries<T>(
    access: &HubAccess,
    what: &str,
    mut attempt: impl FnMut() -> Result<T, Failed>,
) -> Result<T, HubError> {
    let (mut attempts, mut began) = (Attempts::new(access.retry), Instant::now());
    loop {
        let (error, asked, progress) = match attempt() {
            Ok(done) => return Ok(done),
            Err(Failed::Lasting(error)) => return Err(error),
            Err(Failed::Passing { error, asked, progress }) => (error, asked, progress),
        };
        if progress {
            (attempts, began) = (Attempts::new(access.retry), Instant::now());
        }
        let Some(wait) = attempts.next_wait(began.elapsed(), asked) else {
            return Err(error);
        };
        access.tell(TransferEvent::Retrying {
            what,
            reason: &error.reason(),
            wait,
        });
        std::thread::sleep(wait);
    }
}

/// Counts the attempts since the last progress.
struct Attempts {
    retry: Retry,
    failed: u32,
}

impl Attempts {
    fn new(retry: Retry) -> Self {
        Self { retry, failed: 0 }
    }

    /// The wait after one more failure, `elapsed` after the first attempt began; `None` if there is no further attempt.
    fn next_wait(&mut self, elapsed: Duration, asked: Option<Duration>) -> Option<Duration> {
        let doubled = 2u32.saturating_pow(self.failed);
        self.failed = self.failed.saturating_add(1);
        let backoff = self.retry.first_wait.saturating_mul(doubled).min(LONGEST_WAIT);
        // Processes that failed at the same time should not retry at the same time.
        let backoff = backoff.mul_f64(1.0 - fastrand::f64() / 2.0);
        let wait = asked.unwrap_or_default().saturating_add(backoff);
        let is_allowed = self.failed < self.retry.attempts && elapsed.saturating_add(wait) <= self.retry.total;
        is_allowed.then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn waits(retry: Retry, elapsed: Duration, asked: Option<Duration>) -> Vec<Duration> {
        let mut attempts = Attempts::new(retry);
        std::iter::from_fn(|| attempts.next_wait(elapsed, asked)).collect()
    }

    #[test]
    fn waits_double_up_to_a_minute_and_end() {
        let retry = Retry {
            attempts: 12,
            total: 3600 * SECOND,
            ..Retry::default()
        };
        let found = waits(retry, Duration::ZERO, None);
        assert_eq!(found.len(), 11);
        for (index, wait) in found.into_iter().enumerate() {
            let longest = SECOND.saturating_mul(1 << index).min(LONGEST_WAIT);
            assert!(wait <= longest && wait >= longest / 2, "{index}: {wait:?}");
        }
    }

    #[test]
    fn a_wait_that_the_hub_asks_for_is_kept_or_the_attempts_end() {
        let retry = Retry::default();
        let found = waits(retry, Duration::ZERO, Some(100 * SECOND));
        assert_eq!(found.len(), 5);
        assert!(found.iter().all(|wait| *wait > 100 * SECOND), "{found:?}");
        assert!(waits(retry, Duration::ZERO, Some(601 * SECOND)).is_empty());
        assert!(waits(retry, Duration::ZERO, Some(Duration::MAX)).is_empty());
    }

    #[test]
    fn the_total_time_bounds_the_attempts() {
        assert!(waits(Retry::default(), 600 * SECOND, None).is_empty());
        assert_eq!(waits(Retry::default(), 570 * SECOND, None).len(), 5);
    }

    #[test]
    fn one_attempt_is_not_repeated() {
        for attempts in [0, 1] {
            let retry = Retry {
                attempts,
                ..Retry::default()
            };
            assert!(waits(retry, Duration::ZERO, None).is_empty());
        }
    }
}
