//! Determines which tokens of a conversation are training targets.

use crate::{ChatTemplate, ChatTokenizer, Conversation, DataError, Message, Rendered};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Maximum number of messages under [`Mask::AssistantOnly`]: the template is rendered once per assistant turn.
const MOST_MESSAGES: usize = 2000;

/// Which tokens count as targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mask {
    /// Every token, as the published recipe trains.
    #[default]
    All,
    /// The assistant's text and the token that ends its turn; not the turn's header.
    AssistantOnly,
}

/// The system turn for conversations without one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemPrompt {
    /// The system turn of the template: SmolLM2's default sentence, as at inference.
    #[default]
    Default,
    /// An empty system turn, as TRL before 0.12 trains with alignment-handbook's recipe.
    Empty,
    /// No system turn: plain ChatML, for templates that are ChatML.
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
    /// Ids and loss mask of a conversation. Both are empty if it has no messages, even if the template writes
    /// something.
    ///
    /// The text of a special token within a message, `<|im_end|>` say, is text (see [`ChatTokenizer`]).
    ///
    /// # Errors
    /// [`DataError::Template`], also for [`SystemPrompt::None`] with a template that is not ChatML;
    /// [`DataError::NotAPrefix`] when the template changes earlier turns; [`DataError::TooManyMessages`] above
    /// 2,000 under [`Mask::AssistantOnly`]; [`DataError::Encoding`].
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
        if system == SystemPrompt::Empty && first.role != "system" {
            messages.insert(0, Message::system(""));
        }
        let template = self.template_with(system)?;
        let rendered = self.render(template, &messages, false)?;
        let spans = match mask {
            Mask::All => std::iter::once(0..rendered.text.len()).collect(),
            Mask::AssistantOnly => self.assistant_spans(template, &messages, &rendered.text)?,
        };
        self.within(&rendered, &spans)
    }

    fn template_with(&self, system: SystemPrompt) -> Result<&ChatTemplate, DataError> {
        if system != SystemPrompt::None {
            return Ok(self.template());
        }
        if !self.template().is_chatml() {
            return Err(DataError::Template {
                reason:
                    "expected ChatML (`<|im_start|>` and `<|im_end|>`) for the system prompt `none`, found another \
                         format; use the system prompt `default` or `empty`"
                        .to_string(),
            });
        }
        Ok(self.chatml())
    }

    /// Ids of a conversation; targets are those within one of the spans, which are in order.
    fn within(&self, rendered: &Rendered, spans: &[Range<usize>]) -> Result<Tokenized, DataError> {
        let mut tokenized = Tokenized::default();
        let mut spans = spans.iter().peekable();
        for (id, bytes) in self.encode_with_offsets(rendered)? {
            while spans.next_if(|span| span.end < bytes.end).is_some() {}
            // A token that begins before the span belongs to the header, even if it reaches into the span.
            let is_target = spans.peek().is_some_and(|span| span.start <= bytes.start);
            tokenized.ids.push(id);
            tokenized.loss_mask.push(is_target);
        }
        Ok(tokenized)
    }

    /// Byte ranges of the assistant's text, each with the token that ends its turn.
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
        let end_of_turn = self.decode_with_special(&[self.end_of_turn(template)])?;
        let mut spans = Vec::new();
        for (index, message) in messages
            .iter()
            .enumerate()
            .filter(|(_, message)| message.role == "assistant")
        {
            let through = template.render(&messages[..=index], false)?;
            let trailer = trailer(&through, &end_of_turn);
            let start = if index == 0 {
                // The template writes a system turn before messages, but none before no messages.
                start_of_end(&through[..through.len() - trailer], &message.content)
            } else {
                let before = template.render(&messages[..index], true)?;
                text.starts_with(&before).then_some(before.len())
            };
            let start = start.filter(|start| *start > 0 && text.starts_with(&through));
            let start = start.ok_or(DataError::NotAPrefix { message: index })?;
            let end = through.len() - trailer + end_of_turn.len();
            spans.push(start..end.min(through.len()));
        }
        Ok(spans)
    }
}

/// Where `content`, which a template may have trimmed, begins at the end of `text`.
fn start_of_end(text: &str, content: &str) -> Option<usize> {
    let forms = [content, content.trim_start(), content.trim_end(), content.trim()];
    let found = forms.into_iter().find(|form| text.ends_with(form));
    found.map(|form| text.len() - form.len())
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
