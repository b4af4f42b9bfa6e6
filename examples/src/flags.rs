//! Values of flags.

use crate::terminal::note;

/// The limit of a task's documents: a count of at least one, or a fraction below 1.
///
/// # Errors
/// As [`at_least_one`].
pub fn limit(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && (number < 1.0 || number.fract() == 0.0) => Ok(number),
        _ => Err(format!(
            "expected a whole number of at least 1 or a fraction between 0 and 1, found `{text}`"
        )),
    }
}

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

/// A finite number above 0.
///
/// # Errors
/// As [`at_least_one`].
pub fn above_zero(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err(format!("expected a number above 0, found `{text}`")),
    }
}

/// A seed for who gives none, short enough to type, and a note with it so that the same text can be made again.
pub fn random_seed() -> u64 {
    let seed = u64::from(rand::random::<u32>());
    note(format_args!("--seed {seed}"));
    seed
}
