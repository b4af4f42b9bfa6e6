//! What the tokenizer, the sources and the packing must hold to.

mod loading;
mod malformed;
mod packing;
mod vectors;
