//! Text from ids that arrive one by one.

use crate::{ChatTokenizer, DataError};
use std::sync::Arc;
use tokenizers::Tokenizer;

impl ChatTokenizer {
    /// A decoder for ids that arrive one by one.
    pub fn decode_stream(&self) -> DecodeStream {
        DecodeStream {
            tokenizer: Arc::clone(&self.tokenizer),
            pending: Vec::new(),
        }
    }
}

/// Decodes ids that arrive one by one. A character is returned with its last byte. Invalid bytes are returned as
/// U+FFFD, at the latest with the fifth token, possibly together with the first bytes of the next character.
#[derive(Debug)]
pub struct DecodeStream {
    tokenizer: Arc<Tokenizer>,
    pending: Vec<u32>,
}

impl DecodeStream {
    /// The text that `id` completes; empty while a character is still missing bytes.
    ///
    /// # Errors
    /// As [`ChatTokenizer::decode`].
    pub fn push(&mut self, id: u32) -> Result<String, DataError> {
        self.pending.push(id);
        let text = self.pending()?;
        // A character has at most four bytes and a token at least one: five tokens that do not end are no character.
        if text.ends_with('\u{FFFD}') && self.pending.len() < 5 {
            return Ok(String::new());
        }
        self.pending.clear();
        Ok(text)
    }

    /// The remaining text, with incomplete characters as U+FFFD.
    ///
    /// # Errors
    /// As [`ChatTokenizer::decode`].
    pub fn finish(self) -> Result<String, DataError> {
        self.pending()
    }

    fn pending(&self) -> Result<String, DataError> {
        self.tokenizer.decode(&self.pending, true).map_err(DataError::Encoding)
    }
}
