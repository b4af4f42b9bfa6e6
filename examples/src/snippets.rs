//! The Rust in README.md and docs/, run as documentation tests: `cargo xtask rules` asks for a module per file.

#[doc = include_str!("../../README.md")]
mod readme {}

#[doc = include_str!("../../docs/training.md")]
mod training {}
