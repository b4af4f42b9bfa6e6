//! Writes the folder of a model. Weights, configuration and tokenizer appear in it at the same time.

use crate::error::{KallmError, OfPath, Result};
use crate::files::{check_folder, children, create_folder, folder_of, rename, sync, sync_all, write_whole};
use smollm2_model::{DecoderBackend, SmolLm2, weights};
use smoltalk_data::ChatTokenizer;
use std::path::Path;

/// Refuses a folder that already holds a model.
///
/// # Errors
/// When it does, or is not a folder.
pub fn check_new_model(folder: &Path) -> Result<()> {
    check_folder(folder)?;
    // An index would describe other weights than those written.
    for file in ["config.json", "model.safetensors.index.json"] {
        if folder.join(file).exists() {
            let remedy = "choose another folder, or remove this one";
            return Err(KallmError::unusable(folder.display(), "no model", file, remedy));
        }
    }
    Ok(())
}

/// Writes a model with its tokenizer and `records` (further files by name). A new folder appears complete or not at
/// all. In an existing one, which may be a mount point, files appear one by one, `config.json` last: a folder without
/// it is not treated as a model. Until then everything is in `NAME.partial-XXXXXX`, which remains only if the program
/// is killed.
///
/// # Errors
/// When something cannot be written, or the folder already holds a model.
pub fn save_model<B: DecoderBackend>(
    model: &SmolLm2<B>,
    tokenizer: &ChatTokenizer,
    records: &[(&str, String)],
    folder: &Path,
) -> Result<()> {
    let existed = folder.is_dir();
    let place = if existed { folder } else { folder_of(folder) };
    create_folder(place)?;
    // A killed program leaves it: the name says what it was to become. The current folder has none.
    let mut prefix = folder.file_name().unwrap_or_default().to_os_string();
    prefix.push(".partial-");
    let staging = tempfile::Builder::new().prefix(&prefix).tempdir_in(place);
    let staging = staging.of_path("create a folder in", place)?;
    let staged = staging.path().join("model");
    create_folder(&staged)?;
    weights::save(&with_end_of_turn(model, tokenizer)?, &staged)?;
    tokenizer.save(&staged)?;
    for (name, text) in records {
        write_whole(&staged.join(name), text)?;
    }
    sync_all(&staged)?;
    if existed {
        check_new_model(folder)?;
        let mut files = children(&staged)?;
        files.sort_by_key(|file| file.ends_with("config.json"));
        for file in &files {
            rename(
                file,
                &folder.join(file.file_name().expect("a file in a folder has a name")),
            )?;
        }
    } else {
        rename(&staged, folder)?;
    }
    sync(place)
}

/// Base weights end a text with `<|endoftext|>`. The tokenizer that is written next to them has a chat template, so
/// other programs must stop at the end of a turn too.
fn with_end_of_turn<B: DecoderBackend>(model: &SmolLm2<B>, tokenizer: &ChatTokenizer) -> Result<SmolLm2<B>> {
    let (config, end) = (model.config(), tokenizer.end_of_turn_id());
    if config.eos_token_ids.contains(&end) {
        return Ok(model.clone());
    }
    let ends = [&[end], config.eos_token_ids.as_slice()].concat();
    Ok(model
        .clone()
        .with_special_tokens(config.bos_token_id, ends, config.pad_token_id)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::names;
    use burn::backend::Flex;
    use smollm2_model::SmolLm2Config;
    use std::fs;

    /// A model of one layer.
    fn tiny() -> (SmolLm2<Flex>, ChatTokenizer) {
        let tokenizer = ChatTokenizer::byte_level().unwrap();
        let mut config = SmolLm2Config::smollm2_135m();
        config.vocab_size = tokenizer.vocab_size();
        (config.hidden_size, config.intermediate_size, config.head_dim) = (16, 32, 16);
        (
            config.num_hidden_layers,
            config.num_attention_heads,
            config.num_key_value_heads,
        ) = (1, 1, 1);
        config.feed_forward.truncate(1);
        (config.init::<Flex>(&Default::default()).unwrap(), tokenizer)
    }

    const MODEL: [&str; 6] = [
        "config.json",
        "generation_config.json",
        "made-from.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ];

    #[test]
    fn a_model_appears_with_its_tokenizer_and_is_never_replaced() {
        let (model, tokenizer) = tiny();
        let folder = tempfile::tempdir().unwrap();
        let (new, mounted) = (folder.path().join("below/new"), folder.path().join("mounted"));
        fs::create_dir(&mounted).unwrap();
        for target in [&new, &mounted] {
            let records = [("made-from.json", "{}".to_string())];
            save_model(&model, &tokenizer, &records, target).unwrap();
            assert_eq!(names(target), MODEL);
            assert!(save_model(&model, &tokenizer, &records, target).is_err());
            assert_eq!(names(target), MODEL);
        }
        assert_eq!(names(&folder.path().join("below")), ["new"]);
    }

    #[test]
    fn a_model_that_cannot_be_saved_whole_does_not_appear() {
        let (model, tokenizer) = tiny();
        let folder = tempfile::tempdir().unwrap();
        let mounted = folder.path().join("mounted");
        fs::create_dir(&mounted).unwrap();
        // There is a file of this name, so there cannot be a folder.
        let records = [("config.json/record.json", "{}".to_string())];
        for target in [&folder.path().join("new"), &mounted] {
            assert!(save_model(&model, &tokenizer, &records, target).is_err());
        }
        assert_eq!(names(folder.path()), ["mounted"]);
        assert!(names(&mounted).is_empty());
    }

    #[test]
    fn saved_base_weights_stop_at_the_end_of_a_turn_too() {
        let (model, tokenizer) = tiny();
        assert_eq!(model.config().eos_token_ids, [0]);
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("model");
        save_model(&model, &tokenizer, &[], &target).unwrap();
        for file in ["config.json", "generation_config.json"] {
            let text = fs::read_to_string(target.join(file)).unwrap();
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(json["eos_token_id"], serde_json::json!([2, 0]), "{file}");
        }
    }
}
