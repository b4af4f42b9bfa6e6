//! Integration tests of llm-bench.

mod browser;
mod dataset;
mod encoding;
mod evaluation;
#[cfg(feature = "hub")]
mod hub;
mod model;
mod parquet_rows;
mod prompts;
mod python_random;
mod real_model;
mod reference;
mod report;
mod stats;
mod tasks;
