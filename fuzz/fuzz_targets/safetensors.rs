//! A safetensors file: its header, and every tensor that the header describes.
#![no_main]

use kallm_fuzz::{Limited, in_folder};
use libfuzzer_sys::fuzz_target;
use smollm2_model::weights::read_safetensors;

#[global_allocator]
static ALLOCATOR: Limited = Limited;

fuzz_target!(|bytes: &[u8]| {
    in_folder(&[("model.safetensors", bytes)], |folder| {
        let _ = read_safetensors(&folder.join("model.safetensors"));
    });
});
