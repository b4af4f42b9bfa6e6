//! What a group rational function is made of: degrees, denominator form, groups.

use crate::RationalError;
use serde::{Deserialize, Serialize};

/// Degrees of the numerator `P` and the denominator `Q` of `F = P / Q`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Degrees {
    /// Degree of `P`: it has `numerator + 1` coefficients, `a_0` first. At most 9.
    pub numerator: usize,
    /// Degree of `Q`: it has `denominator` free coefficients, `b_1` first; the constant is 1. From 1 to 8.
    pub denominator: usize,
}

impl Degrees {
    /// The highest degrees that any kernel is compiled for.
    pub const MAX: Self = Self {
        numerator: 9,
        denominator: 8,
    };

    /// Checked constructor.
    ///
    /// # Errors
    /// [`RationalError::Degree`] outside `0..=9` over `1..=8`.
    pub fn new(numerator: usize, denominator: usize) -> Result<Self, RationalError> {
        let degrees = Self { numerator, denominator };
        degrees.validate()?;
        Ok(degrees)
    }

    /// Whether the kernels exist for these degrees.
    ///
    /// # Errors
    /// [`RationalError::Degree`] outside `0..=9` over `1..=8`.
    pub fn validate(&self) -> Result<(), RationalError> {
        for (field, lowest, highest, found) in [
            ("numerator degree", 0, Self::MAX.numerator, self.numerator),
            ("denominator degree", 1, Self::MAX.denominator, self.denominator),
        ] {
            if !(lowest..=highest).contains(&found) {
                return Err(RationalError::Degree {
                    field,
                    lowest,
                    highest,
                    found,
                });
            }
        }
        Ok(())
    }
}

impl Default for Degrees {
    /// (5, 4), the degrees of every published KAT checkpoint.
    fn default() -> Self {
        Self {
            numerator: 5,
            denominator: 4,
        }
    }
}

/// How the denominator is kept away from zero. The two agree only where all terms of `Q` have one sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Denominator {
    /// Form A: `Q(x) = 1 + sum_k |b_k| |x|^k`. What every published kernel and checkpoint computes.
    #[default]
    SumOfAbs,
    /// Form B: `Q(x) = 1 + |sum_k b_k x^k|`. The text of the KAT paper.
    AbsOfSum,
}

/// What the operations need besides their tensors; the degrees follow from the coefficients' shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RationalSpec {
    /// Contiguous channel groups `G`; divides the channels.
    pub groups: usize,
    /// Form of the denominator.
    pub denominator: Denominator,
}
