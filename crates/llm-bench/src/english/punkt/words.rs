//! The words next to a mark, and whether a sentence ends at it.

use crate::english::English;
use crate::python_text::strip;

/// Whether a character stands after the end of a sentence and belongs to it.
pub(super) fn closes(c: char) -> bool {
    matches!(c, '"' | '\'' | ')' | ']' | '}') || is_quotation_mark(c)
}

/// Whether a character is part of no word. A point may be part of one.
pub(super) fn splits_words(c: char) -> bool {
    closes(c) || matches!(c, ';' | '*' | ':' | '@' | '(' | '{' | '[' | '?' | '!')
}

fn is_quotation_mark(c: char) -> bool {
    matches!(
        c,
        '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}' | '\u{ab}' | '\u{bb}'
    )
}

/// Whether a word can begin with it.
fn begins_word(c: char) -> bool {
    !matches!(
        c,
        '(' | '"' | '`' | '{' | '[' | ':' | ';' | '&' | '#' | '*' | '@' | ')' | '}' | ']' | '-' | ','
    )
}

/// A word or a mark, and what its form says.
struct Word {
    text: String,
    /// In lower case; one name for all numbers.
    kind: String,
    ends_sentence: bool,
    abbreviation: bool,
    ellipsis: bool,
}

const NUMBER: &str = "##number##";

impl Word {
    fn new(text: &str, english: &English) -> Self {
        let lower = text.to_lowercase();
        let mut word = Self {
            kind: if english.letters.is_number(&lower) {
                NUMBER.to_owned()
            } else {
                lower
            },
            text: text.to_owned(),
            ends_sentence: matches!(text, "." | "?" | "!"),
            abbreviation: false,
            ellipsis: text.len() > 1 && text.bytes().all(|b| b == b'.'),
        };
        if !word.ends_sentence && !word.ellipsis && text.ends_with('.') && !text.ends_with("..") {
            let stem = text[..text.len() - 1].to_lowercase();
            let last = stem.rsplit('-').next().unwrap_or(&stem);
            word.abbreviation = english.model.is_abbreviation(&stem) || english.model.is_abbreviation(last);
            word.ends_sentence = !word.abbreviation;
        }
        word
    }

    /// Without a point at the end.
    fn stem(&self) -> &str {
        match self.kind.strip_suffix('.') {
            Some(stem) if !stem.is_empty() => stem,
            _ => &self.kind,
        }
    }

    /// As it is looked up as the word after a mark: a point that ends a sentence is not part of it.
    fn as_next(&self) -> &str {
        if self.ends_sentence { self.stem() } else { &self.kind }
    }

    fn starts_upper(&self) -> bool {
        self.text.starts_with(char::is_uppercase)
    }

    fn starts_lower(&self) -> bool {
        self.text.starts_with(char::is_lowercase)
    }

    /// One letter and a point.
    fn is_initial(&self, english: &English) -> bool {
        let mut characters = self.text.chars();
        let letter = characters.next().is_some_and(|c| english.letters.is_letter(c));
        letter && characters.as_str() == "."
    }

    /// Whether a sentence begins with the word, by its case and the cases in which it has been seen; `None` where these
    /// do not tell.
    fn begins_sentence(&self, english: &English) -> Option<bool> {
        if matches!(self.text.as_str(), ";" | ":" | "," | "." | "!" | "?") {
            return Some(false);
        }
        let seen = english.model.seen(self.as_next());
        if self.starts_upper() && seen.lower() && !seen.upper_inside() {
            return Some(true);
        }
        if self.starts_lower() && (seen.upper() || !seen.lower_first()) {
            return Some(false);
        }
        None
    }

    /// Looks again whether a sentence ends with the word, now that the next one is known.
    fn decide(&mut self, next: &Word, english: &English) {
        if !self.text.ends_with('.') {
            return;
        }
        if english.model.is_collocation(self.stem(), next.as_next()) {
            self.ends_sentence = false;
            return;
        }
        let (initial, begins) = (self.is_initial(english), next.begins_sentence(english));
        if (self.abbreviation || self.ellipsis) && !initial {
            let starter = next.starts_upper() && english.model.is_starter(next.as_next());
            if begins == Some(true) || starter {
                self.ends_sentence = true;
                return;
            }
        }
        let name = initial && begins.is_none() && next.starts_upper() && !english.model.seen(next.as_next()).lower();
        if (initial || self.stem() == NUMBER) && (begins == Some(false) || name) {
            self.ends_sentence = false;
        }
    }
}

/// Whether a sentence ends within a context, not only with it.
pub(super) fn end_inside(context: &str, english: &English) -> bool {
    let lines = context.split('\n').filter(|line| !strip(line).is_empty());
    let mut words: Vec<Word> = lines.flat_map(words).map(|word| Word::new(&word, english)).collect();
    for index in 1..words.len() {
        let (before, after) = words.split_at_mut(index);
        before[index - 1].decide(&after[0], english);
    }
    words.pop();
    words.iter().any(|word| word.ends_sentence)
}

/// Words and marks of a line. A point stays with the word before it.
fn words(line: &str) -> Vec<String> {
    let line: Vec<char> = line.chars().collect();
    let (mut words, mut start) = (Vec::new(), 0);
    while start < line.len() {
        let length = match mark(&line, start) {
            0 if line[start].is_whitespace() => {
                start += 1;
                continue;
            }
            0 if begins_word(line[start]) => word(&line, start),
            0 => 1,
            mark => mark,
        };
        words.push(line[start..start + length].iter().collect());
        start += length;
    }
    words
}

/// How many characters form a mark: hyphens or points, two at least, or three points with white space between them at
/// least. 0 if they do not.
fn mark(line: &[char], start: usize) -> usize {
    for c in ['-', '.'] {
        let length = line[start..].iter().take_while(|&&found| found == c).count();
        if length > 1 {
            return length;
        }
    }
    let spaced = line[start..]
        .chunks_exact(2)
        .take_while(|pair| pair[0] == '.' && pair[1].is_whitespace());
    let spaced = spaced.count();
    let last = usize::from(line.get(start + 2 * spaced) == Some(&'.'));
    match (spaced + last).checked_sub(1) {
        Some(pairs) if pairs > 1 => 2 * pairs + 1,
        _ => 0,
    }
}

/// How long the word is that starts there.
fn word(line: &[char], start: usize) -> usize {
    let ends = (start + 1..line.len()).find(|&index| ends_word(line, index));
    ends.unwrap_or(line.len()) - start
}

/// Whether a word ends before an index. A comma is part of it if anything but a mark follows.
fn ends_word(line: &[char], index: usize) -> bool {
    breaks(line, index) || (line[index] == ',' && (index + 1 == line.len() || breaks(line, index + 1)))
}

fn breaks(line: &[char], index: usize) -> bool {
    line[index].is_whitespace() || splits_words(line[index]) || mark(line, index) > 0
}
