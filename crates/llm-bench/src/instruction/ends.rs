//! `startend`: how a response begins and ends. `punctuation`: commas.

use super::Check;
use super::arguments::Arguments;
use crate::processor::FieldError;
use crate::python_text::strip;

/// A phrase at the end, whatever its case; quotation marks may follow it.
pub(super) fn end_checker(arguments: &Arguments) -> Result<Check, FieldError> {
    let phrase = arguments.text("end_phrase")?.to_lowercase();
    Ok(Box::new(move |response, _| {
        let end = strip(response).trim_matches('"').to_lowercase();
        Ok(end.ends_with(&phrase))
    }))
}

/// Quotation marks round the whole.
pub(super) fn quotation(_: &Arguments) -> Result<Check, FieldError> {
    Ok(Box::new(|response, _| {
        let quoted = strip(response).strip_prefix('"');
        Ok(quoted.is_some_and(|rest| rest.ends_with('"')))
    }))
}

pub(super) fn no_comma(_: &Arguments) -> Result<Check, FieldError> {
    Ok(Box::new(|response, _| Ok(!response.contains(','))))
}
