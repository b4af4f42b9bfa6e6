//! Decodes tokens to text one by one, up to a stop string.

use smoltalk_data::{ChatTokenizer, DataError, DecodeStream};

/// Turns the ids of one row into text. A character is emitted with its last byte, and text that may begin a stop
/// string once it cannot any more. Each token costs as much as the longest stop string is long, however long the text.
#[derive(Debug)]
pub(crate) struct TextStream {
    tokenizer: ChatTokenizer,
    decoder: DecodeStream,
    stops: Vec<Vec<char>>,
    held: Vec<Letter>,
}

/// A character, and whether it is only there to be compared with stop strings.
#[derive(Clone, Copy, Debug)]
struct Letter {
    letter: char,
    special: bool,
}

/// How much of a stop string a text holds at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Match {
    None,
    Begun,
    Complete,
}

impl TextStream {
    /// `stops` are not empty.
    pub(crate) fn new(tokenizer: &ChatTokenizer, stops: &[String]) -> Self {
        Self {
            tokenizer: tokenizer.clone(),
            decoder: tokenizer.decode_stream(),
            stops: stops.iter().map(|stop| stop.chars().collect()).collect(),
            held: Vec::new(),
        }
    }

    /// The text that `id` completes, and whether it completes a stop string, before which the text then ends.
    pub(crate) fn push(&mut self, id: u32) -> Result<(String, bool), DataError> {
        let text = self.decoder.push(id)?;
        if self.stops.is_empty() {
            return Ok((text, false));
        }
        self.hold(&text, false);
        // A special token has no text of its own; what came with it are bytes before it that are no character.
        if self.tokenizer.decode(&[id])?.is_empty() {
            self.hold(&self.tokenizer.decode_with_special(&[id])?, true);
        }
        if let Some(start) = self.first(Match::Complete) {
            return Ok((self.give_out(start), true));
        }
        let begun = self.first(Match::Begun).unwrap_or(self.held.len());
        Ok((self.give_out(begun), false))
    }

    /// What is left when no token follows; incomplete characters as U+FFFD.
    pub(crate) fn finish(&mut self) -> Result<String, DataError> {
        let decoder = std::mem::replace(&mut self.decoder, self.tokenizer.decode_stream());
        self.hold(&decoder.finish()?, false);
        Ok(self.give_out(self.held.len()))
    }

    fn hold(&mut self, text: &str, special: bool) {
        self.held.extend(text.chars().map(|letter| Letter { letter, special }));
    }

    /// Where the first stop string begins that the text held matches so far.
    fn first(&self, wanted: Match) -> Option<usize> {
        (0..self.held.len()).find(|start| self.stops.iter().any(|stop| self.matched(*start, stop) == wanted))
    }

    /// How far a stop string is in the text held from `start`: with the text of special tokens, or without.
    fn matched(&self, start: usize, stop: &[char]) -> Match {
        let held = &self.held[start..];
        let all = matched(held.iter(), stop);
        if held[0].special {
            return all;
        }
        all.max(matched(held.iter().filter(|letter| !letter.special), stop))
    }

    /// The first `count` characters held, less those of special tokens.
    fn give_out(&mut self, count: usize) -> String {
        let given = self.held.drain(..count).filter(|letter| !letter.special);
        given.map(|letter| letter.letter).collect()
    }
}

fn matched<'a>(mut text: impl Iterator<Item = &'a Letter>, stop: &[char]) -> Match {
    for expected in stop {
        match text.next() {
            None => return Match::Begun,
            Some(found) if found.letter != *expected => return Match::None,
            Some(_) => {}
        }
    }
    Match::Complete
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text after every id, and whether a stop string ended it.
    fn streamed(stops: &[&str], ids: &[u32]) -> (Vec<String>, bool) {
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut stream = TextStream::new(&ChatTokenizer::byte_level().unwrap(), &stops);
        let mut texts = Vec::new();
        for id in ids {
            let (text, stopped) = stream.push(*id).unwrap();
            texts.push(text);
            if stopped {
                return (texts, true);
            }
        }
        texts.push(stream.finish().unwrap());
        (texts, false)
    }

    fn ids(text: &str) -> Vec<u32> {
        ChatTokenizer::byte_level().unwrap().encode(text).unwrap()
    }

    #[test]
    fn a_stop_string_is_found_across_tokens_and_held_back_until_then() {
        let (texts, stopped) = streamed(&["cde", "never"], &ids("abccdef"));
        assert_eq!(
            (texts, stopped),
            (["a", "b", "", "c", "", ""].map(str::to_owned).to_vec(), true)
        );
        let (texts, stopped) = streamed(&["cde"], &ids("abcd"));
        assert_eq!((texts.concat(), stopped), ("abcd".to_owned(), false));
        assert_eq!(texts.last().map(String::as_str), Some("cd"));
    }

    #[test]
    fn a_stop_string_inside_one_that_has_begun_ends_the_text_where_it_begins() {
        assert_eq!(
            streamed(&["abcX", "b"], &ids("abc")),
            (vec!["".into(), "a".into()], true)
        );
        let (texts, stopped) = streamed(&["aab"], &ids("aaab"));
        assert_eq!((texts.concat(), stopped), ("a".to_owned(), true));
    }

    #[test]
    fn characters_of_several_bytes_are_complete_and_may_stop() {
        let (texts, stopped) = streamed(&["é🦀"], &ids("né🦀"));
        assert_eq!((texts.concat(), stopped), ("n".to_owned(), true));
        let (texts, stopped) = streamed(&[], &ids("é🦀"));
        assert_eq!((texts.concat(), stopped), ("é🦀".to_owned(), false));
        let (texts, _) = streamed(&["x"], &ids("é")[..1]);
        assert_eq!(texts.concat(), "\u{FFFD}");
    }

    #[test]
    fn the_text_of_a_special_token_stops_and_is_never_given_out() {
        let tokenizer = ChatTokenizer::byte_level().unwrap();
        let end = tokenizer.end_of_turn_id();
        let with_end = [ids("ab"), vec![end], ids("c")].concat();
        let (texts, stopped) = streamed(&["<|im_end|>"], &with_end);
        assert_eq!((texts.concat(), stopped), ("ab".to_owned(), true));
        let (texts, stopped) = streamed(&["<|im_end|>x"], &with_end);
        assert_eq!((texts.concat(), stopped), ("abc".to_owned(), false));
        let (texts, stopped) = streamed(&["b<|im_end|>c"], &with_end);
        assert_eq!((texts.concat(), stopped), ("a".to_owned(), true));
        // After as many incomplete bytes as are waited for, too.
        let crab = ids("🦀")[0];
        let after_bytes = [vec![crab; 4], vec![end], ids("c")].concat();
        let (texts, stopped) = streamed(&["<|im_end|>"], &after_bytes);
        assert_eq!((texts.concat(), stopped), ("\u{FFFD}".repeat(4), true));
        // Nor does it keep a stop string apart that the text then holds.
        let (texts, stopped) = streamed(&["bc"], &with_end);
        assert_eq!((texts.concat(), stopped), ("a".to_owned(), true));
    }
}
