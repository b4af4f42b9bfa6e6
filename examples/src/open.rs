//! Models, tokenizers and texts from the command line's paths.

use crate::hub::HubFlags;
use anyhow::{Context, Result, bail};
use smollm2_model::DecoderBackend;
use smollm2_model::weights::{self, Loaded, ModelSource};
use smoltalk_data::{ChatTokenizer, Mask, Source, SystemPrompt};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A loaded model with its tokenizer.
pub struct Opened<B: DecoderBackend> {
    /// Weights, configuration and what the loader has to say.
    pub loaded: Loaded<B>,
    /// Tokenizer and chat template.
    pub tokenizer: ChatTokenizer,
    /// Folder or file the model came from; for a hub id its snapshot in the cache.
    pub path: PathBuf,
}

/// Opens a folder, a .gguf file or a hub id.
///
/// # Errors
/// When the model or its tokenizer cannot be read.
pub fn model<B: DecoderBackend>(source: &ModelSource, hub: &HubFlags, device: &B::Device) -> Result<Opened<B>> {
    let resolved = hub.model(source)?;
    let path = match &resolved {
        ModelSource::Gguf(path) | ModelSource::Folder(path) => path.clone(),
        ModelSource::Hub(model) => bail!("{} was not resolved to a folder", model.repo),
    };
    let tokenizer = ChatTokenizer::open(&path).with_context(|| format!("the tokenizer of {}", path.display()))?;
    let loaded = weights::load::<B>(&resolved, device)?;
    if tokenizer.vocab_size() > loaded.config.vocab_size {
        bail!(
            "the tokenizer has {} ids, but the model's vocabulary {}: they do not belong together",
            tokenizer.vocab_size(),
            loaded.config.vocab_size
        );
    }
    Ok(Opened {
        loaded,
        tokenizer,
        path,
    })
}

/// Rows of up to `length` token ids, `tokens` in all, from a text file or a source of conversations.
///
/// # Errors
/// When the path cannot be read or holds too little.
pub fn token_rows(
    path: &Path,
    hub: &HubFlags,
    tokenizer: &ChatTokenizer,
    length: usize,
    tokens: usize,
) -> Result<Vec<Vec<u32>>> {
    let is_text = |extension: &OsStr| extension == "txt" || extension == "md";
    let rows = if path.extension().is_some_and(is_text) {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        // The longest token has far fewer than 64 bytes, so this much text is always enough.
        let enough = text.char_indices().nth(tokens * 64).map_or(text.len(), |(end, _)| end);
        cut(tokenizer.encode(&text[..enough]), length, tokens)
    } else {
        conversation_rows(&hub.conversations(path)?, tokenizer, length, tokens)
    };
    rows.with_context(|| path.display().to_string())
}

/// As [`token_rows`], from conversations that are open already: the share of them that is trained on.
///
/// # Errors
/// When they cannot be read or hold too little.
pub fn conversation_rows(
    source: &Source,
    tokenizer: &ChatTokenizer,
    length: usize,
    tokens: usize,
) -> Result<Vec<Vec<u32>>> {
    let mut ids = Vec::new();
    for conversation in source.conversations() {
        let encoded = tokenizer.encode_conversation(&conversation?, Mask::All, SystemPrompt::Default)?;
        ids.extend(encoded.ids);
        if ids.len() >= tokens {
            break;
        }
    }
    cut(ids, length, tokens)
}

fn cut(mut ids: Vec<u32>, length: usize, tokens: usize) -> Result<Vec<Vec<u32>>> {
    ids.truncate(tokens);
    if ids.len() < 2 {
        bail!("expected at least 2 tokens of text, found {}", ids.len());
    }
    let rows = ids.chunks(length).filter(|row| row.len() > 1);
    Ok(rows.map(<[u32]>::to_vec).collect())
}
