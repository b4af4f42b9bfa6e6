//! SIGTERM and Ctrl-C: a run that is asked to end finishes its step, saves and exits.

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Receives SIGTERM and SIGINT. The process ends at once with the status 128 + signal, as it would without this, until
/// [`Signals::hold`]. From then on the first signal is only noted, and the second ends the process.
///
/// Handlers are needed even before: a process that is number 1 of its container ignores signals without one.
#[derive(Clone, Debug)]
pub struct Signals {
    /// The signal that was noted; 0: none.
    received: Arc<AtomicUsize>,
    at_once: Arc<AtomicBool>,
}

impl Signals {
    /// Installs the signal handlers.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn listen() -> Result<Self> {
        let signals = Self {
            received: Arc::new(AtomicUsize::new(0)),
            at_once: Arc::new(AtomicBool::new(true)),
        };
        for signal in [SIGINT, SIGTERM] {
            signals
                .register(signal)
                .with_context(|| format!("cannot handle signal {signal}"))?;
        }
        Ok(signals)
    }

    /// The handlers of a signal run in this order.
    fn register(&self, signal: i32) -> std::io::Result<()> {
        flag::register_conditional_shutdown(signal, status(signal), self.at_once.clone())?;
        flag::register_usize(signal, self.received.clone(), signal as usize)?;
        flag::register(signal, self.at_once.clone())?;
        Ok(())
    }

    /// From here on there is something to save.
    pub fn hold(&self) {
        self.at_once.store(false, Ordering::SeqCst);
    }

    /// All is on the disk, or soon is again: signals end the process at once, as before [`Signals::hold`]. One that was
    /// noted ends it now.
    pub fn release(&self) {
        self.at_once.store(true, Ordering::SeqCst);
        if let Some(status) = self.received() {
            std::process::exit(status.into());
        }
    }

    /// The exit status for the signal that was received while it was held: 143 for SIGTERM, 130 for Ctrl-C.
    pub fn received(&self) -> Option<u8> {
        match self.received.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(status(signal as i32) as u8),
        }
    }
}

/// What a shell reports of a process that a signal ended.
fn status(signal: i32) -> i32 {
    128 + signal
}
