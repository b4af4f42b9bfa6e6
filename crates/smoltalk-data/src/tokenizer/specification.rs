//! Tokenizers described by JSON: in folders in the Hugging Face layout, and the built-in one.

use super::{ChatTokenizer, SPECIAL_TOKENS, built_in, read};
use crate::DataError;
use serde_json::{Map, Value, json};
use std::path::Path;

/// The parts of a byte-level BPE tokenizer as SmolLM2's tokenizer.json has them.
pub(super) fn smollm2_json(vocabulary: Map<String, Value>, merges: Vec<Value>, special: &[(u32, String)]) -> Value {
    let added: Vec<Value> = special
        .iter()
        .map(|(id, content)| {
            json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": true })
        })
        .collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "Digits", "individual_digits": true },
            { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true }
        ] },
        "post_processor": null,
        "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        "model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                   "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                   "vocab": vocabulary, "merges": merges }
    })
}

pub(super) fn byte_level() -> Result<ChatTokenizer, DataError> {
    let mut alphabet: Vec<String> = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet()
        .into_iter()
        .map(String::from)
        .collect();
    alphabet.sort_unstable();
    let tokens = SPECIAL_TOKENS.map(str::to_string).into_iter().chain(alphabet);
    let vocabulary = tokens.zip(0u32..).map(|(token, id)| (token, json!(id))).collect();
    from_vocabulary(vocabulary, Vec::new())
}

/// With SmolLM2's special tokens at ids 0 to 16, template and splitting of texts.
pub(super) fn from_vocabulary(vocabulary: Map<String, Value>, merges: Vec<Value>) -> Result<ChatTokenizer, DataError> {
    let special: Vec<(u32, String)> = (0..).zip(SPECIAL_TOKENS.map(str::to_string)).collect();
    let json = smollm2_json(vocabulary, merges, &special).to_string();
    ChatTokenizer::assemble(
        &built_in(),
        json.as_bytes(),
        None,
        ["<|im_start|>", "<|im_end|>", "<|im_end|>"],
    )
}

pub(super) fn from_folder(folder: &Path) -> Result<ChatTokenizer, DataError> {
    let path = folder.join("tokenizer.json");
    let json = read(&path)?;
    let config_path = folder.join("tokenizer_config.json");
    let config: Value = if config_path.exists() {
        serde_json::from_slice(&read(&config_path)?)
            .map_err(|error| DataError::tokenizer(&config_path, "tokenizer_config.json", "a JSON object", error))?
    } else {
        Value::Null
    };
    let eos = token(&config["eos_token"]).unwrap_or("<|im_end|>");
    let bos = token(&config["bos_token"]).unwrap_or(eos);
    let pad = token(&config["pad_token"]).unwrap_or(eos);
    let template_path = folder.join("chat_template.jinja");
    let template = if template_path.exists() {
        let bytes = read(&template_path)?;
        Some(String::from_utf8(bytes).map_err(|error| DataError::Template {
            reason: error.to_string(),
        })?)
    } else {
        let expected = "a string or a list with one named `default`";
        chat_template(&config["chat_template"])
            .map_err(|found| DataError::tokenizer(&config_path, "chat_template", expected, found))?
    };
    ChatTokenizer::assemble(&path, &json, template.as_deref(), [bos, eos, pad])
}

/// The text of a special token: a string, or an object that holds it.
fn token(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value["content"].as_str())
}

/// A template, or the one named `default` of several; what was found instead is the error.
fn chat_template(value: &Value) -> Result<Option<String>, String> {
    let template = match value {
        Value::Null => return Ok(None),
        Value::Array(named) => {
            let default = named.iter().find(|entry| entry["name"] == "default");
            default.and_then(|entry| entry["template"].as_str())
        }
        other => other.as_str(),
    };
    match template {
        Some(text) => Ok(Some(text.to_string())),
        None => Err(value.to_string().chars().take(80).collect()),
    }
}

pub(super) fn save(tokenizer: &ChatTokenizer, folder: &Path) -> Result<(), DataError> {
    std::fs::create_dir_all(folder).map_err(|source| DataError::io(folder, source))?;
    let path = folder.join("tokenizer.json");
    let json = tokenizer
        .tokenizer
        .to_string(true)
        .map_err(|error| DataError::tokenizer(&path, "tokenizer", "a tokenizer that can be written", error))?;
    std::fs::write(&path, json).map_err(|source| DataError::io(&path, source))?;
    let special = [tokenizer.bos, tokenizer.end_of_turn_id(), tokenizer.pad].map(|id| {
        tokenizer
            .token(id)
            .expect("special ids were looked up in this vocabulary")
    });
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": false,
        "bos_token": special[0], "eos_token": special[1], "pad_token": special[2],
        "unk_token": SPECIAL_TOKENS[0], "clean_up_tokenization_spaces": false, "model_max_length": 8192,
        "chat_template": tokenizer.template.source(),
    });
    let path = folder.join("tokenizer_config.json");
    std::fs::write(&path, format!("{config:#}\n")).map_err(|source| DataError::io(&path, source))
}
