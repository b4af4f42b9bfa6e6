//! Coefficient rows in f64.

use crate::{Degrees, Denominator, RationalError};
use serde::{Deserialize, Serialize};

/// One function's coefficients, lowest degree first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coefficients {
    /// `a_0, a_1, ..` of `P`.
    pub numerator: Vec<f64>,
    /// `b_1, b_2, ..` of `Q`; the constant is 1.
    pub denominator: Vec<f64>,
}

impl Coefficients {
    /// `F(x) = x`.
    pub fn identity() -> Self {
        Self {
            numerator: vec![0.0, 1.0],
            denominator: vec![0.0],
        }
    }

    /// The best swish on [-8, 8] of degrees (5, 4); the same under both forms, whose terms are all non-negative.
    pub fn swish() -> Self {
        Self {
            numerator: vec![0.0, 0.5, 0.249118143, 0.0507194167, 0.00490297243, 0.000185764232],
            denominator: vec![0.0, 0.101438833, 0.0, 0.000371528464],
        }
    }

    /// `F(x)` in f64.
    pub fn eval(&self, x: f64, form: Denominator) -> f64 {
        let p = self.numerator.iter().rev().fold(0.0, |sum, a| sum * x + a);
        let q = match form {
            Denominator::SumOfAbs => self
                .denominator
                .iter()
                .rev()
                .fold(0.0, |sum, b| (sum + b.abs()) * x.abs()),
            Denominator::AbsOfSum => self.denominator.iter().rev().fold(0.0, |sum, b| (sum + b) * x).abs(),
        };
        p / (1.0 + q)
    }

    /// The same function with zeros up to `degrees`.
    ///
    /// # Errors
    /// [`RationalError::Degree`] when a degree of `self` is higher.
    pub fn padded(&self, degrees: Degrees) -> Result<Self, RationalError> {
        for (field, highest, found) in [
            (
                "numerator degree",
                degrees.numerator,
                self.numerator.len().saturating_sub(1),
            ),
            ("denominator degree", degrees.denominator, self.denominator.len()),
        ] {
            if found > highest {
                return Err(RationalError::Degree {
                    field,
                    lowest: 0,
                    highest,
                    found,
                });
            }
        }
        let mut padded = self.clone();
        padded.numerator.resize(degrees.numerator + 1, 0.0);
        padded.denominator.resize(degrees.denominator, 0.0);
        Ok(padded)
    }
}
