//! What the tokenizer, the sources and the packing must hold to.

mod boundaries;
#[cfg(feature = "hub")]
mod hub;
mod loading;
mod malformed;
mod masks;
mod packing;
mod splitting;
mod vectors;
