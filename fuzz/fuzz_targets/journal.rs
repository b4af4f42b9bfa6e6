//! A journal of answers that an evaluation continues.
#![no_main]

use kallm_fuzz::{Limited, evaluate_in, in_folder};
use libfuzzer_sys::fuzz_target;
use llm_bench::Task;

#[global_allocator]
static ALLOCATOR: Limited = Limited;

const DOCUMENTS: &str = include_str!("../seeds/jsonl/documents.jsonl");

fuzz_target!(|bytes: &[u8]| {
    let files = [("data/default/test.jsonl", DOCUMENTS.as_bytes()), ("journal", bytes)];
    in_folder(&files, |folder| {
        for name in ["arc_easy", "gsm8k"] {
            let task = Task::builtin(name).expect("a built-in task");
            evaluate_in(folder, task, Some(&folder.join("journal")));
        }
    });
});
