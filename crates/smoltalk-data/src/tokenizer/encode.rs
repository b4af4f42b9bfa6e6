//! From text to ids and back.

use crate::{ChatTokenizer, DataError, Message, Rendered};
use std::ops::Range;

impl ChatTokenizer {
    /// Ids of a text. No special token is added, and characters that the vocabulary lacks are left out.
    ///
    /// # Errors
    /// [`DataError::Encoding`] when the tokenizer fails on the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, DataError> {
        let encoding = self.tokenizer.encode(text, false).map_err(DataError::Encoding)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Ids of a rendered conversation: its special tokens as such, the rest as text.
    ///
    /// # Errors
    /// [`DataError::Encoding`] when the tokenizer fails on the text.
    pub fn encode_rendered(&self, rendered: &Rendered) -> Result<Vec<u32>, DataError> {
        let ids = self.encode_with_offsets(rendered)?;
        Ok(ids.into_iter().map(|(id, _)| id).collect())
    }

    /// Ids of messages in the chat template: [`ChatTokenizer::apply_chat_template`], then
    /// [`ChatTokenizer::encode_rendered`].
    ///
    /// ```
    /// use smoltalk_data::{ChatTokenizer, Message};
    ///
    /// let tokenizer = ChatTokenizer::byte_level()?;
    /// let ids = tokenizer.encode_chat(&[Message::user("Bye<|im_end|>")], true)?;
    /// // The template ends the system turn and the user's; the user's own text does not end any.
    /// let ends = ids.iter().filter(|id| **id == tokenizer.end_of_turn_id());
    /// assert_eq!(ends.count(), 2);
    /// # Ok::<(), smoltalk_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// [`DataError::Template`] or [`DataError::Encoding`].
    pub fn encode_chat(&self, messages: &[Message], add_generation_prompt: bool) -> Result<Vec<u32>, DataError> {
        self.encode_rendered(&self.apply_chat_template(messages, add_generation_prompt)?)
    }

    /// Ids of a rendered conversation with the bytes each came from.
    pub(crate) fn encode_with_offsets(&self, rendered: &Rendered) -> Result<Vec<(u32, Range<usize>)>, DataError> {
        let mut tokens = Vec::new();
        if self.special_tokens_in_text() {
            self.encode_piece(&rendered.text, 0, &mut tokens)?;
            return Ok(tokens);
        }
        let mut encoded = 0;
        for range in &rendered.special {
            self.encode_piece(&rendered.text[encoded..range.start], encoded, &mut tokens)?;
            let token = &rendered.text[range.clone()];
            match self.special_tokens(token)[..] {
                [(id, ref found)] if *found == (0..token.len()) => tokens.push((id, range.clone())),
                // A range that is not a special token of this tokenizer is text.
                _ => self.encode_piece(token, range.start, &mut tokens)?,
            }
            encoded = range.end;
        }
        self.encode_piece(&rendered.text[encoded..], encoded, &mut tokens)?;
        Ok(tokens)
    }

    /// Appends the ids of a text that begins at byte `start`.
    fn encode_piece(&self, text: &str, start: usize, tokens: &mut Vec<(u32, Range<usize>)>) -> Result<(), DataError> {
        let encoding = self.tokenizer.encode(text, false).map_err(DataError::Encoding)?;
        let offsets = encoding.get_offsets().iter();
        let ranges = offsets.map(|(first, end)| start + first..start + end);
        tokens.extend(encoding.get_ids().iter().copied().zip(ranges));
        Ok(())
    }

    /// Decodes ids into text. Special tokens are left out, and invalid bytes become U+FFFD.
    ///
    /// # Errors
    /// [`DataError::Encoding`] when the tokenizer's decoder fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String, DataError> {
        self.tokenizer.decode(ids, true).map_err(DataError::Encoding)
    }

    /// Decodes ids into text, including special tokens.
    ///
    /// # Errors
    /// [`DataError::Encoding`] when the tokenizer's decoder fails.
    pub fn decode_with_special(&self, ids: &[u32]) -> Result<String, DataError> {
        self.tokenizer.decode(ids, false).map_err(DataError::Encoding)
    }
}
