//! A Jinja chat template, compiled and rendered.
#![no_main]

use kallm_fuzz::Limited;
use libfuzzer_sys::fuzz_target;
use smoltalk_data::{ChatTemplate, Message};

#[global_allocator]
static ALLOCATOR: Limited = Limited;

fuzz_target!(|bytes: &[u8]| {
    let Ok(source) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(template) = ChatTemplate::new(source, "<|im_start|>", "<|im_end|>") else {
        return;
    };
    let turns = [
        ("system", "Be brief."),
        ("user", "1 < 2?\n"),
        ("assistant", " Yes, é. "),
    ];
    let messages = turns.map(|(role, content)| Message {
        role: role.to_owned(),
        content: content.to_owned(),
    });
    let _ = template.render(&messages, false);
    let _ = template.render(&messages[..2], true);
    let _ = template.render(&[], true);
});
