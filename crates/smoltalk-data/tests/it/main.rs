//! What the tokenizer, the sources and the packing must hold to.

mod bad_records;
mod boundaries;
mod flipped;
mod loading;
mod malformed;
mod masks;
mod packing;
mod parquet;
mod special_tokens;
mod splitting;
mod vectors;
