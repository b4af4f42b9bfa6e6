//! What a group rational function is, apart from its coefficients: degrees, denominator form, groups.

use crate::RationalError;
use serde::{Deserialize, Serialize};

/// The largest degrees any implementation here accepts.
pub const MAX_DEGREES: Degrees = Degrees {
    numerator: 9,
    denominator: 8,
};

/// Degrees `(n, m)` of numerator and denominator: `n + 1` and `m` coefficients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Degrees {
    /// Degree of the numerator, 1 to 9.
    pub numerator: usize,
    /// Degree of the denominator, 1 to 8.
    pub denominator: usize,
}

impl Default for Degrees {
    /// `(5, 4)`, as in the Kolmogorov-Arnold Transformer.
    fn default() -> Self {
        Self::new(5, 4)
    }
}

impl std::fmt::Display for Degrees {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "({}, {})", self.numerator, self.denominator)
    }
}

impl std::str::FromStr for Degrees {
    type Err = RationalError;

    /// Degrees as people write them on a command line, `5,4`.
    ///
    /// # Errors
    /// [`RationalError::DegreesText`] for another text, [`RationalError::Degrees`] outside (1, 1) to (9, 8).
    fn from_str(text: &str) -> Result<Self, RationalError> {
        let degrees = text
            .split_once(',')
            .and_then(|(n, m)| Some(Self::new(n.trim().parse().ok()?, m.trim().parse().ok()?)));
        degrees
            .ok_or_else(|| RationalError::DegreesText { found: text.to_owned() })?
            .validate()
    }
}

impl Degrees {
    /// Degrees `(numerator, denominator)`; [`validate`](Self::validate) says whether they are supported.
    pub const fn new(numerator: usize, denominator: usize) -> Self {
        Self { numerator, denominator }
    }

    /// Number of coefficients of one group: `numerator + 1 + denominator`.
    pub const fn coefficients(self) -> usize {
        self.numerator + 1 + self.denominator
    }

    /// # Errors
    /// [`RationalError::Degrees`] outside (1, 1) to (9, 8).
    pub fn validate(self) -> Result<Self, RationalError> {
        let numerator = (1..=MAX_DEGREES.numerator).contains(&self.numerator);
        let denominator = (1..=MAX_DEGREES.denominator).contains(&self.denominator);
        if numerator && denominator {
            Ok(self)
        } else {
            Err(RationalError::Degrees { found: self })
        }
    }
}

/// How the denominator is kept away from zero. Both forms are at least 1 everywhere.
///
/// The two are different functions of the same coefficients; a file of coefficients must say which it was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Denominator {
    /// Form A, `Q = 1 + sum_k |b_k| |x|^k`: what every published kernel and checkpoint computes.
    #[default]
    SumOfAbs,
    /// Form B, `Q = 1 + |sum_k b_k x^k|`: the text of the Kolmogorov-Arnold Transformer paper.
    AbsOfSum,
}

/// Groups and denominator form; the degrees are read off the coefficient tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RationalSpec {
    /// Number of groups; channel `c` of `D` belongs to group `c / (D / groups)`.
    pub groups: usize,
    /// Form of the denominator; coefficients of one form are wrong under the other.
    pub denominator: Denominator,
}

/// The sizes one call works with, after [`RationalSpec::geometry`] checked that they fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Product of all dimensions but the last.
    pub rows: usize,
    /// Number of groups that the channels are cut into.
    pub groups: usize,
    /// Channels of one group, next to each other.
    pub width: usize,
    /// Degrees, as the columns of the coefficients tell.
    pub degrees: Degrees,
    /// Whether one numerator serves every group.
    pub shared_numerator: bool,
    /// Whether one denominator serves every group.
    pub shared_denominator: bool,
}

impl Geometry {
    /// Number of channels, `groups * width`.
    pub const fn channels(&self) -> usize {
        self.groups * self.width
    }

    /// Number of elements of the input.
    pub const fn elements(&self) -> usize {
        self.rows * self.groups * self.width
    }
}

impl RationalSpec {
    /// Form A with `groups` groups.
    pub const fn new(groups: usize) -> Self {
        Self {
            groups,
            denominator: Denominator::SumOfAbs,
        }
    }

    /// The same groups with another denominator form.
    pub const fn with_denominator(self, denominator: Denominator) -> Self {
        Self {
            groups: self.groups,
            denominator,
        }
    }

    /// Checks the shapes of input `[.., D]`, numerator `[G or 1, n + 1]` and denominator `[G or 1, m]`.
    ///
    /// # Errors
    /// [`RationalError::Scalar`], [`RationalError::Groups`] and [`RationalError::CoefficientShape`].
    pub fn geometry(
        &self,
        input: &[usize],
        numerator: &[usize],
        denominator: &[usize],
    ) -> Result<Geometry, RationalError> {
        let (&channels, leading) = input.split_last().ok_or(RationalError::Scalar)?;
        if self.groups == 0 || channels == 0 || !channels.is_multiple_of(self.groups) {
            return Err(RationalError::Groups {
                channels,
                groups: self.groups,
            });
        }
        let columns = self.columns("numerator", numerator, 2, MAX_DEGREES.numerator + 1)?;
        let degrees = Degrees {
            numerator: columns - 1,
            denominator: self.columns("denominator", denominator, 1, MAX_DEGREES.denominator)?,
        };
        Ok(Geometry {
            rows: leading.iter().product(),
            groups: self.groups,
            width: channels / self.groups,
            degrees,
            shared_numerator: numerator[0] == 1,
            shared_denominator: denominator[0] == 1,
        })
    }

    fn columns(
        &self,
        tensor: &'static str,
        shape: &[usize],
        least: usize,
        most: usize,
    ) -> Result<usize, RationalError> {
        match *shape {
            [rows, columns] if (rows == 1 || rows == self.groups) && (least..=most).contains(&columns) => Ok(columns),
            _ => Err(RationalError::CoefficientShape {
                tensor,
                found: shape.to_vec(),
                groups: self.groups,
                least,
                most,
            }),
        }
    }
}
