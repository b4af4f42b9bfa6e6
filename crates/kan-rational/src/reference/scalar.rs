//! The function of one element in f64. The tests compare with it, and the fits use it.
//!
//! Sign conventions, as in the published kernels: `sgn(x) = +1` at `x = 0`, and `sgn(b) = +1` at `b = 0` in form A.
//! In form B, `sgn(0) = 0` where the inner sum is zero.

use crate::Denominator;

/// What one element adds to the gradients of a loss `L`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ElementGradients {
    /// `dL/dx` of this element.
    pub input: f64,
    /// `dL/da_k` for `k` from 0.
    pub numerator: Vec<f64>,
    /// `dL/db_k` for `k` from 1.
    pub denominator: Vec<f64>,
}

/// `+1` at zero and above, `-1` below; NaN counts as above.
pub fn sign(x: f64) -> f64 {
    if x < 0.0 { -1.0 } else { 1.0 }
}

/// Value and derivative of `sum_k c_k x^k` by one Horner pass.
pub fn polynomial(x: f64, coefficients: impl DoubleEndedIterator<Item = f64>) -> (f64, f64) {
    coefficients
        .rev()
        .fold((0.0, 0.0), |(value, slope), c| (value * x + c, slope * x + value))
}

/// `Q(x)` and its derivative, in either form.
pub fn denominator(x: f64, b: &[f64], form: Denominator) -> (f64, f64) {
    match form {
        Denominator::SumOfAbs => {
            let (q, slope) = polynomial(x.abs(), std::iter::once(1.0).chain(b.iter().map(|b| b.abs())));
            (q, sign(x) * slope)
        }
        Denominator::AbsOfSum => {
            let (s, slope) = polynomial(x, std::iter::once(0.0).chain(b.iter().copied()));
            (1.0 + s.abs(), inner_sign(s) * slope)
        }
    }
}

/// `F(x) = P(x) / Q(x)` of ascending coefficients `a_0..` and `b_1..`.
pub fn value(x: f64, a: &[f64], b: &[f64], form: Denominator) -> f64 {
    let (p, _) = polynomial(x, a.iter().copied());
    p / denominator(x, b, form).0
}

/// `F'(x) = (P'(x) - F Q'(x)) / Q(x)`.
pub fn derivative(x: f64, a: &[f64], b: &[f64], form: Denominator) -> f64 {
    let (p, slope) = polynomial(x, a.iter().copied());
    let (q, q_slope) = denominator(x, b, form);
    (slope - p / q * q_slope) / q
}

/// Gradients of `L` with respect to everything one element depends on, given `dL/dF`.
pub fn gradients(x: f64, a: &[f64], b: &[f64], grad_output: f64, form: Denominator) -> ElementGradients {
    let (p, slope) = polynomial(x, a.iter().copied());
    let (q, q_slope) = denominator(x, b, form);
    let t = grad_output / q;
    let f = p / q;
    let numerator = (0..a.len() as i32).map(|k| t * x.powi(k)).collect();
    let denominator = b.iter().zip(1..).map(|(&b_k, k)| match form {
        Denominator::SumOfAbs => -sign(b_k) * t * f * x.abs().powi(k),
        Denominator::AbsOfSum => {
            let (s, _) = polynomial(x, std::iter::once(0.0).chain(b.iter().copied()));
            -inner_sign(s) * t * f * x.powi(k)
        }
    });
    ElementGradients {
        input: t * (slope - f * q_slope),
        numerator,
        denominator: denominator.collect(),
    }
}

/// Sign of form B's inner sum: zero at zero, where `|s|` has no derivative and both sides cancel.
fn inner_sign(s: f64) -> f64 {
    if s == 0.0 { 0.0 } else { s.signum() }
}
