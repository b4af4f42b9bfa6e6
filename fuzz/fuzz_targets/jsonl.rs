//! Rows of a JSONL file: as conversations to train on, and as documents of tasks.
#![no_main]

use kallm_fuzz::{Limited, builtin, evaluate_in, in_folder};
use libfuzzer_sys::fuzz_target;
use smoltalk_data::Source;

#[global_allocator]
static ALLOCATOR: Limited = Limited;

fuzz_target!(|bytes: &[u8]| {
    in_folder(&[("data/default/test.jsonl", bytes)], |folder| {
        let source = Source::open(&folder.join("data/default/test.jsonl")).expect("a file that is there");
        source.conversations().for_each(drop);
        for name in ["arc_easy", "hellaswag", "winogrande"] {
            evaluate_in(folder, builtin(name));
        }
    });
});
