//! Integration tests of smollm2-model, one binary.

mod convert;
mod malformed;
mod weights;
