//! A folder's tokenizer.json and, after a byte 0xFF, its tokenizer_config.json.
#![no_main]

use kallm_fuzz::{Limited, allow_caught_panics, escaping, in_folder};
use libfuzzer_sys::fuzz_target;
use smoltalk_data::{ChatTokenizer, Message};

#[global_allocator]
static ALLOCATOR: Limited = Limited;

const TEXT: &str = "Hello, <|im_start|>world! 12345 é 日本 🦀\n\n  it's";

fuzz_target!(init: allow_caught_panics(), |bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |byte| *byte == 0xFF);
    let mut files = vec![("tokenizer.json", parts.next().unwrap_or_default())];
    files.extend(parts.next().map(|config| ("tokenizer_config.json", config)));
    in_folder(&files, |folder| {
        escaping(|| {
            if let Ok(tokenizer) = ChatTokenizer::from_folder(folder) {
                converse(&tokenizer);
            }
        });
    });
});

fn converse(tokenizer: &ChatTokenizer) {
    let ids = tokenizer.encode(TEXT);
    let _ = tokenizer.decode(&ids);
    let mut stream = tokenizer.decode_stream();
    for id in ids.iter().copied().chain([0, tokenizer.eos_id(), u32::MAX]) {
        let _ = stream.push(id);
    }
    let _ = stream.finish();
    let message = Message {
        role: "user".to_owned(),
        content: TEXT.to_owned(),
    };
    let _ = tokenizer.apply_chat_template(&[message], true);
    let _ = (tokenizer.specification(), tokenizer.stop_ids(), tokenizer.vocab_size());
}
