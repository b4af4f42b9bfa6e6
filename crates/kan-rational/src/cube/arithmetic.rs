//! The function and its gradient at one point, in `f32` registers.
//!
//! All loops are unrolled while CubeCL expands the kernel. Coefficients and sums are separate variables in the
//! generated source, never an array that is indexed at run time.

use cubecl::{self, ir::FastMath, prelude::*};

use crate::{Degrees, Denominator};

/// The constants of the function that are compiled into a kernel. Nothing else of a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) struct Form {
    /// Degrees of `P` and `Q`, at least 1 each.
    pub(crate) degrees: Degrees,
    /// Form of `Q`.
    pub(crate) denominator: Denominator,
}

impl Form {
    /// Coefficients of one group, numerator first: also the number of sums a thread of the backward pass keeps.
    pub(crate) fn terms(&self) -> usize {
        self.degrees.coefficients()
    }

    /// Whether `Q = 1 + |sum b_k x^k|`, not `1 + sum |b_k| |x|^k`.
    pub(crate) fn abs_of_sum(&self) -> bool {
        self.denominator == Denominator::AbsOfSum
    }
}

/// Coefficients from one group's row to the next: 0 if all groups share one row.
#[derive(CubeType, CubeLaunch, Clone)]
pub(crate) struct Steps {
    pub(crate) numerator: usize,
    pub(crate) denominator: usize,
}

/// Coefficients of one group, in registers.
#[derive(CubeType)]
pub(crate) struct Coefficients {
    /// `a_0 ..= a_n`
    numerator: Sequence<f32>,
    /// `b_1 ..= b_m`; their absolute values under the sum of absolute values.
    denominator: Sequence<f32>,
}

/// The function and its slope at one point, with the common factor `1 / Q` taken out of the slope.
#[derive(CubeType)]
pub(crate) struct Point {
    /// `F = P / Q`
    pub(crate) value: f32,
    /// `1 / Q`
    pub(crate) reciprocal: f32,
    /// `Q dF/dx = P' - F Q'`
    pub(crate) slope: f32,
    /// `F`, negated where the sum inside the absolute value of the denominator is negative.
    pub(crate) signed_value: f32,
}

/// Reads the coefficients of a group.
#[cube]
pub(crate) fn read_coefficients(
    numerator: &Array<f32>,
    denominator: &Array<f32>,
    group: usize,
    steps: &Steps,
    #[comptime] form: Form,
) -> Coefficients {
    let numerator_start = group * steps.numerator;
    let denominator_start = group * steps.denominator;
    let mut a = Sequence::<f32>::new();
    #[unroll]
    for k in 0..comptime!(form.degrees.numerator + 1) {
        a.push(numerator[numerator_start + k]);
    }
    let mut b = Sequence::<f32>::new();
    #[unroll]
    for k in 0..comptime!(form.degrees.denominator) {
        let value = denominator[denominator_start + k];
        if comptime!(form.abs_of_sum()) {
            b.push(value);
        } else {
            b.push(value.abs());
        }
    }
    Coefficients {
        numerator: a,
        denominator: b,
    }
}

/// `1 / (1 + |sum|)`, the reciprocal of either form's denominator.
///
/// The flags select CUDA's approximate division, good to 2 units in the last place and a fifth of the instructions of
/// the correctly rounded one; it differs only beyond `2^126`, where the result is subnormal. Other targets divide. `1 +
/// |sum|` is written out where `fma(q, y, 1)` would do: of that a compiler cannot see that it is at least 1, and spends
/// four instructions on a divisor that might be subnormal.
#[cube(fast_math = FastMath::AllowReciprocal | FastMath::ReducedPrecision | FastMath::UnsignedZero | FastMath::NotInf)]
fn reciprocal_above_one(sum: f32) -> f32 {
    1.0f32 / (1.0f32 + sum.abs())
}

/// The variable of the denominator: `|x|` under the sum of absolute values, `x` otherwise.
#[cube]
fn denominator_variable(x: f32, #[comptime] form: Form) -> f32 {
    if comptime!(form.abs_of_sum()) { x } else { x.abs() }
}

