//! A journal of answers that an evaluation continues.
#![no_main]

use kallm_fuzz::{Limited, evaluate_with_journal, in_folder};
use libfuzzer_sys::fuzz_target;

#[global_allocator]
static ALLOCATOR: Limited = Limited;

const DOCUMENTS: &str = include_str!("../seeds/jsonl/documents.jsonl");

fuzz_target!(|bytes: &[u8]| {
    let files = [("data/default/test.jsonl", DOCUMENTS.as_bytes()), ("journal", bytes)];
    in_folder(&files, |folder| evaluate_with_journal(folder, &folder.join("journal")));
});
