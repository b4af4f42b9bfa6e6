//! The tokenizer part of a GGUF file.

use super::ChatTokenizer;
use super::specification::smollm2_json;
use crate::DataError;
use gguf_file::{GgufError, GgufFile};
use serde_json::json;
use std::path::Path;

/// `tokenizer.ggml.token_type` of a control token such as `<|im_end|>`.
const CONTROL: i64 = 3;

pub(super) fn read(path: &Path) -> Result<ChatTokenizer, DataError> {
    let file = GgufFile::open(path)?;
    if file.text("tokenizer.ggml.pre")? != Some("smollm") {
        return Err(file.unexpected("tokenizer.ggml.pre", "`smollm`").into());
    }
    let vocabulary = Vocabulary {
        tokens: texts(&file, "tokenizer.ggml.tokens")?,
        file: &file,
    };
    let merges = texts(&file, "tokenizer.ggml.merges")?;
    let merges = merges.into_iter().map(|merge| json!(merge)).collect();
    let ids = vocabulary.tokens.iter().zip(0u32..);
    let ids = ids.map(|(token, id)| ((*token).to_string(), json!(id)));
    let specification = smollm2_json(ids.collect(), merges, &vocabulary.special()?).to_string();
    let key = "tokenizer.ggml.eos_token_id";
    let eos = vocabulary
        .token(key)?
        .ok_or_else(|| file.unexpected(key, "a token id"))?;
    let bos = vocabulary.token("tokenizer.ggml.bos_token_id")?.unwrap_or(eos);
    let pad = vocabulary.token("tokenizer.ggml.padding_token_id")?.unwrap_or(eos);
    let template = file.text("tokenizer.chat_template")?;
    ChatTokenizer::assemble(path, specification.as_bytes(), template, [bos, eos, pad])
}

fn texts<'a>(file: &'a GgufFile, key: &str) -> Result<Vec<&'a str>, GgufError> {
    file.texts(key)?
        .ok_or_else(|| file.unexpected(key, "an array of strings"))
}

struct Vocabulary<'a> {
    file: &'a GgufFile,
    tokens: Vec<&'a str>,
}

impl<'a> Vocabulary<'a> {
    /// Control tokens with their ids.
    fn special(&self) -> Result<Vec<(u32, String)>, GgufError> {
        let key = "tokenizer.ggml.token_type";
        let expected = format!("one type for each of {} tokens", self.tokens.len());
        let Some(types) = self.file.integers(key)? else {
            return Err(self.file.unexpected(key, expected));
        };
        if types.len() != self.tokens.len() {
            return Err(self.file.error(key, expected, types.len()));
        }
        let typed = (0u32..).zip(self.tokens.iter().zip(&types));
        let special = typed.filter(|(_, (_, kind))| **kind == CONTROL);
        Ok(special.map(|(id, (token, _))| (id, (*token).to_string())).collect())
    }

    /// The token whose id a key gives, if there is such a key.
    fn token(&self, key: &str) -> Result<Option<&'a str>, GgufError> {
        let Some(id) = self.file.integer(key)? else {
            return Ok(None);
        };
        let token = usize::try_from(id).ok().and_then(|id| self.tokens.get(id).copied());
        let token = token.ok_or_else(|| self.file.error(key, format!("an id below {}", self.tokens.len()), id))?;
        Ok(Some(token))
    }
}
