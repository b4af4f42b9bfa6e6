//! Integration tests of smollm2-train: one binary.
mod batch;
mod checkpoints;
mod coefficients;
mod conversations;
mod failing;
mod golden;
mod golden_losses;
#[cfg(any(feature = "cuda", feature = "wgpu"))]
mod gpu;
mod interrupted;
mod loss;
mod metrics;
mod objective;
mod ops;
mod recipe;
mod recipe_table;
mod resume;
mod run_folder;
mod small_run;
mod step;
