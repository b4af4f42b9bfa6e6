//! Which tokens of a conversation are trained on.

use crate::{ChatTemplate, ChatTokenizer, Conversation, DataError, Message};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Most messages of a conversation whose assistant's words are looked for: the template writes it anew for each of them.
const MOST_MESSAGES: usize = 2000;

/// Which tokens count as targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mask {
    /// Every token, as the published recipe trains.
    #[default]
    All,
    /// What the assistant says and the token that ends its turn; not the turn's header.
    AssistantOnly,
}

/// What a conversation without a system turn is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemPrompt {
    /// What the template gives: SmolLM2's default sentence. The same at inference.
    #[default]
    Default,
    /// An empty system turn, as TRL before 0.12 trains with alignment-handbook's recipe.
    Empty,
    /// No system turn: plain ChatML.
    None,
}

/// Ids of one conversation and whether each counts as a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokenized {
    /// Token ids.
    pub ids: Vec<u32>,
    /// `loss_mask[i]`: whether `ids[i]` is a target. As long as `ids`.
    pub loss_mask: Vec<bool>,
}

impl ChatTokenizer {
    /// Ids and loss mask of a conversation. One without messages has none, whatever the template would write.
    ///
    /// The text of a special token within a message, `<|im_end|>` say, becomes that token, exactly as in
    /// `apply_chat_template` of transformers; there is no option against it, because a model would then train on ids
    /// it never meets. The mask goes by position, so such a token in the user's words is no target, and one in the
    /// assistant's words does not end its turn. Whoever does not trust the words escapes them before.
    ///
    /// # Errors
    /// [`DataError::Template`]; [`DataError::NotAPrefix`] when the template gives turns no fixed place;
    /// [`DataError::TooManyMessages`] above 2,000 under [`Mask::AssistantOnly`].
    pub fn encode_conversation(
        &self,
        conversation: &Conversation,
        mask: Mask,
        system: SystemPrompt,
    ) -> Result<Tokenized, DataError> {
        let mut messages = conversation.messages.clone();
        let Some(first) = messages.first() else {
            return Ok(Tokenized::default());
        };
        let has_system = first.role == "system";
        if system == SystemPrompt::Empty && !has_system {
            messages.insert(
                0,
                Message {
                    role: "system".to_string(),
                    content: String::new(),
                },
            );
        }
        let plain;
        let template = match system {
            SystemPrompt::None => {
                plain = ChatTemplate::chatml()?;
                &plain
            }
            _ => self.template(),
        };
        let text = template.render(&messages, false)?;
        let spans = match mask {
            Mask::All => std::iter::once(0..text.len()).collect(),
            Mask::AssistantOnly => self.assistant_spans(template, &messages, &text)?,
        };
        Ok(self.within(&text, &spans))
    }

    /// Ids of a text; targets are those within one of the spans, which are in order.
    fn within(&self, text: &str, spans: &[Range<usize>]) -> Tokenized {
        let mut tokenized = Tokenized::default();
        let mut spans = spans.iter().peekable();
        for (id, bytes) in self.encode_with_offsets(text) {
            while spans.next_if(|span| span.end < bytes.end).is_some() {}
            // A token that begins before the span belongs to the header, even if it reaches into the span.
            let is_target = spans.peek().is_some_and(|span| span.start <= bytes.start);
            tokenized.ids.push(id);
            tokenized.loss_mask.push(is_target);
        }
        tokenized
    }

    /// Byte ranges of the assistant's words, each with the token that ends its turn.
    fn assistant_spans(
        &self,
        template: &ChatTemplate,
        messages: &[Message],
        text: &str,
    ) -> Result<Vec<Range<usize>>, DataError> {
        if messages.len() > MOST_MESSAGES {
            return Err(DataError::TooManyMessages {
                most: MOST_MESSAGES,
                found: messages.len(),
            });
        }
        let end_of_turn = self.decode_with_special(&[self.end_of_turn(template)]);
        let mut spans = Vec::new();
        for (index, message) in messages
            .iter()
            .enumerate()
            .filter(|(_, message)| message.role == "assistant")
        {
            let before = template.render(&messages[..index], true)?;
            let through = template.render(&messages[..=index], false)?;
            // Rendering an empty list has no system turn, so an opening assistant turn is found from its end.
            let before = if index == 0 {
                through
                    .len()
                    .saturating_sub(message.content.len() + trailer(&through, &end_of_turn))
            } else {
                before.len() * usize::from(text.starts_with(&before))
            };
            if !text.starts_with(&through) || before == 0 {
                return Err(DataError::NotAPrefix { message: index });
            }
            let end = through.len() - trailer(&through, &end_of_turn) + end_of_turn.len();
            spans.push(before..end.min(through.len()));
        }
        Ok(spans)
    }
}

/// Bytes of the end-of-turn token and the white space after it; 0 when the turn does not end with one.
fn trailer(text: &str, end_of_turn: &str) -> usize {
    let trimmed = text.trim_end();
    if trimmed.ends_with(end_of_turn) {
        text.len() - trimmed.len() + end_of_turn.len()
    } else {
        0
    }
}