/// `F(x)`, by Horner's rule and one reciprocal.
#[cube]
pub(crate) fn evaluate(x: f32, coefficients: &Coefficients, #[comptime] form: Form) -> f32 {
    let mut p = coefficients.numerator[comptime!(form.degrees.numerator)];
    #[unroll]
    for i in 0..comptime!(form.degrees.numerator) {
        p = fma(p, x, coefficients.numerator[comptime!(form.degrees.numerator - 1 - i)]);
    }
    let y = denominator_variable(x, form);
    let mut q = coefficients.denominator[comptime!(form.degrees.denominator - 1)];
    #[unroll]
    for i in 0..comptime!(form.degrees.denominator - 1) {
        q = fma(
            q,
            y,
            coefficients.denominator[comptime!(form.degrees.denominator - 2 - i)],
        );
    }
    p * reciprocal_above_one(q * y)
}

/// `F(x)` and its slope: Horner's rule carries each polynomial and its derivative together, which needs no
/// coefficients of the derivative in registers.
#[cube]
pub(crate) fn differentiate(x: f32, coefficients: &Coefficients, #[comptime] form: Form) -> Point {
    let mut p = coefficients.numerator[comptime!(form.degrees.numerator)];
    let mut p_slope = coefficients.numerator[comptime!(form.degrees.numerator)];
    #[unroll]
    for i in 0..comptime!(form.degrees.numerator) {
        if comptime!(i > 0) {
            p_slope = fma(p_slope, x, p);
        }
        p = fma(p, x, coefficients.numerator[comptime!(form.degrees.numerator - 1 - i)]);
    }
    let y = denominator_variable(x, form);
    // The last step of the rule adds the constant term, which the sum inside the denominator does not have.
    let mut q = coefficients.denominator[comptime!(form.degrees.denominator - 1)];
    let mut q_slope = coefficients.denominator[comptime!(form.degrees.denominator - 1)];
    #[unroll]
    for i in 0..comptime!(form.degrees.denominator - 1) {
        if comptime!(i > 0) {
            q_slope = fma(q_slope, y, q);
        }
        q = fma(
            q,
            y,
            coefficients.denominator[comptime!(form.degrees.denominator - 2 - i)],
        );
    }
    if comptime!(form.degrees.denominator > 1) {
        q_slope = fma(q_slope, y, q);
    }
    let sum = q * y;
    let r = reciprocal_above_one(sum);
    let value = p * r;
    if comptime!(form.abs_of_sum()) {
        let signed_value = value * sign_or_zero(sum);
        Point {
            value,
            reciprocal: r,
            slope: fma(-signed_value, q_slope, p_slope),
            signed_value,
        }
    } else {
        // d|x|/dx is taken as +1 at zero of either sign, as in the published Triton kernels.
        let signed_slope = select(x < 0.0f32, -q_slope, q_slope);
        Point {
            value,
            reciprocal: r,
            slope: fma(-value, signed_slope, p_slope),
            signed_value: value,
        }
    }
}

/// The sign of the sum inside `|sum b_k x^k|`, 0 at 0: the function has a kink there and 0 is the middle of its slopes.
#[cube]
fn sign_or_zero(value: f32) -> f32 {
    select(value > 0.0f32, 1.0f32, select(value < 0.0f32, -1.0f32, 0.0f32))
}

/// Adds one element's terms: `t x^k` for the numerator and `v x^k` (`v |x|^k` under the sum of absolute values) for
/// the denominator, whose common sign is applied when the sums are combined.
#[cube]
pub(crate) fn accumulate(sums: &Sequence<RuntimeCell<f32>>, x: f32, t: f32, v: f32, #[comptime] form: Form) {
    let constant = sums.index(comptime!(0usize));
    constant.store(constant.read() + t);
    let mut power = x;
    #[unroll]
    for i in 0..comptime!(form.degrees.numerator.max(form.degrees.denominator)) {
        if comptime!(i < form.degrees.numerator) {
            let sum = sums.index(comptime!(i + 1));
            sum.store(fma(t, power, sum.read()));
        }
        if comptime!(i < form.degrees.denominator) {
            let sum = sums.index(comptime!(form.degrees.numerator + 1 + i));
            sum.store(fma(v, denominator_variable(power, form), sum.read()));
        }
        power *= x;
    }
}
