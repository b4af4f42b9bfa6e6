//! Integration tests of smollm2-infer, one binary.

mod decoding;
mod generate;
mod real_model;
mod scoring;
mod support;
