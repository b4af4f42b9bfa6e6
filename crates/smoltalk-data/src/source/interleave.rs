//! Several sources as one.

use super::{Located, Source};
use crate::{Conversation, DataError, source::Place};
use std::collections::VecDeque;

/// The sources that have not ended; the next one to read is first.
struct InTurn(VecDeque<Located>);

pub(super) fn in_turn(
    sources: &[Source],
) -> impl Iterator<Item = Result<(Place, Conversation), DataError>> + Send + use<> {
    InTurn(sources.iter().map(Source::located).collect())
}

impl Iterator for InTurn {
    type Item = Result<(Place, Conversation), DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(mut source) = self.0.pop_front() {
            if let Some(found) = source.next() {
                self.0.push_back(source);
                return Some(found);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;

    fn source(texts: &[&str]) -> Source {
        let conversation = |text: &&str| Conversation {
            messages: vec![Message::user(*text)],
            source: None,
        };
        Source::from_conversations(texts.iter().map(conversation).collect())
    }

    fn texts(source: &Source) -> Vec<String> {
        let found = source
            .conversations()
            .map(|found| found.unwrap().messages[0].content.clone());
        found.collect()
    }

    #[test]
    fn sources_take_turns_until_all_have_ended() {
        let three = [source(&["a1", "a2", "a3"]), source(&[]), source(&["b1"])];
        let all = Source::interleave(three.to_vec());
        assert_eq!(texts(&all), ["a1", "b1", "a2", "a3"]);
        assert_eq!(texts(&all), ["a1", "b1", "a2", "a3"], "again from the first");
        assert!(texts(&Source::interleave(Vec::new())).is_empty());
    }

    #[test]
    fn a_split_of_the_whole_holds_out_what_splits_of_its_parts_hold_out() {
        let names: Vec<String> = (0..400).map(|index| format!("text {index}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (first, second) = (source(&names[..250]), source(&names[250..]));
        let (_, held_out) = Source::interleave(vec![first.clone(), second.clone()])
            .split(0.1)
            .unwrap();
        let mut whole = texts(&held_out);
        let mut parts: Vec<String> = [first, second]
            .iter()
            .flat_map(|part| texts(&part.clone().split(0.1).unwrap().1))
            .collect();
        whole.sort();
        parts.sort();
        assert_eq!(whole, parts);
        assert!((20..70).contains(&whole.len()), "{}", whole.len());
    }
}
