//! One test binary for the crate.

mod autodiff;
#[cfg(feature = "flex")]
mod flex;
