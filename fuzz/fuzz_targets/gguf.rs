//! A GGUF file: its header, metadata and values, then what smollm2-model and smoltalk-data make of them.
#![no_main]

use gguf_file::GgufFile;
use kallm_fuzz::{Limited, escaping, in_folder};
use libfuzzer_sys::fuzz_target;
use smollm2_model::weights::read_gguf;
use smoltalk_data::ChatTokenizer;

#[global_allocator]
static ALLOCATOR: Limited = Limited;

fuzz_target!(|bytes: &[u8]| {
    in_folder(&[("model.gguf", bytes)], |folder| {
        let path = folder.join("model.gguf");
        escaping(|| {
            if let Ok(file) = GgufFile::open(&path) {
                for (_, tensor) in file.tensors() {
                    assert_eq!(tensor.dequantise().len(), tensor.shape.iter().product::<usize>());
                }
            }
            let _ = ChatTokenizer::from_gguf(&path);
            let _ = read_gguf(&path);
        });
    });
});
