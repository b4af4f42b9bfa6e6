use crate::spec::{Degrees, MAX_DEGREES};

/// The errors of this crate. Each message says what was expected and what was found.
///
/// `tensor` and `what` name the tensor or list; `least` and `most` bound its number of columns; `table` is `published`
/// or `minimax`; `low` and `high` are the ends of a range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields that recur are described above")]
pub enum RationalError {
    /// The groups must be a positive divisor of the channels.
    #[error("{groups} groups do not divide {channels} channels")]
    Groups {
        /// Size of the last dimension.
        channels: usize,
        /// Number of groups asked for.
        groups: usize,
    },
    /// Degrees outside 1 to (9, 8).
    #[error("degrees {found} are outside (1, 1) to {MAX_DEGREES}")]
    Degrees { found: Degrees },
    /// Degrees that are not written as two numbers.
    #[error("degrees `{found}`: expected numerator and denominator as in `5,4`")]
    DegreesText { found: String },
    /// A coefficient tensor that is not `[groups or 1, columns]` with a supported number of columns.
    #[error("{tensor} has shape {found:?}, expected [{groups} or 1, {least} to {most}]")]
    CoefficientShape {
        tensor: &'static str,
        found: Vec<usize>,
        /// Number of groups asked for.
        groups: usize,
        least: usize,
        most: usize,
    },
    /// The input has no dimension to hold channels.
    #[error("the input is a scalar: it needs a last dimension of channels")]
    Scalar,
    /// A list whose length is wrong.
    #[error("{what} holds {found} entries, expected {expected}")]
    Length {
        what: &'static str,
        /// The length it must have.
        expected: usize,
        found: usize,
    },
    /// No coefficients are stored for this request.
    #[error("no {table} coefficients of {activation} fit degrees {degrees}")]
    NoTable {
        table: &'static str,
        activation: &'static str,
        degrees: Degrees,
    },
    /// A fit needs at least as many samples as it has free coefficients.
    #[error("{found} samples cannot determine {expected} coefficients")]
    TooFewSamples {
        expected: usize,
        /// Number of usable samples (finite, of positive weight).
        found: usize,
    },
    /// A sample or weight is NaN, infinite or (a weight) negative, or a coefficient is not a finite f32.
    #[error("{what}[{index}] is {value}")]
    NotFinite {
        what: &'static str,
        index: usize,
        value: f64,
    },
    /// An empty or reversed range.
    #[error("the range {low} to {high} is empty")]
    Range { low: f64, high: f64 },
    /// The optimiser found no usable coefficients.
    #[error("no finite fit of degrees {degrees} was found")]
    NoFit { degrees: Degrees },
}
