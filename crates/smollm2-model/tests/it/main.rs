//! Integration tests of smollm2-model, one binary.

mod config;
mod convert;
mod exact;
mod far;
mod gguf;
mod golden;
mod malformed;
mod ops;
mod ops_mismatches;
mod schema;
mod scores;
mod weights;
