//! The tokenizer part of a GGUF file.

use super::ChatTokenizer;
use super::specification::smollm2_json;
use crate::DataError;
use candle_core::quantized::gguf_file::{Content, Value};
use record_files::caught;
use serde_json::json;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// `tokenizer.ggml.token_type` of a control token such as `<|im_end|>`.
const CONTROL: i64 = 3;
const TEMPLATE: &str = "tokenizer.chat_template";

pub(super) fn read(path: &Path) -> Result<ChatTokenizer, DataError> {
    let content = content(path)?;
    let metadata = Metadata {
        path,
        content: &content,
    };
    let kind = metadata.text("tokenizer.ggml.pre")?;
    if kind != "smollm" {
        return Err(metadata.wrong("tokenizer.ggml.pre", "`smollm`", format!("`{kind}`")));
    }
    let tokens = metadata.texts("tokenizer.ggml.tokens")?;
    let merges = metadata.texts("tokenizer.ggml.merges")?;
    let merges = merges.into_iter().map(|merge| json!(merge)).collect();
    let vocabulary = tokens.iter().zip(0u32..);
    let vocabulary = vocabulary.map(|(token, id)| ((*token).to_string(), json!(id)));
    let specification = smollm2_json(vocabulary.collect(), merges, &metadata.special(&tokens)?).to_string();
    let eos = metadata.token("tokenizer.ggml.eos_token_id", &tokens)?;
    let bos = metadata.token_or("tokenizer.ggml.bos_token_id", &tokens, eos)?;
    let pad = metadata.token_or("tokenizer.ggml.padding_token_id", &tokens, eos)?;
    let template = if metadata.has(TEMPLATE) {
        Some(metadata.text(TEMPLATE)?)
    } else {
        None
    };
    ChatTokenizer::assemble(path, specification.as_bytes(), template, [bos, eos, pad])
}

fn content(path: &Path) -> Result<Content, DataError> {
    let file = File::open(path).map_err(|source| DataError::io(path, source))?;
    let read = caught(|| Content::read(&mut BufReader::new(file)));
    let read = read.and_then(|content| content.map_err(|error| error.to_string()));
    read.map_err(|found| DataError::tokenizer(path, "header", "a GGUF file", found))
}

struct Metadata<'a> {
    path: &'a Path,
    content: &'a Content,
}

impl<'a> Metadata<'a> {
    fn wrong(&self, key: &str, expected: &str, found: String) -> DataError {
        DataError::tokenizer(self.path, key, expected, found)
    }

    fn has(&self, key: &str) -> bool {
        self.content.metadata.contains_key(key)
    }

    /// Control tokens with their ids.
    fn special(&self, tokens: &[&str]) -> Result<Vec<(u32, String)>, DataError> {
        let types = self.integers("tokenizer.ggml.token_type")?;
        if types.len() != tokens.len() {
            let expected = format!("one type for each of {} tokens", tokens.len());
            return Err(self.wrong("tokenizer.ggml.token_type", &expected, types.len().to_string()));
        }
        let typed = (0u32..).zip(tokens.iter().zip(&types));
        let special = typed.filter(|(_, (_, kind))| **kind == CONTROL);
        Ok(special.map(|(id, (token, _))| (id, (*token).to_string())).collect())
    }

    /// The token whose id a key gives.
    fn token<'t>(&self, key: &str, tokens: &[&'t str]) -> Result<&'t str, DataError> {
        let id = self.integer(key)?;
        let token = usize::try_from(id).ok().and_then(|id| tokens.get(id).copied());
        token.ok_or_else(|| self.wrong(key, &format!("an id below {}", tokens.len()), id.to_string()))
    }

    /// The same, or another one where there is no such key.
    fn token_or<'t>(&self, key: &str, tokens: &[&'t str], default: &'t str) -> Result<&'t str, DataError> {
        if self.has(key) {
            self.token(key, tokens)
        } else {
            Ok(default)
        }
    }

    fn value(&self, key: &str) -> Result<&'a Value, DataError> {
        self.content
            .metadata
            .get(key)
            .ok_or_else(|| self.wrong(key, "a value", "no such key".to_string()))
    }

    fn text(&self, key: &str) -> Result<&'a str, DataError> {
        let value = self.value(key)?;
        value
            .to_string()
            .map(String::as_str)
            .map_err(|_| self.wrong(key, "a string", format!("{:?}", value.value_type())))
    }

    fn array(&self, key: &str) -> Result<&'a [Value], DataError> {
        let value = self.value(key)?;
        value
            .to_vec()
            .map(Vec::as_slice)
            .map_err(|_| self.wrong(key, "an array", format!("{:?}", value.value_type())))
    }

    fn texts(&self, key: &str) -> Result<Vec<&'a str>, DataError> {
        let text = |value: &'a Value| {
            value
                .to_string()
                .map(String::as_str)
                .map_err(|_| self.wrong(key, "strings", format!("{:?}", value.value_type())))
        };
        self.array(key)?.iter().map(text).collect()
    }

    fn integers(&self, key: &str) -> Result<Vec<i64>, DataError> {
        self.array(key)?
            .iter()
            .map(|value| self.as_integer(key, value))
            .collect()
    }

    fn integer(&self, key: &str) -> Result<i64, DataError> {
        self.as_integer(key, self.value(key)?)
    }

    fn as_integer(&self, key: &str, value: &Value) -> Result<i64, DataError> {
        match value {
            Value::U8(n) => Ok(i64::from(*n)),
            Value::I8(n) => Ok(i64::from(*n)),
            Value::U16(n) => Ok(i64::from(*n)),
            Value::I16(n) => Ok(i64::from(*n)),
            Value::U32(n) => Ok(i64::from(*n)),
            Value::I32(n) => Ok(i64::from(*n)),
            Value::I64(n) => Ok(*n),
            Value::U64(n) if i64::try_from(*n).is_ok() => Ok(*n as i64),
            other => Err(self.wrong(key, "an integer", format!("{:?}", other.value_type()))),
        }
    }
}
