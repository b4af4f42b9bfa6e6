use crate::spec::{Degrees, MAX_DEGREES};
use burn::tensor::DType;

/// Everything this crate can refuse, each with what was expected and what was found.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
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
    Degrees {
        /// The degrees asked for.
        found: Degrees,
    },
    /// Degrees that are not written as two numbers.
    #[error("degrees `{found}`: expected numerator and denominator as in `5,4`")]
    DegreesText {
        /// The text found.
        found: String,
    },
    /// A coefficient tensor that is not `[groups or 1, columns]` with a supported number of columns.
    #[error("{tensor} has shape {found:?}, expected [{groups} or 1, {least} to {most}]")]
    CoefficientShape {
        /// `numerator` or `denominator`.
        tensor: &'static str,
        /// The shape found.
        found: Vec<usize>,
        /// Number of groups asked for.
        groups: usize,
        /// Fewest columns allowed.
        least: usize,
        /// Most columns allowed.
        most: usize,
    },
    /// The input has no dimension to hold channels.
    #[error("the input is a scalar: it needs a last dimension of channels")]
    Scalar,
    /// Two tensors that must agree in shape do not.
    #[error("{tensor} has shape {found:?}, expected {expected:?}")]
    Shape {
        /// Name of the tensor.
        tensor: &'static str,
        /// The shape it must have.
        expected: Vec<usize>,
        /// The shape found.
        found: Vec<usize>,
    },
    /// A tensor of another element type than the operation reads.
    #[error("{tensor} has type {found:?}, expected {expected:?}")]
    Dtype {
        /// Name of the tensor.
        tensor: &'static str,
        /// The type it must have.
        expected: DType,
        /// The type found.
        found: DType,
    },
    /// A tensor on another device than the input.
    #[error("{tensor} is on device {found}, expected {expected}")]
    Device {
        /// Name of the tensor.
        tensor: &'static str,
        /// Device of the input.
        expected: String,
        /// Device of the tensor.
        found: String,
    },
    /// A list whose length is wrong.
    #[error("{what} holds {found} entries, expected {expected}")]
    Length {
        /// Name of the list.
        what: &'static str,
        /// The length it must have.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// No coefficients are stored for this request.
    #[error("no {table} coefficients of {activation} fit degrees {degrees}")]
    NoTable {
        /// `published` or `minimax`.
        table: &'static str,
        /// Name of the activation.
        activation: &'static str,
        /// The degrees asked for.
        degrees: Degrees,
    },
    /// A fit needs at least as many samples as it has free coefficients.
    #[error("{found} samples cannot determine {expected} coefficients")]
    TooFewSamples {
        /// Number of free coefficients.
        expected: usize,
        /// Number of usable samples (finite, of positive weight).
        found: usize,
    },
    /// A sample or weight is NaN, infinite or (a weight) negative, or a coefficient is not a finite f32.
    #[error("{what}[{index}] is {value}")]
    NotFinite {
        /// Name of the list.
        what: &'static str,
        /// Position in it.
        index: usize,
        /// The value found.
        value: f64,
    },
    /// An empty or reversed range.
    #[error("the range {low} to {high} is empty")]
    Range {
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
    },
    /// The optimiser found no usable coefficients.
    #[error("no finite fit of degrees {degrees} was found")]
    NoFit {
        /// The degrees asked for.
        degrees: Degrees,
    },
}
