//! Integration tests of smollm2-model, one binary.

mod convert;
mod exact;
mod far;
mod golden;
mod malformed;
mod ops;
mod weights;
