//! Fitting a rational to a function or to samples, in f64.

mod least_squares;
mod minimax;

pub use least_squares::{Samples, weighted_least_squares};
pub use minimax::minimax;

use crate::{Coefficients, Denominator};

/// A fitted rational and how well it fits.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// The coefficients, for `form`.
    pub coefficients: Coefficients,
    /// The denominator form fitted for.
    pub form: Denominator,
    /// Largest absolute error: over the range for minimax, over the samples for least squares.
    pub max_error: f64,
    /// Root of the (weighted) mean squared error.
    pub rms: f64,
    /// The range fitted.
    pub range: (f64, f64),
}
