//! What the examples share: choosing a device, opening models, showing progress, drawing learned functions. Glue only.
#![deny(missing_docs)]

pub mod comparison;
pub mod device;
pub mod functions;
pub mod hub;
pub mod kernels;
pub mod memory;
pub mod open;
pub mod progress;
pub mod step_cost;
pub mod synthetic;
