//! Variable projection. For every denominator, the best numerator is the solution of a linear least-squares problem, so
//! only the denominator has to be searched for (Golub and Pereyra, 1973, with Kaufman's simplified Jacobian, 1975).
//!
//! The search uses the Levenberg-Marquardt method. In form A the unknowns are `|b_k|`. They are kept non-negative by
//! solving every step as a quadratic program. With this method a coefficient can become exactly zero and later become
//! positive again.

use super::linalg::{Factored, dot, quadratic_programme};
use crate::{Coefficients, Degrees, Denominator};

/// Samples in the scaled variable `u = x / scale`, `|u| <= 1`.
pub(super) struct Problem {
    pub(super) u: Vec<f64>,
    pub(super) y: Vec<f64>,
    /// Square roots of the weights.
    pub(super) roots: Vec<f64>,
    pub(super) scale: f64,
    pub(super) degrees: Degrees,
    pub(super) form: Denominator,
}

/// A denominator in the scaled variable with its optimal numerator.
#[derive(Clone)]
pub(super) struct Candidate {
    /// Weighted sum of squared errors.
    pub(super) cost: f64,
    pub(super) numerator: Vec<f64>,
    pub(super) denominator: Vec<f64>,
}

/// The quantities that a step needs at one denominator.
struct State {
    candidate: Candidate,
    factored: Factored,
    residual: Vec<f64>,
    reciprocal: Vec<f64>,
    side: Vec<f64>,
}

impl Problem {
    /// The coefficients of `x` from those of `u`.
    pub(super) fn unscaled(&self, candidate: &Candidate) -> Coefficients {
        Coefficients {
            numerator: divided_by_powers(&candidate.numerator, self.scale, 0),
            denominator: divided_by_powers(&candidate.denominator, self.scale, 1),
        }
    }

    /// Even denominators `(1 + (u / t)^2)^(m / 2)` whose bend lies at several fractions of the range.
    pub(super) fn starts(&self) -> Vec<Vec<f64>> {
        let half = self.degrees.denominator / 2;
        let mut starts = Vec::new();
        for t in [0.03, 0.08, 0.2, 0.5, 1.2_f64] {
            let mut start = vec![0.0; self.degrees.denominator];
            let mut binomial = 1.0;
            for j in 1..=half {
                binomial *= (half + 1 - j) as f64 / j as f64;
                start[2 * j - 1] = binomial / t.powi(2 * j as i32);
            }
            if half == 0 {
                start[0] = 1.0 / t;
            }
            starts.push(start);
        }
        starts
    }

    /// Searches from `start`; `None` when not even the start is finite.
    pub(super) fn search(&self, start: &[f64], steps: usize) -> Option<Candidate> {
        let mut state = self.state(start)?;
        let mut damping = 1e-3;
        let mut stalled = 0;
        for _ in 0..steps {
            let (gram, gradient) = self.normal_equations(&state);
            let mut improved = false;
            while damping < 1e12 {
                let next = self
                    .step(&state, &gram, &gradient, damping)
                    .and_then(|denominator| self.state(&denominator));
                match next {
                    Some(next) if next.candidate.cost < state.candidate.cost => {
                        let gain = 1.0 - next.candidate.cost / state.candidate.cost;
                        stalled = if gain < 1e-9 { stalled + 1 } else { 0 };
                        state = next;
                        damping = (damping * 0.2).max(1e-14);
                        improved = true;
                        break;
                    }
                    _ => damping *= 4.0,
                }
            }
            if !improved || stalled >= 2 {
                break;
            }
        }
        Some(state.candidate)
    }

