//! Integration tests of smollm2-model, one binary.

mod convert;
mod exact;
mod far;
mod golden;
#[cfg(feature = "hub")]
mod hub;
mod malformed;
mod ops;
mod weights;
