//! A task file, evaluated on a few documents: its keys, templates, filters and regular expressions.
#![no_main]

use kallm_fuzz::{Limited, evaluate_in, in_folder};
use libfuzzer_sys::fuzz_target;
use llm_bench::Task;

#[global_allocator]
static ALLOCATOR: Limited = Limited;

const DOCUMENTS: &str = include_str!("../seeds/jsonl/documents.jsonl");

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(task) = Task::from_yaml(text, "fuzz") else {
        return;
    };
    in_folder(&[("data/default/test.jsonl", DOCUMENTS.as_bytes())], |folder| {
        evaluate_in(folder, task);
    });
});
