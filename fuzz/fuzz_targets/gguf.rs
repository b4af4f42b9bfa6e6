//! A GGUF file: its configuration, tensors and tokenizer.
#![no_main]

use kallm_fuzz::{Limited, allow_caught_panics, escaping, in_folder};
use libfuzzer_sys::fuzz_target;
use smollm2_model::weights::read_gguf;
use smoltalk_data::ChatTokenizer;

#[global_allocator]
static ALLOCATOR: Limited = Limited;

fuzz_target!(init: allow_caught_panics(), |bytes: &[u8]| {
    in_folder(&[("model.gguf", bytes)], |folder| {
        let path = folder.join("model.gguf");
        escaping(|| {
            let _ = ChatTokenizer::from_gguf(&path);
            let _ = read_gguf(&path);
        });
    });
});
