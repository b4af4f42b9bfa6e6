//! The examples as programs. `cargo test -p examples` builds them first; with `--test it` alone, build them before with
//! `cargo build --release --examples`.

mod comparison;
mod conversation;
mod conversion;
mod pipes;
mod results;
mod sft;
mod study;

use burn::backend::Flex;
use burn::tensor::TensorData;
use kallm::model_folder::save_model;
use smollm2_model::SmolLm2Config;
use smollm2_model::weights::{from_named_tensors, named_tensors};
use smoltalk_data::ChatTokenizer;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// An example's program: it lies in `examples`, next to the folder of this test's.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap().join("examples");
    let program = folder.join(name).with_extension(std::env::consts::EXE_EXTENSION);
    assert!(program.is_file(), "{} is not built", program.display());
    Command::new(program)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until something is so, for ten minutes at most: continuous integration shares its machine.
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(600), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A model folder with the byte-level tokenizer. All weights are zero, so that every token is as probable as any other,
/// whatever came before.
fn uniform_model(folder: &Path, positions: usize) -> PathBuf {
    let tokenizer = ChatTokenizer::byte_level().unwrap();
    let mut config = SmolLm2Config::smollm2_135m().with_instruct_tokens();
    config.vocab_size = tokenizer.vocab_size();
    (config.hidden_size, config.intermediate_size) = (16, 32);
    (
        config.num_hidden_layers,
        config.num_attention_heads,
        config.num_key_value_heads,
    ) = (1, 1, 1);
    config.head_dim = 16;
    config.max_position_embeddings = positions;
    config.feed_forward.truncate(1);
    let device = Default::default();
    let mut tensors = named_tensors(&config.init::<Flex>(&device).unwrap());
    for tensor in tensors.values_mut() {
        *tensor = TensorData::zeros::<f32, _>(tensor.shape.clone());
    }
    let model = from_named_tensors::<Flex>(&config, tensors, &device).unwrap();
    let model_folder = folder.join("uniform");
    save_model(&model, &tokenizer, &[], &model_folder).unwrap();
    model_folder
}
