//! Integration tests of smollm2-train: one binary.
mod golden;
mod loss;
mod recipe;
mod resume;
