//! What the examples share: choosing a device, opening models, showing progress, drawing learned functions. Glue only.
#![deny(missing_docs)]

/// A step frees and allocates hundreds of megabytes; the system's allocator hands them back to the kernel each time,
/// and clearing them anew takes as long as a matrix product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod comparison;
pub mod device;
pub mod functions;
pub mod open;
pub mod progress;
pub mod synthetic;
