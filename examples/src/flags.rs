//! Values of flags.

/// A count of at least one: of none there would be nothing to do, and much time lost until that shows.
///
/// # Errors
/// What was expected and found, for clap to put behind the flag's name.
pub fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("expected a whole number of at least 1, found `{text}`")),
        Ok(number) => Ok(number),
    }
}
