//! What the examples share: choosing a device, opening models, writing results, showing progress, drawing learned
//! functions. Glue only.
#![deny(missing_docs)]

pub mod comparison;
pub mod conversation;
pub mod device;
pub mod flags;
pub mod functions;
pub mod hub;
pub mod identity;
pub mod kernels;
pub mod memory;
pub mod model_folder;
pub mod open;
pub mod output;
pub mod progress;
pub mod signals;
pub mod step_cost;
pub mod synthetic;
pub mod terminal;
pub mod training;
