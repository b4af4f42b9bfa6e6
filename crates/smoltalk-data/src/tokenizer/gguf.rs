//! The tokenizer part of a GGUF file.

use super::ChatTokenizer;
use super::specification::smollm2_json;
use crate::DataError;
use candle_core::quantized::gguf_file::{Content, Value};
use serde_json::json;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// `tokenizer.ggml.token_type` of a control token such as `<|im_end|>`.
const CONTROL: i64 = 3;

pub(super) fn read(path: &Path) -> Result<ChatTokenizer, DataError> {
    let file = File::open(path).map_err(|source| DataError::io(path, source))?;
    let content = Content::read(&mut BufReader::new(file)).map_err(|error| DataError::Tokenizer {
        path: path.to_path_buf(),
        field: "header".to_string(),
        expected: "a GGUF file".to_string(),
        found: error.to_string(),
    })?;
    let metadata = Metadata {
        path,
        content: &content,
    };
    let kind = metadata.text("tokenizer.ggml.pre")?;
    if kind != "smollm" {
        return Err(metadata.wrong("tokenizer.ggml.pre", "`smollm`", format!("`{kind}`")));
    }
    let tokens = metadata.texts("tokenizer.ggml.tokens")?;
    let types = metadata.integers("tokenizer.ggml.token_type")?;
    if types.len() != tokens.len() {
        let expected = format!("one type for each of {} tokens", tokens.len());
        return Err(metadata.wrong("tokenizer.ggml.token_type", &expected, types.len().to_string()));
    }
    let merges = metadata
        .texts("tokenizer.ggml.merges")?
        .into_iter()
        .map(|merge| json!(merge))
        .collect();
    let special: Vec<(u32, String)> = (0u32..)
        .zip(tokens.iter().zip(&types))
        .filter(|(_, (_, kind))| **kind == CONTROL)
        .map(|(id, (token, _))| (id, (*token).to_string()))
        .collect();
    let named = |key: &str| -> Result<&str, DataError> {
        let id = metadata.integer(key)?;
        usize::try_from(id)
            .ok()
            .and_then(|id| tokens.get(id).copied())
            .ok_or_else(|| metadata.wrong(key, &format!("an id below {}", tokens.len()), id.to_string()))
    };
    let eos = named("tokenizer.ggml.eos_token_id")?;
    let bos = named("tokenizer.ggml.bos_token_id").unwrap_or(eos);
    let pad = named("tokenizer.ggml.padding_token_id").unwrap_or(eos);
    let vocabulary = tokens
        .iter()
        .zip(0u32..)
        .map(|(token, id)| ((*token).to_string(), json!(id)))
        .collect();
    let specification = smollm2_json(vocabulary, merges, &special).to_string();
    let template = content
        .metadata
        .get("tokenizer.chat_template")
        .and_then(|value| value.to_string().ok());
    ChatTokenizer::assemble(
        path,
        specification.as_bytes(),
        template.map(String::as_str),
        [bos, eos, pad],
    )
}

struct Metadata<'a> {
    path: &'a Path,
    content: &'a Content,
}

impl<'a> Metadata<'a> {
    fn wrong(&self, key: &str, expected: &str, found: String) -> DataError {
        DataError::Tokenizer {
            path: self.path.to_path_buf(),
            field: key.to_string(),
            expected: expected.to_string(),
            found,
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
