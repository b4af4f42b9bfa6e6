//! Models and texts from the command line's paths and hub ids.

use crate::hub::HubFlags;
use crate::progress::Spinner;
use anyhow::{Context, Result};
use kallm::hub::ModelSource;
use kallm::open;
use smollm2_infer::Engine;
use smollm2_model::DecoderBackend;
use smoltalk_data::{ChatTokenizer, SystemPrompt};
use std::path::Path;

/// Opens a folder, a .gguf file or a hub id.
///
/// # Errors
/// When the model or its tokenizer cannot be read.
pub fn model<B: DecoderBackend>(source: &ModelSource, hub: &HubFlags, device: &B::Device) -> Result<Engine<B>> {
    let path = hub.model(source)?;
    let _spinner = Spinner::new(&format!("loading {source}"));
    Ok(Engine::open(&path, device)?)
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
    let rows = if path
        .extension()
        .is_some_and(|extension| extension == "txt" || extension == "md")
    {
        open::text_rows(path, tokenizer, length, tokens)
    } else {
        let source = hub.conversations(path)?;
        open::conversation_rows(&source, tokenizer, SystemPrompt::Default, length, tokens)
    };
    rows.with_context(|| path.display().to_string())
}
