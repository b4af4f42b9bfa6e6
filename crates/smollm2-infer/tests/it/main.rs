//! Integration tests of smollm2-infer, one binary.

mod decoding;
mod generate;
#[cfg(any(feature = "cuda", feature = "wgpu"))]
mod gpu;
mod real_model;
mod scoring;
mod support;
