//! What the tokenizer, the sources and the packing must hold to.

mod boundaries;
mod loading;
mod malformed;
mod masks;
mod packing;
mod splitting;
mod vectors;
