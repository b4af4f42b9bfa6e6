use super::{
    Fit,
    projection::{Candidate, Problem},
};
use crate::{Coefficients, Degrees, Denominator, RationalError};

/// Number of samples in the multi-start search; the best candidates are then refined on all samples.
const SEARCH_SAMPLES: usize = 768;

/// Weighted samples of a function.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    /// Abscissae, in any order.
    pub x: Vec<f64>,
    /// The value to reach at each abscissa.
    pub y: Vec<f64>,
    /// Non-negative weight of each squared error.
    pub weights: Vec<f64>,
}

impl Samples {
    /// Samples `(x, f(x))` of a known function.
    pub fn of(f: impl Fn(f64) -> f64, x: Vec<f64>, weights: Vec<f64>) -> Self {
        let y = x.iter().map(|&x| f(x)).collect();
        Self { x, y, weights }
    }

    /// Smallest and largest abscissa: the range for which a fit is valid.
    pub fn range(&self) -> (f64, f64) {
        self.x
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &x| {
                (low.min(x), high.max(x))
            })
    }

    /// Adds samples of `f` beyond the range seen, so that the fit stays safe for values that calibration missed.
    ///
    /// On each side `count` points run from the end of the range to `reach` times it; together they weigh
    /// `share` of the weight present. A rational of degrees `(m + 1, m)` has one slope at both infinities, so the
    /// tails of an activation such as SiLU cannot stay close indefinitely; this only sets how far they should.
    pub fn with_tails(mut self, f: impl Fn(f64) -> f64, reach: f64, count: usize, share: f64) -> Self {
        let (low, high) = self.range();
        let total: f64 = self.weights.iter().sum();
        let weight = share * total / (2 * count.max(1)) as f64;
        for i in 1..=count {
            let factor = 1.0 + (reach - 1.0) * i as f64 / count as f64;
            for x in [low.min(-f64::EPSILON) * factor, high.max(f64::EPSILON) * factor] {
                self.x.push(x);
                self.y.push(f(x));
                self.weights.push(weight);
            }
        }
        self
    }

    fn check(&self, free: usize) -> Result<(), RationalError> {
        for (what, list) in [("y", &self.y), ("weights", &self.weights)] {
            if list.len() != self.x.len() {
                return Err(RationalError::Length {
                    what,
                    expected: self.x.len(),
                    found: list.len(),
                });
            }
        }
        for (what, list) in [("x", &self.x), ("y", &self.y), ("weights", &self.weights)] {
            let is_weight = what == "weights";
            let refused = list
                .iter()
                .position(|value| !value.is_finite() || is_weight && *value < 0.0);
            if let Some(index) = refused {
                return Err(RationalError::NotFinite {
                    what,
                    index,
                    value: list[index],
                });
            }
        }
        let found = self.weights.iter().filter(|weight| **weight > 0.0).count();
        if found < free {
            Err(RationalError::TooFewSamples { expected: free, found })
        } else {
            Ok(())
        }
    }
}

/// The coefficients of smallest `sum_i w_i (F(x_i) - y_i)^2`, deterministic.
///
/// The numerator is solved exactly for every denominator tried; the denominator is searched from several starts on a
/// thinned sample and polished on all of them. Form A keeps every `b_k >= 0`, which loses nothing (only `|b_k|`
/// counts). `8192` samples of degrees (5, 4) take some tens of milliseconds.
///
/// # Errors
/// [`RationalError::Length`], [`RationalError::NotFinite`], [`RationalError::TooFewSamples`],
/// [`RationalError::Degrees`], [`RationalError::NoFit`].
pub fn weighted_least_squares(samples: &Samples, degrees: Degrees, form: Denominator) -> Result<Fit, RationalError> {
    degrees.validate()?;
    samples.check(degrees.coefficients())?;
    let problem = problem(samples, degrees, form);
    let best = solve(&problem).ok_or(RationalError::NoFit { degrees })?;
    Ok(summarise(samples, problem.unscaled(&best), form))
}

/// Scales the abscissae to `[-1, 1]` and the weights to mean one, ordered by abscissa.
fn problem(samples: &Samples, degrees: Degrees, form: Denominator) -> Problem {
    let mut order: Vec<usize> = (0..samples.x.len()).filter(|&i| samples.weights[i] > 0.0).collect();
    order.sort_by(|&i, &j| samples.x[i].total_cmp(&samples.x[j]));
    let largest = order.iter().map(|&i| samples.x[i].abs()).fold(0.0, f64::max);
    let scale = if largest > 0.0 { largest } else { 1.0 };
    let mean = order.iter().map(|&i| samples.weights[i]).sum::<f64>() / order.len() as f64;
    Problem {
        u: order.iter().map(|&i| samples.x[i] / scale).collect(),
        y: order.iter().map(|&i| samples.y[i]).collect(),
        roots: order.iter().map(|&i| (samples.weights[i] / mean).sqrt()).collect(),
        scale,
        degrees,
        form,
    }
}

/// Searches on a thinned sample from every start, then refines the two best on all samples.
pub(super) fn solve(problem: &Problem) -> Option<Candidate> {
    let stride = problem.u.len().div_ceil(SEARCH_SAMPLES);
    let thinned;
    let sketch = if stride > 1 {
        thinned = thin(problem, stride);
        &thinned
    } else {
        problem
    };
    let mut found: Vec<Candidate> = problem
        .starts()
        .iter()
        .filter_map(|start| sketch.search(start, 60))
        .collect();
    found.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    let finalists = found
        .iter()
        .take(2)
        .filter_map(|candidate| problem.search(&candidate.denominator, 60));
    finalists.min_by(|a, b| a.cost.total_cmp(&b.cost))
}

/// Every `stride`-th sample and the last. Each represents its neighbours, so the weights are their means.
fn thin(problem: &Problem, stride: usize) -> Problem {
    let last = problem.u.len() - 1;
    let mut kept: Vec<usize> = (0..=last).step_by(stride).collect();
    if kept.last() != Some(&last) {
        kept.push(last);
    }
    Problem {
        u: kept.iter().map(|&i| problem.u[i]).collect(),
        y: kept.iter().map(|&i| problem.y[i]).collect(),
        roots: kept
            .iter()
            .map(|&i| {
                root_mean_square(&problem.roots[i.saturating_sub(stride / 2)..(i + stride.div_ceil(2)).min(last + 1)])
            })
            .collect(),
        ..*problem
    }
}

fn root_mean_square(values: &[f64]) -> f64 {
    (values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64).sqrt()
}

fn summarise(samples: &Samples, coefficients: Coefficients, form: Denominator) -> Fit {
    let (mut max_error, mut squares, mut total) = (0.0f64, 0.0, 0.0);
    for ((&x, &y), &weight) in samples.x.iter().zip(&samples.y).zip(&samples.weights) {
        let error = coefficients.eval(x, form) - y;
        max_error = max_error.max(error.abs());
        squares += weight * error * error;
        total += weight;
    }
    Fit {
        coefficients,
        form,
        max_error,
        rms: (squares / total).sqrt(),
        range: samples.range(),
    }
}
