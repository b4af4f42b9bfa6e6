//! `combination`: what a response consists of.

use super::Check;
use super::arguments::Arguments;
use crate::processor::FieldError;
use crate::python_text::strip;

/// The request first, whatever its case.
pub(super) fn repeat_prompt(arguments: &Arguments) -> Result<Check, FieldError> {
    let prompt = arguments.text("prompt_to_repeat")?.to_lowercase();
    Ok(Box::new(move |response, _| {
        Ok(strip(response).to_lowercase().starts_with(&prompt))
    }))
}

/// Two different texts with six asterisks between them. Nothing may stand before the first asterisks or after the last
/// ones instead of a text, but not between two of them.
pub(super) fn two_responses(_: &Arguments) -> Result<Check, FieldError> {
    Ok(Box::new(|response, _| {
        let parts: Vec<&str> = response.split("******").map(strip).collect();
        let inner = parts.get(1..parts.len() - 1).unwrap_or_default();
        if inner.contains(&"") {
            return Ok(false);
        }
        let texts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Ok(matches!(texts.as_slice(), [first, second] if first != second))
    }))
}
