//! The examples as programs. `cargo test -p examples` builds them next to these tests.
mod sft;
