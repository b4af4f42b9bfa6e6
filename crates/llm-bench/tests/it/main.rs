//! Integration tests of llm-bench.

mod encoding;
mod evaluation;
mod python_random;
mod reference;
mod report;
mod stats;
mod tasks;
