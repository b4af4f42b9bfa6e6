//! The tokenizer of models from scratch.

use super::folder::StudyFolder;
use super::plan::TokenizerPlan;
use crate::error::{OfPath, Result};
use crate::files::{create_folder, sync_all};
use smoltalk_data::{ChatTemplate, ChatTokenizer, DataError, SPECIAL_TOKENS, Source};
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The vocabulary size planned for a tokenizer; one learned from very little text has fewer ids.
pub(super) fn vocab_size(plan: &TokenizerPlan) -> usize {
    match plan {
        TokenizerPlan::Bytes => SPECIAL_TOKENS.len() + 256,
        TokenizerPlan::Bpe(tokens) => *tokens,
    }
}

/// A token for each byte. Without the default system sentence a row holds three times the conversations.
pub(super) fn bytes() -> Result<ChatTokenizer> {
    Ok(ChatTokenizer::byte_level()?.with_template(ChatTemplate::chatml()?))
}

/// The tokenizer in the study's folder, or else one learned from `training` and saved there. If several processes do so
/// at the same time, they learn the same tokenizer and use the one that was saved.
pub(super) fn learned(vocab_size: usize, training: &Source, folder: &StudyFolder) -> Result<ChatTokenizer> {
    let target = folder.tokenizer();
    if !target.is_dir() {
        let tokenizer = learn(vocab_size, training)?;
        publish(&tokenizer, folder.root(), &target)?;
    }
    Ok(ChatTokenizer::from_folder(&target)?)
}

fn learn(vocab_size: usize, training: &Source) -> Result<ChatTokenizer> {
    let failed = Mutex::new(None);
    let texts = training.conversations().map_while(|found| match found {
        Ok(conversation) => Some(conversation.messages),
        Err(error) if error.is_bad_record() => Some(Vec::new()),
        Err(error) => {
            note(&failed, error);
            None
        }
    });
    let texts = texts.flatten().map(|message| message.content);
    let tokenizer = ChatTokenizer::train_bpe(texts, vocab_size)?;
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error.into()),
        None => Ok(tokenizer.with_template(ChatTemplate::chatml()?)),
    }
}

/// Stores the error that ends the texts, since the tokenizers library accepts only texts.
fn note(place: &Mutex<Option<DataError>>, error: DataError) {
    place
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get_or_insert(error);
}

/// Puts a tokenizer into a folder that appears once it is complete.
fn publish(tokenizer: &ChatTokenizer, root: &Path, target: &Path) -> Result<()> {
    let staging = tempfile::Builder::new().prefix("tokenizer.partial-").tempdir_in(root);
    let staging = staging.of_path("create a folder in", root)?;
    let staged = staging.path().join("tokenizer");
    create_folder(&staged)?;
    tokenizer.save(&staged)?;
    sync_all(&staged)?;
    match fs::rename(&staged, target) {
        // Another process was first.
        Err(_) if target.is_dir() => Ok(()),
        renamed => renamed.of_path("write", target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_bytes_is_known_before() {
        assert_eq!(bytes().unwrap().vocab_size(), vocab_size(&TokenizerPlan::Bytes));
    }
}
