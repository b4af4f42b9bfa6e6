//! `change_case`: upper and lower case.

use super::arguments::Arguments;
use super::{Check, language};
use crate::processor::FieldError;
use crate::python_text::{is_lower, is_upper};

/// So many words in capital letters, or fewer.
pub(super) fn capital_word_frequency(arguments: &Arguments) -> Result<Check, FieldError> {
    let bound = arguments.bound("capital_frequency", "capital_relation")?;
    Ok(Box::new(move |response, english| {
        let words = english.tokens(response);
        Ok(bound.admits(words.iter().filter(|word| is_upper(word)).count()))
    }))
}

/// English in capital letters.
pub(super) fn english_capital(_: &Arguments) -> Result<Check, FieldError> {
    Ok(Box::new(|response, english| {
        Ok(is_upper(response) && language::is(response, "en", english))
    }))
}

/// English in small letters.
pub(super) fn english_lowercase(_: &Arguments) -> Result<Check, FieldError> {
    Ok(Box::new(|response, english| {
        Ok(is_lower(response) && language::is(response, "en", english))
    }))
}
