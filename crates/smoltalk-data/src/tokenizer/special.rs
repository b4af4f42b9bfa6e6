//! Distinguishes special tokens written by the chat template from text that only looks like one.

use super::ChatTokenizer;
use crate::{ChatTemplate, DataError, Message};
use std::collections::HashSet;
use std::ops::{Range, RangeInclusive};
use tokenizers::{OffsetReferential, OffsetType};

const PRIVATE_USE: RangeInclusive<char> = '\u{E000}'..='\u{F8FF}';

/// A conversation as the chat template writes it, and where the template's special tokens are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The text, byte for byte as transformers renders it.
    pub text: String,
    /// Byte ranges of the special tokens that the template itself wrote, in order. Everything outside of them is text,
    /// even where a message spells out a special token.
    pub special: Vec<Range<usize>>,
}

/// Characters put into messages before rendering and removed afterwards. No message contains them.
struct Markers {
    /// In front of a special token that a message spells out.
    token: char,
    /// Within the beginning of a special token at the end of a message, so that nothing after it can complete it.
    gap: char,
}

impl ChatTokenizer {
    /// The messages as `template` writes them, with the template's own special tokens located: they are the special
    /// tokens in the rendered text that do not carry a marker.
    pub(crate) fn render(
        &self,
        template: &ChatTemplate,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<Rendered, DataError> {
        let markers = Markers::unused_in(template, messages)?;
        let marked: Vec<Message> = messages
            .iter()
            .map(|message| {
                Message::new(
                    self.marked(&message.role, &markers),
                    self.marked(&message.content, &markers),
                )
            })
            .collect();
        let text = template.render(&marked, add_generation_prompt)?;
        let markers = [markers.token, markers.gap];
        let mut rendered = Rendered::default();
        let mut copied = 0;
        for (_, range) in self.special_tokens(&text) {
            if text[..range.start].ends_with(markers[0]) {
                continue;
            }
            rendered.text.extend(text[copied..range.start].split(markers));
            let start = rendered.text.len();
            rendered.text.extend(text[range.clone()].split(markers));
            rendered.special.push(start..rendered.text.len());
            copied = range.end;
        }
        rendered.text.extend(text[copied..].split(markers));
        Ok(rendered)
    }

    fn marked(&self, text: &str, markers: &Markers) -> String {
        // White space may belong to a token; a marker in front of it could change what a template trims.
        let spelled_out = self.special_tokens(text).into_iter();
        let mut places: Vec<(usize, char)> = spelled_out
            .map(|(_, range)| (range.end - text[range].trim_start().len(), markers.token))
            .collect();
        places.extend(self.unfinished_token(text).map(|place| (place, markers.gap)));
        places.sort_unstable();
        let mut marked = text.to_string();
        for (place, marker) in places.into_iter().rev() {
            marked.insert(place, marker);
        }
        marked
    }

    /// The place behind the first character of a special token that the text ends in the middle of.
    fn unfinished_token(&self, text: &str) -> Option<usize> {
        let text = text.trim_end();
        let tokens = self.recognizer.get_added_tokens_decoder().values();
        let unfinished = tokens.filter(|token| token.special).filter_map(|token| {
            let ends = token.content.char_indices().map(|(end, _)| end).skip(1);
            let length = ends.filter(|end| text.ends_with(&token.content[..*end])).max()?;
            let first = token.content.chars().next()?;
            Some(text.len() - length + first.len_utf8())
        });
        unfinished.min()
    }

    /// Every special token spelled out in a text: its id and its bytes, with the white space that belongs to it.
    pub(super) fn special_tokens(&self, text: &str) -> Vec<(u32, Range<usize>)> {
        let split = self
            .recognizer
            .extract_and_normalize(self.tokenizer.get_normalizer(), text);
        let pieces = split.get_splits(OffsetReferential::Original, OffsetType::Byte);
        let tokens = pieces.into_iter().filter_map(|(_, (start, end), tokens)| {
            let id = tokens.as_ref()?.first()?.id;
            let token = self.recognizer.get_added_tokens_decoder().get(&id)?;
            token.special.then_some((id, start..end))
        });
        tokens.collect()
    }
}

impl Markers {
    fn unused_in(template: &ChatTemplate, messages: &[Message]) -> Result<Self, DataError> {
        let texts = messages.iter().flat_map(|message| [&message.role, &message.content]);
        let texts = texts.map(String::as_str).chain([template.source()]);
        let used: HashSet<char> = texts
            .flat_map(str::chars)
            .filter(|character| PRIVATE_USE.contains(character))
            .collect();
        let mut unused = PRIVATE_USE.filter(|character| !used.contains(character));
        match (unused.next(), unused.next()) {
            (Some(token), Some(gap)) => Ok(Self { token, gap }),
            _ => Err(DataError::Template {
                reason: "the messages use every character of Unicode's private use area".to_string(),
            }),
        }
    }
}
