//! What the examples share: choosing a device, flags, showing progress, timing kernels. The work itself is in `kallm`.
#![deny(missing_docs)]

pub mod device;
pub mod flags;
pub mod generation;
pub mod hub;
pub mod kernels;
pub mod memory;
pub mod open;
pub mod progress;
pub mod signals;
#[cfg(doctest)]
mod snippets;
pub mod step_cost;
pub mod study;
pub mod terminal;
