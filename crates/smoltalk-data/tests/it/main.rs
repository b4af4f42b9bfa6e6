//! What the tokenizer, the sources and the packing must hold to.

mod boundaries;
mod flipped;
#[cfg(feature = "hub")]
mod hub;
mod loading;
mod malformed;
mod masks;
mod packing;
mod parquet;
mod splitting;
mod vectors;
