//! A model's `config.json`. What is accepted comes back the same after it was written.
#![no_main]

use kallm_fuzz::Limited;
use libfuzzer_sys::fuzz_target;
use smollm2_model::SmolLm2Config;

#[global_allocator]
static ALLOCATOR: Limited = Limited;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(config) = SmolLm2Config::from_json(text) {
        let _ = config.num_parameters();
        let again = SmolLm2Config::from_json(&config.to_json()).expect("a written configuration is read");
        assert_eq!(again, config);
    }
});
