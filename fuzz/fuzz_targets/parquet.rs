//! Rows of a Parquet file: as conversations to train on, and as documents of a task.
#![no_main]

use kallm_fuzz::{Limited, allow_caught_panics, builtin, escaping, evaluate_in, in_folder};
use libfuzzer_sys::fuzz_target;
use smoltalk_data::Source;

#[global_allocator]
static ALLOCATOR: Limited = Limited;

fuzz_target!(init: allow_caught_panics(), |bytes: &[u8]| {
    in_folder(&[("data/default/test.parquet", bytes)], |folder| {
        escaping(|| {
            let source = Source::open(&folder.join("data/default/test.parquet")).expect("a file that is there");
            source.conversations().for_each(drop);
            evaluate_in(folder, builtin("arc_easy"));
        });
    });
});
