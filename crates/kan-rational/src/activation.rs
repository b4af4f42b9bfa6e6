//! Activation functions, and stored rational coefficients for them.

mod minimax;
mod published;

pub use minimax::Minimax;
pub use published::Published;

use crate::{Coefficients, Degrees, Denominator, RationalError};
use serde::{Deserialize, Serialize};

/// A scalar function that a rational can be initialised to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `0`: the initial value of a residual that is added to another function.
    Zero,
    /// `x`.
    Identity,
    /// `x / (1 + exp(-x))`, also called SiLU.
    Swish,
    /// `x Phi(x)`, with the normal distribution function (not the tanh approximation).
    Gelu,
    /// `max(x, 0)`.
    Relu,
    /// `max(x, 0.01 x)`.
    LeakyRelu,
    /// `tanh(x)`.
    Tanh,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

/// Form B's denominator coefficient in place of zero: far below the error of a fit, but not zero.
const OFF_THE_KINK: f64 = 1e-6;

impl Activation {
    /// Every activation, in declaration order.
    pub const ALL: [Self; 8] = [
        Self::Zero,
        Self::Identity,
        Self::Swish,
        Self::Gelu,
        Self::Relu,
        Self::LeakyRelu,
        Self::Tanh,
        Self::Sigmoid,
    ];

    /// The name used in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zero => "zero",
            Self::Identity => "identity",
            Self::Swish => "swish",
            Self::Gelu => "gelu",
            Self::Relu => "relu",
            Self::LeakyRelu => "leaky_relu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
        }
    }

    /// The function itself in f64.
    pub fn eval(self, x: f64) -> f64 {
        match self {
            Self::Zero => 0.0,
            Self::Identity => x,
            Self::Swish => x / (1.0 + (-x).exp()),
            Self::Gelu => x * normal_cdf(x),
            Self::Relu => x.max(0.0),
            Self::LeakyRelu => x.max(0.01 * x),
            Self::Tanh => x.tanh(),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        }
    }

    /// The best coefficients stored for these degrees and this form: zero and identity, our minimax fit on `[-8, 8]`
    /// for swish and gelu, the published table fitted for form A otherwise.
    ///
    /// Zero is exact; the identity is in form A. In form B it is `x / (1 + 1e-6 x^2)` (or `|x|` where the denominator's
    /// degree is 1), and zero has that denominator too: `b = 0` is on the kink of form B's absolute value at every
    /// `x`, so no `b` would ever get a gradient.
    ///
    /// # Errors
    /// [`RationalError::NoTable`] when every stored set has higher degrees, or was fitted for the other form.
    pub fn coefficients(self, degrees: Degrees, form: Denominator) -> Result<Coefficients, RationalError> {
        let exact = match self {
            Self::Zero => Some(Coefficients::zero(degrees)),
            Self::Identity => Some(Coefficients::identity(degrees)),
            _ => None,
        };
        if let Some(mut coefficients) = exact {
            if form == Denominator::AbsOfSum {
                coefficients.denominator[degrees.denominator.min(2) - 1] = OFF_THE_KINK;
            }
            return Ok(coefficients);
        }
        if let Ok(coefficients) = self.minimax_for(degrees, 8) {
            return Ok(coefficients);
        }
        match self.published() {
            Some(entry) if entry.valid_under(form) => self.published_for(degrees),
            _ => Err(self.no_table("suitable", degrees)),
        }
    }

    /// The published table padded to `degrees`.
    ///
    /// # Errors
    /// [`RationalError::NoTable`] when there is none or its degrees (5, 4) are higher.
    pub(crate) fn published_for(self, degrees: Degrees) -> Result<Coefficients, RationalError> {
        let entry = self.published().ok_or_else(|| self.no_table("published", degrees))?;
        entry
            .coefficients()
            .padded(degrees)
            .map_err(|_| self.no_table("published", degrees))
    }

    /// The stored minimax fit of highest degrees not above `degrees` on `[-range, range]`, padded.
    ///
    /// # Errors
    /// [`RationalError::NoTable`] when none is stored.
    pub(crate) fn minimax_for(self, degrees: Degrees, range: u32) -> Result<Coefficients, RationalError> {
        [degrees, Degrees::new(7, 6), Degrees::new(5, 4)]
            .iter()
            .filter_map(|&stored| self.minimax(stored, range))
            .find_map(|entry| entry.coefficients().padded(degrees).ok())
            .ok_or_else(|| self.no_table("minimax", degrees))
    }

    fn no_table(self, table: &'static str, degrees: Degrees) -> RationalError {
        RationalError::NoTable {
            table,
            activation: self.name(),
            degrees,
        }
    }
}

/// The normal distribution function to about 1e-15: the series of `erf` near zero, a continued fraction beyond.
fn normal_cdf(x: f64) -> f64 {
    let z = x.abs() / std::f64::consts::SQRT_2;
    let upper = if z < 2.5 {
        0.5 - 0.5 * erf_series(z)
    } else {
        0.5 * erfc_fraction(z)
    };
    if x < 0.0 { upper } else { 1.0 - upper }
}

/// `erf(z) = 2/sqrt(pi) exp(-z^2) sum_n 2^n z^(2n+1) / (2n+1)!!`, all terms positive.
fn erf_series(z: f64) -> f64 {
    let mut term = z;
    let mut sum = z;
    for n in 1..80 {
        term *= 2.0 * z * z / (2 * n + 1) as f64;
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-z * z).exp() * sum
}

/// `erfc(z) = exp(-z^2)/sqrt(pi) / (z + (1/2)/(z + 1/(z + (3/2)/(z + ..))))`.
fn erfc_fraction(z: f64) -> f64 {
    let tail = (1..120).rev().fold(z, |tail, k| z + 0.5 * k as f64 / tail);
    (-z * z).exp() * 0.5 * std::f64::consts::FRAC_2_SQRT_PI / tail
}
