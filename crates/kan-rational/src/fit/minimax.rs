use super::{
    Fit,
    least_squares::solve,
    projection::{Candidate, Problem},
};
use crate::reference::scalar;
use crate::{Degrees, Denominator, RationalError};
use std::f64::consts::PI;

/// Chebyshev nodes the error is levelled on: fifty per extremum at degrees (5, 4).
const NODES: usize = 601;
/// Points the reported errors are measured on.
const MEASURED: usize = 20_001;
/// Most reweighting rounds; smooth functions need a few dozen.
const ROUNDS: usize = 400;

/// The coefficients of smallest largest error `|F(x) - f(x)|` over `range`.
///
/// Lawson's iteration: weighted least squares whose weights grow where the error is large, until the error is
/// levelled. In form A every `b_k >= 0`, which loses nothing. The best round by largest error is returned.
///
/// # Errors
/// [`RationalError::Range`], [`RationalError::Degrees`], [`RationalError::NotFinite`] where `f` is not finite,
/// [`RationalError::NoFit`].
pub fn minimax(
    f: impl Fn(f64) -> f64,
    (low, high): (f64, f64),
    degrees: Degrees,
    form: Denominator,
) -> Result<Fit, RationalError> {
    degrees.validate()?;
    if !(low.is_finite() && high.is_finite() && low < high) {
        return Err(RationalError::Range { low, high });
    }
    let mut problem = nodes(&f, (low, high), degrees, form);
    if let Some(index) = problem.y.iter().position(|y| !y.is_finite()) {
        return Err(RationalError::NotFinite {
            what: "f",
            index,
            value: problem.y[index],
        });
    }
    let start = solve(&problem).ok_or(RationalError::NoFit { degrees })?;
    let best = level(&mut problem, start);
    let coefficients = problem.unscaled(&best);
    let step = (high - low) / (MEASURED - 1) as f64;
    let errors = (0..MEASURED)
        .map(|i| low + step * i as f64)
        .map(|x| coefficients.eval(x, form) - f(x));
    let (max_error, squares) = errors.fold((0.0f64, 0.0), |(max, sum), e| (max.max(e.abs()), sum + e * e));
    Ok(Fit {
        coefficients,
        form,
        max_error,
        rms: (squares / MEASURED as f64).sqrt(),
        range: (low, high),
    })
}

fn nodes(f: impl Fn(f64) -> f64, (low, high): (f64, f64), degrees: Degrees, form: Denominator) -> Problem {
    let scale = low.abs().max(high.abs());
    let angles = (0..NODES).map(|i| PI * i as f64 / (NODES - 1) as f64);
    let x: Vec<f64> = angles
        .map(|angle| 0.5 * (low + high) - 0.5 * (high - low) * angle.cos())
        .collect();
    Problem {
        u: x.iter().map(|x| x / scale).collect(),
        y: x.iter().map(|&x| f(x)).collect(),
        roots: vec![1.0; NODES],
        scale,
        degrees,
        form,
    }
}

/// Reweights until the largest error stops falling.
fn level(problem: &mut Problem, start: Candidate) -> Candidate {
    let mut weights = vec![1.0 / NODES as f64; NODES];
    let mut current = start;
    let mut best = (f64::INFINITY, current.clone(), 0);
    for round in 0..ROUNDS {
        let errors = errors(problem, &current);
        let largest = errors.iter().copied().fold(0.0, f64::max);
        if largest < best.0 * (1.0 - 1e-5) {
            best = (largest, current.clone(), round);
        }
        if largest == 0.0 || round > best.2 + 60 {
            break;
        }
        for (weight, error) in weights.iter_mut().zip(&errors) {
            *weight *= error / largest;
        }
        let total: f64 = weights.iter().sum();
        for (weight, root) in weights.iter_mut().zip(&mut problem.roots) {
            *weight /= total;
            *root = (*weight * NODES as f64).sqrt();
        }
        match problem.search(&current.denominator, 12) {
            Some(next) => current = next,
            None => break,
        }
    }
    best.1
}

fn errors(problem: &Problem, candidate: &Candidate) -> Vec<f64> {
    let Candidate {
        numerator, denominator, ..
    } = candidate;
    let samples = problem.u.iter().zip(&problem.y);
    samples
        .map(|(&u, y)| (scalar::value(u, numerator, denominator, problem.form) - y).abs())
        .collect()
}
