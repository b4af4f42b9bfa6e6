//! Integration tests of llm-bench.

mod browser;
mod builtin_tasks;
mod calibration;
mod dataset;
mod documentation;
mod evaluation;
mod examples;
mod filters;
mod ifeval;
mod instructions;
mod journal;
mod parquet_rows;
mod power;
mod prompts;
mod python_random;
mod quiz;
mod recorded;
mod reference;
mod report;
mod results;
mod rolling;
mod seeds;
mod stats;
mod tasks;
mod toy;
