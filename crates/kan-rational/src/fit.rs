//! Fits a rational to a function ([`minimax()`]) or to weighted samples ([`weighted_least_squares`]), in f64.
//!
//! ```
//! use kan_rational::{Activation, Degrees, Denominator, fit};
//!
//! let swish = |x| Activation::Swish.eval(x);
//! let fit = fit::minimax(swish, (-5.0, 5.0), Degrees::default(), Denominator::SumOfAbs)?;
//! assert!(fit.max_error < 2.6e-5);
//! # Ok::<(), kan_rational::RationalError>(())
//! ```

mod least_squares;
mod linalg;
mod minimax;
mod projection;

pub use least_squares::{Samples, weighted_least_squares};
pub use minimax::minimax;

use crate::{Coefficients, Denominator};

/// A fitted rational and how well it fits.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// The coefficients; they define a function only together with `form`.
    pub coefficients: Coefficients,
    /// The denominator form fitted for.
    pub form: Denominator,
    /// Largest absolute error: over the range for minimax, over the samples for least squares.
    pub max_error: f64,
    /// Root of the (weighted) mean squared error.
    pub rms: f64,
    /// Ends of the fitted range; outside it the error is not bounded.
    pub range: (f64, f64),
}
