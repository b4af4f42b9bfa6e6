//! Saves a small model and prompts it with the code that README.md shows.

use kallm::model::SmolLm2Config;
use kallm::model_folder::save_model;

include!("snippet.rs");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tokenizer = kallm::data::ChatTokenizer::byte_level()?;
    let mut config = SmolLm2Config::smollm2_135m().with_instruct_tokens();
    config.vocab_size = tokenizer.vocab_size();
    (config.hidden_size, config.intermediate_size, config.head_dim) = (16, 32, 16);
    (config.num_attention_heads, config.num_key_value_heads) = (1, 1);
    config.num_hidden_layers = 1;
    config.feed_forward.truncate(1);
    let model = config.init::<Flex>(&Default::default())?;
    let folder = std::env::args().nth(1).ok_or("expected the folder to write the model into")?;
    save_model(&model, &tokenizer, &[], folder.as_ref())?;
    let answer = answer(&folder, "What is 2 + 3?")?;
    println!("README.md's snippet answered {} bytes", answer.len());
    Ok(())
}
