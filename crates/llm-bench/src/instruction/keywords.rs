//! `keywords`: words and letters that a response must have, or must not have. Words are regular expressions.

use super::Check;
use super::arguments::Arguments;
use crate::english::English;
use crate::expression::{Expression, ExpressionError};
use crate::processor::FieldError;

/// Python's `\b`, whose words consist of letters, numbers and underscores. Ours count combining marks in.
const BOUNDARY: &str = r"(?:(?<=[\p{L}\p{N}_])(?![\p{L}\p{N}_])|(?<![\p{L}\p{N}_])(?=[\p{L}\p{N}_]))";

/// Every keyword.
pub(super) fn existence(arguments: &Arguments) -> Result<Check, FieldError> {
    let keywords = arguments.texts("keywords")?.into_iter();
    let keywords = keywords.map(|keyword| arguments.expression(Expression::ignoring_case(keyword)));
    let keywords = keywords.collect::<Result<Vec<_>, _>>()?;
    Ok(Box::new(move |response, _| {
        for keyword in &keywords {
            if !keyword.is_in(response)? {
                return Ok(false);
            }
        }
        Ok(true)
    }))
}

/// None of these as a word of its own.
pub(super) fn forbidden_words(arguments: &Arguments) -> Result<Check, FieldError> {
    let words = arguments.texts("forbidden_words")?.into_iter();
    let words = words
        .map(|word| Forbidden::new(arguments, word))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Box::new(move |response, english| {
        for word in &words {
            if word.is_in(response, english)? {
                return Ok(false);
            }
        }
        Ok(true)
    }))
}

enum Forbidden {
    /// Letters and digits. What is next to them is looked at here: an expression for it takes milliseconds to compile.
    Word(Expression),
    Pattern(Expression),
}

impl Forbidden {
    fn new(arguments: &Arguments, word: &str) -> Result<Self, FieldError> {
        if word.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Ok(Self::Word(arguments.expression(Expression::ignoring_case(word))?));
        }
        let pattern = Expression::ignoring_case(&format!("{BOUNDARY}{word}{BOUNDARY}"));
        Ok(Self::Pattern(arguments.expression(pattern)?))
    }

    fn is_in(&self, text: &str, english: &English) -> Result<bool, ExpressionError> {
        let word = match self {
            Self::Pattern(pattern) => return pattern.is_in(text),
            Self::Word(word) => word,
        };
        for range in word.ranges(text)? {
            let (before, after) = (&text[..range.start], &text[range.end..]);
            let inside = before.ends_with(|c| english.is_letter(c)) || after.starts_with(|c| english.is_letter(c));
            if !inside {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A keyword so many times, or fewer.
pub(super) fn frequency(arguments: &Arguments) -> Result<Check, FieldError> {
    let keyword = arguments.expression(Expression::ignoring_case(arguments.text("keyword")?))?;
    let bound = arguments.bound("frequency", "relation")?;
    Ok(Box::new(move |response, _| Ok(bound.admits(keyword.count(response)?))))
}

/// A letter so many times, or fewer, whatever its case. Two documents ask for `#` and `!`: the original draws a random
/// letter in their place, here they are counted.
pub(super) fn letter_frequency(arguments: &Arguments) -> Result<Check, FieldError> {
    let lower = arguments.text("letter")?.to_lowercase();
    let mut characters = lower.chars();
    let (Some(letter), None) = (characters.next(), characters.next()) else {
        return arguments.refuse("letter", "one character");
    };
    let bound = arguments.bound("let_frequency", "let_relation")?;
    Ok(Box::new(move |response, _| {
        let lower = response.to_lowercase();
        Ok(bound.admits(lower.chars().filter(|&c| c == letter).count()))
    }))
}
