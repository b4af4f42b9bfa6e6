//! Integration tests of llm-bench.

mod encoding;
mod evaluation;
mod model;
mod python_random;
mod real_model;
mod reference;
mod report;
mod stats;
mod tasks;
