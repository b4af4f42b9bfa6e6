//! Integration tests of llm-bench.

mod evaluation;
mod python_random;
mod reference;
mod report;
mod stats;
mod tasks;
