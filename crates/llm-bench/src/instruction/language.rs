//! `language`: which language a response is in.

use super::Check;
use super::arguments::Arguments;
use crate::english::English;
use crate::processor::FieldError;

/// The language with this ISO 639-1 code.
pub(super) fn response_language(arguments: &Arguments) -> Result<Check, FieldError> {
    let language = arguments.text("language")?.to_owned();
    Ok(Box::new(move |response, english| Ok(is(response, &language, english))))
}

/// Whether a text is in a language. One without anything to go by, such as a number, passes as any, as in the original.
pub(super) fn is(text: &str, language: &str, english: &English) -> bool {
    english.language(text).is_none_or(|found| found == language)
}
