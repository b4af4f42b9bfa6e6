//! Integration tests of llm-bench.

mod browser;
mod builtin_tasks;
mod dataset;
mod documentation;
mod evaluation;
mod examples;
mod filters;
#[cfg(feature = "hub")]
mod hub;
mod ifeval;
mod instructions;
mod journal;
mod parquet_rows;
mod prompts;
mod python_random;
mod quiz;
mod reference;
mod report;
mod results;
mod rolling;
mod stats;
mod tasks;
mod toy;