    /// The best numerator for one denominator.
    fn state(&self, denominator: &[f64]) -> Option<State> {
        let count = self.degrees.numerator + 1;
        let (reciprocal, side) = self.reciprocals(denominator);
        let mut columns = Vec::with_capacity(count);
        columns.push(
            reciprocal
                .iter()
                .zip(&self.roots)
                .map(|(r, w)| r * w)
                .collect::<Vec<f64>>(),
        );
        for k in 1..count {
            let column: Vec<f64> = columns[k - 1].iter().zip(&self.u).map(|(c, u)| c * u).collect();
            columns.push(column);
        }
        let factored = Factored::new(columns);
        let mut residual: Vec<f64> = self.y.iter().zip(&self.roots).map(|(y, w)| y * w).collect();
        factored.rotate(&mut residual);
        let numerator = factored.solve(&residual);
        let cost = dot(&residual[count..], &residual[count..]);
        let candidate = Candidate {
            cost,
            numerator,
            denominator: denominator.to_vec(),
        };
        let finite = cost.is_finite() && candidate.numerator.iter().all(|a| a.is_finite());
        finite.then_some(State {
            candidate,
            factored,
            residual,
            reciprocal,
            side,
        })
    }

    /// `1 / Q` and, for form B, the sign of the inner sum, at every sample.
    fn reciprocals(&self, denominator: &[f64]) -> (Vec<f64>, Vec<f64>) {
        match self.form {
            Denominator::SumOfAbs => (
                self.u
                    .iter()
                    .map(|u| 1.0 / (1.0 + without_constant(denominator, u.abs())))
                    .collect(),
                Vec::new(),
            ),
            Denominator::AbsOfSum => {
                let inner: Vec<f64> = self.u.iter().map(|&u| without_constant(denominator, u)).collect();
                (
                    inner.iter().map(|s| 1.0 / (1.0 + s.abs())).collect(),
                    inner.iter().map(|s| s.signum()).collect(),
                )
            }
        }
    }

    /// Gram matrix and gradient of the projected residual with respect to the denominator.
    fn normal_equations(&self, state: &State) -> (Vec<Vec<f64>>, Vec<f64>) {
        let first = self.degrees.numerator + 1;
        let a = &state.candidate.numerator;
        let mut term: Vec<f64> = (0..self.u.len())
            .map(|i| {
                let p = a.iter().rev().fold(0.0, |sum, a| sum * self.u[i] + a);
                let side = state.side.get(i).copied().unwrap_or(1.0);
                side * self.roots[i] * p * state.reciprocal[i] * state.reciprocal[i]
            })
            .collect();
        let mut columns = Vec::with_capacity(self.degrees.denominator);
        for _ in 0..self.degrees.denominator {
            for (entry, u) in term.iter_mut().zip(&self.u) {
                *entry *= if self.form == Denominator::SumOfAbs {
                    u.abs()
                } else {
                    *u
                };
            }
            let mut column = term.clone();
            state.factored.rotate(&mut column);
            columns.push(column);
        }
        let gram = columns
            .iter()
            .map(|a| columns.iter().map(|b| dot(&a[first..], &b[first..])).collect())
            .collect();
        let gradient = columns
            .iter()
            .map(|a| dot(&a[first..], &state.residual[first..]))
            .collect();
        (gram, gradient)
    }

    /// The denominator after a step damped by `damping`.
    fn step(&self, state: &State, gram: &[Vec<f64>], gradient: &[f64], damping: f64) -> Option<Vec<f64>> {
        let count = gradient.len();
        let mut matrix = gram.to_vec();
        for (i, row) in matrix.iter_mut().enumerate() {
            row[i] *= 1.0 + damping;
        }
        let here = &state.candidate.denominator;
        let target: Vec<f64> = (0..count)
            .map(|i| (0..count).map(|j| matrix[i][j] * here[j]).sum::<f64>() - gradient[i])
            .collect();
        quadratic_programme(&matrix, &target, self.form == Denominator::SumOfAbs)
    }
}

/// `c_k / scale^(k + first)`.
fn divided_by_powers(coefficients: &[f64], scale: f64, first: usize) -> Vec<f64> {
    let numbered = coefficients.iter().enumerate();
    numbered.map(|(k, c)| c / scale.powi((k + first) as i32)).collect()
}

/// `b_1 u + b_2 u^2 + ..` by Horner's rule.
fn without_constant(denominator: &[f64], u: f64) -> f64 {
    denominator.iter().rev().fold(0.0, |sum, b| (sum + b) * u)
}
