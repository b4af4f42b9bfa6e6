//! One binary for every integration test.

mod fitting;
