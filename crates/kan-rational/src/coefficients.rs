use crate::{Degrees, Denominator, RationalError, reference::scalar};
use serde::{Deserialize, Serialize};

/// Coefficients of one rational function in f64.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coefficients {
    /// `a_0` to `a_n`, ascending powers.
    pub numerator: Vec<f64>,
    /// `b_1 ..= b_m`, ascending; the constant term is always 1.
    pub denominator: Vec<f64>,
}

impl Coefficients {
    /// Coefficients from slices of ascending powers.
    pub fn new(numerator: &[f64], denominator: &[f64]) -> Self {
        Self {
            numerator: numerator.to_vec(),
            denominator: denominator.to_vec(),
        }
    }

    /// `F(x) = 0`, exact in both forms.
    pub fn zero(degrees: Degrees) -> Self {
        Self {
            numerator: vec![0.0; degrees.numerator + 1],
            denominator: vec![0.0; degrees.denominator],
        }
    }

    /// The identity `F(x) = x`, exact in both forms.
    pub fn identity(degrees: Degrees) -> Self {
        let mut identity = Self::zero(degrees);
        identity.numerator[1] = 1.0;
        identity
    }

    /// The degrees of these coefficients.
    pub fn degrees(&self) -> Degrees {
        Degrees {
            numerator: self.numerator.len().saturating_sub(1),
            denominator: self.denominator.len(),
        }
    }

    /// `F(x)` in f64, as the reference computes it.
    pub fn eval(&self, x: f64, form: Denominator) -> f64 {
        scalar::value(x, &self.numerator, &self.denominator, form)
    }

    /// `dF/dx` in f64, from the quotient rule.
    pub fn derivative(&self, x: f64, form: Denominator) -> f64 {
        scalar::derivative(x, &self.numerator, &self.denominator, form)
    }

    /// The exponent with which `|F|` grows in `|x|` at infinity: 1 for a function that becomes linear.
    ///
    /// The sign of growth follows the leading coefficients present; a fit whose leading `b` vanished grows faster
    /// than its degrees suggest, and is unsafe outside its range. `i32::MIN` for `F = 0`.
    pub fn growth(&self) -> i32 {
        let Some(numerator) = leading(&self.numerator) else {
            return i32::MIN;
        };
        numerator as i32 - leading(&self.denominator).map_or(0, |k| k as i32 + 1)
    }

    /// The same function written with higher degrees: zeros are appended.
    ///
    /// # Errors
    /// [`RationalError::Length`] when `degrees` are lower than the present ones.
    pub fn padded(&self, degrees: Degrees) -> Result<Self, RationalError> {
        Ok(Self {
            numerator: pad("numerator", &self.numerator, degrees.numerator + 1)?,
            denominator: pad("denominator", &self.denominator, degrees.denominator)?,
        })
    }

    /// The coefficients as a parameter stores them: each rounded to f32, infinite beyond its range.
    pub fn in_f32(&self) -> Self {
        Self {
            numerator: rounded(&self.numerator),
            denominator: rounded(&self.denominator),
        }
    }

    /// Largest `|F(x) - f(x)|` over `points` equally spaced points of `[low, high]`, both ends included.
    pub fn max_error(&self, form: Denominator, f: impl Fn(f64) -> f64, (low, high): (f64, f64), points: usize) -> f64 {
        let step = (high - low) / (points.max(2) - 1) as f64;
        (0..points.max(2))
            .map(|i| low + step * i as f64)
            .map(|x| (self.eval(x, form) - f(x)).abs())
            .fold(0.0, f64::max)
    }
}

/// The index of the last coefficient that is not zero.
fn leading(list: &[f64]) -> Option<usize> {
    list.iter().rposition(|c| *c != 0.0)
}

fn pad(what: &'static str, list: &[f64], length: usize) -> Result<Vec<f64>, RationalError> {
    if list.len() > length {
        return Err(RationalError::Length {
            what,
            expected: length,
            found: list.len(),
        });
    }
    let mut list = list.to_vec();
    list.resize(length, 0.0);
    Ok(list)
}

fn rounded(list: &[f64]) -> Vec<f64> {
    list.iter().map(|value| f64::from(*value as f32)).collect()
}
