//! `length_constraints`: words, sentences and paragraphs.

use super::Check;
use super::arguments::Arguments;
use crate::processor::FieldError;
use crate::python_text::{split, strip};

pub(super) fn number_words(arguments: &Arguments) -> Result<Check, FieldError> {
    let bound = arguments.bound("num_words", "relation")?;
    Ok(Box::new(move |response, english| {
        Ok(bound.admits(english.words(response)))
    }))
}

pub(super) fn number_sentences(arguments: &Arguments) -> Result<Check, FieldError> {
    let bound = arguments.bound("num_sentences", "relation")?;
    Ok(Box::new(move |response, english| {
        Ok(bound.admits(english.sentences(response).len()))
    }))
}

/// Exactly so many paragraphs with three asterisks between them. An empty one at either end does not count, one
/// elsewhere is a mistake.
pub(super) fn number_paragraphs(arguments: &Arguments) -> Result<Check, FieldError> {
    let count = arguments.count("num_paragraphs")?;
    Ok(Box::new(move |response, _| {
        let paragraphs: Vec<&str> = response.split("***").map(strip).collect();
        let inner = paragraphs.get(1..paragraphs.len() - 1).unwrap_or_default();
        let filled = paragraphs.iter().filter(|paragraph| !paragraph.is_empty()).count();
        Ok(!inner.contains(&"") && filled == count)
    }))
}

/// Exactly so many paragraphs with an empty line between them, one of which begins with a word. Which one is counted
/// with empty paragraphs, how many without.
pub(super) fn nth_paragraph_first_word(arguments: &Arguments) -> Result<Check, FieldError> {
    let (count, nth) = (arguments.count("num_paragraphs")?, arguments.count("nth_paragraph")?);
    if nth > count {
        return arguments.refuse("nth_paragraph", "at most `num_paragraphs`");
    }
    let word = arguments.text("first_word")?.to_lowercase();
    Ok(Box::new(move |response, _| {
        let paragraphs: Vec<&str> = response.split("\n\n").collect();
        let filled = paragraphs
            .iter()
            .filter(|paragraph| !strip(paragraph).is_empty())
            .count();
        let first = paragraphs.get(nth - 1).and_then(|paragraph| split(paragraph).next());
        Ok(filled == count && first.is_some_and(|first| first_word(first) == word))
    }))
}

/// A word in lower case, without quotation marks before it and without what follows its first punctuation mark.
fn first_word(word: &str) -> String {
    let word = word.trim_start_matches('\'').trim_start_matches('"');
    let end = word.find(['.', ',', '?', '!', '\'', '"']).unwrap_or(word.len());
    word[..end].chars().flat_map(char::to_lowercase).collect()
}
