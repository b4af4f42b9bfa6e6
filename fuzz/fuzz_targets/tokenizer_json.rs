//! A folder's tokenizer.json and, after a byte 0xFF, its tokenizer_config.json.
#![no_main]

use kallm_fuzz::{Limited, allow_caught_panics, escaping, in_folder};
use libfuzzer_sys::fuzz_target;
use smoltalk_data::{ChatTokenizer, DataError, Message};

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
                let _ = converse(&tokenizer);
            }
        });
    });
});

fn converse(tokenizer: &ChatTokenizer) -> Result<(), DataError> {
    let message = Message {
        role: "user".to_owned(),
        content: TEXT.to_owned(),
    };
    let _ = tokenizer.encode_chat(&[message], true);
    let _ = (tokenizer.specification(), tokenizer.stop_ids(), tokenizer.vocab_size());
    let ids = tokenizer.encode(TEXT)?;
    let _ = tokenizer.decode(&ids);
    let mut stream = tokenizer.decode_stream();
    for id in ids.into_iter().chain([0, tokenizer.eos_id(), u32::MAX]) {
        stream.push(id)?;
    }
    stream.finish()?;
    Ok(())
}
