//! `detectable_content`: placeholders and postscripts.

use super::Check;
use super::arguments::Arguments;
use crate::expression::{Expression, SPACE};
use crate::processor::FieldError;

/// At least so many `[placeholders]`.
pub(super) fn number_placeholders(arguments: &Arguments) -> Result<Check, FieldError> {
    let count = arguments.count("num_placeholders")?;
    Ok(Box::new(move |response, _| {
        Ok(response.split('\n').map(placeholders).sum::<usize>() >= count)
    }))
}

/// Brackets that open, each with the next that closes.
fn placeholders(line: &str) -> usize {
    let (mut count, mut rest) = (0, line);
    while let Some((_, inside)) = rest.split_once('[') {
        let Some((_, after)) = inside.split_once(']') else {
            break;
        };
        (count, rest) = (count + 1, after);
    }
    count
}

/// A postscript. Two markers may have a blank after their first points; another one is an expression.
pub(super) fn postscript(arguments: &Arguments) -> Result<Check, FieldError> {
    let expression = match arguments.text("postscript_marker")? {
        "P.P.S" => Expression::new(&format!(r"p\.{SPACE}?p\.{SPACE}?s")),
        "P.S." => Expression::new(&format!(r"p\.{SPACE}?s\.")),
        other => Expression::new(&other.to_lowercase()),
    };
    let expression = arguments.expression(expression)?;
    Ok(Box::new(move |response, _| expression.is_in(&response.to_lowercase())))
}
