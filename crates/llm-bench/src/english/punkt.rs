//! Where sentences end, by the Punkt method (Kiss and Strunk, *Computational Linguistics* 32, 2006) as nltk applies it: a
//! point, question or exclamation mark ends a sentence unless its word is an abbreviation, an initial or a number, and
//! what the model knows of the next word speaks against it.

mod words;

use std::ops::Range;

use super::English;
use crate::python_text::is_space;
use words::{closes, splits_words};

/// The sentences of a text, without the white space between them.
pub(super) fn sentences<'a>(text: &'a str, english: &English) -> Vec<&'a str> {
    let characters = Characters::new(text);
    let found = joined(&characters, &split(&characters, english));
    found.into_iter().map(|range| characters.text(range)).collect()
}

/// A text that is indexed by characters.
struct Characters<'a> {
    text: &'a str,
    list: Vec<char>,
    /// Byte at which each of them starts, and the length of the text.
    starts: Vec<usize>,
}

impl<'a> Characters<'a> {
    fn new(text: &'a str) -> Self {
        let starts = text.char_indices().map(|(start, _)| start);
        Self {
            text,
            list: text.chars().collect(),
            starts: starts.chain([text.len()]).collect(),
        }
    }

    fn text(&self, range: Range<usize>) -> &'a str {
        &self.text[self.starts[range.start]..self.starts[range.end]]
    }

    /// The first index from `start` whose character is not one of these.
    fn skip(&self, start: usize, skipped: impl Fn(char) -> bool) -> usize {
        let rest = self.list[start..].iter();
        start + rest.take_while(|&&c| skipped(c)).count()
    }

    fn trimmed_length(&self) -> usize {
        let space = self.list.iter().rev().take_while(|&&c| is_space(c)).count();
        self.list.len() - space
    }
}

/// A mark that may end a sentence.
struct Candidate {
    /// The word before the mark.
    word: Range<usize>,
    /// After the mark: a character that is part of no word, or white space and the next word.
    after: Range<usize>,
    /// Where the next sentence begins if this one ends.
    next: usize,
}

impl Candidate {
    /// The candidate with the mark at an index, if what follows allows for the end of a sentence. Its word is not known
    /// yet.
    fn at(characters: &Characters, mark: usize) -> Option<Self> {
        let start = mark + 1;
        let word = mark..mark;
        if splits_words(*characters.list.get(start)?) {
            let after = start..start + 1;
            return Some(Self {
                word,
                after,
                next: start,
            });
        }
        let next = characters.skip(start, char::is_whitespace);
        if start == next || next == characters.list.len() {
            return None;
        }
        let after = start..characters.skip(next, |c| !c.is_whitespace());
        Some(Self { word, after, next })
    }
}

/// Candidates, of which those in one word count once, by the last.
fn candidates(characters: &Characters) -> Vec<Candidate> {
    let (mut found, mut last): (Vec<Candidate>, Option<Candidate>) = (Vec::new(), None);
    let marks = (0..characters.list.len()).filter(|&index| matches!(characters.list[index], '.' | '?' | '!'));
    for mut candidate in marks.filter_map(|mark| Candidate::at(characters, mark)) {
        let before = last.as_ref().map_or(0..0, |last| last.word.clone());
        let mark = candidate.word.end;
        let space = (before.end + 1..mark)
            .rev()
            .find(|&index| is_ascii_space(characters.list[index]));
        candidate.word.start = space.map_or(before.start, |space| space + 1);
        found.extend(last.take().filter(|_| before.end <= candidate.word.start));
        last = Some(candidate);
    }
    found.extend(last);
    found
}

fn is_ascii_space(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

/// Sentences as their marks end them.
fn split(characters: &Characters, english: &English) -> Vec<Range<usize>> {
    let (mut sentences, mut start) = (Vec::new(), 0);
    for candidate in candidates(characters) {
        let context = characters.text(candidate.word.start..candidate.after.end);
        if words::end_inside(context, english) {
            sentences.push(start..candidate.word.end + 1);
            start = candidate.next;
        }
    }
    sentences.push(start..characters.trimmed_length().max(start));
    sentences
}

/// Gives closing quotation marks and brackets at the start of a sentence to the one before.
fn joined(characters: &Characters, sentences: &[Range<usize>]) -> Vec<Range<usize>> {
    let (mut joined, mut taken) = (Vec::new(), 0);
    for (index, sentence) in sentences.iter().enumerate() {
        let start = sentence.start + taken;
        let closing = sentences.get(index + 1).and_then(|next| closing(characters, next));
        let end;
        (end, taken) = closing.unwrap_or((sentence.end, 0));
        if start < end {
            joined.push(start..end);
        }
    }
    joined
}

/// Where the closing marks at the start of a sentence end, and how many characters of it they are with the white space
/// after them. White space, two hyphens or nothing must follow.
fn closing(characters: &Characters, sentence: &Range<usize>) -> Option<(usize, usize)> {
    let text = &characters.list[..sentence.end];
    let mut end = sentence.start;
    while text.get(end).is_some_and(|&c| closes(c)) {
        end += 1;
        let rest = characters.skip(end, char::is_whitespace).min(sentence.end);
        if rest > end || end == sentence.end || text[end..].starts_with(&['-', '-']) {
            return Some((end, rest - sentence.start));
        }
    }
    None
}
