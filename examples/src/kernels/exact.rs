//! The outputs of a call in f64 arithmetic, and how far others are from them.

use super::Call;
use burn::tensor::{Tensor, backend::Backend};
use kan_rational::{RationalBackend, reference::scalar};
use serde::Serialize;

/// How far one output is from f64 arithmetic.
#[derive(Serialize)]
pub struct OutputError {
    /// Name of the output.
    pub output: &'static str,
    /// `||found - exact|| / ||exact||`
    pub of_norm: f64,
    /// `max|found - exact| / max|exact|`
    pub largest: f64,
}

impl OutputError {
    pub(super) fn of<B: Backend>(output: &'static str, found: Tensor<B, 2>, exact: &[f64]) -> Self {
        let differences: Vec<f64> = numbers(found).iter().zip(exact).map(|(f, e)| f - e).collect();
        Self {
            output,
            of_norm: norm(&differences) / norm(exact).max(f64::MIN_POSITIVE),
            largest: largest(&differences) / largest(exact).max(f64::MIN_POSITIVE),
        }
    }
}

impl<B: RationalBackend> Call<B> {
    /// The nine outputs of [`check`](Self::check) in f64.
    pub(super) fn exact(&self) -> [Vec<f64>; 9] {
        let [gate, up, gradient] = [&self.gate, &self.up, &self.gradient].map(|t| numbers(t.clone()));
        let [a, b] = [&self.numerator, &self.denominator].map(|t| numbers(t.clone()));
        let (n, m) = (a.len() / self.spec.groups, b.len() / self.spec.groups);
        let mut out: [Vec<f64>; 9] = Default::default();
        for (sums, length) in [(2, a.len()), (3, b.len()), (7, a.len()), (8, b.len())] {
            out[sums] = vec![0.0; length];
        }
        for (i, ((&x, &u), &g)) in gate.iter().zip(&up).zip(&gradient).enumerate() {
            let group = i % self.shape.channels * self.spec.groups / self.shape.channels;
            let (a, b) = (&a[group * n..][..n], &b[group * m..][..m]);
            let value = scalar::value(x, a, b, self.spec.denominator);
            let one = scalar::gradients(x, a, b, 1.0, self.spec.denominator);
            out[0].push(value);
            out[1].push(g * one.input);
            out[4].push(value * u);
            out[5].push(g * u * one.input);
            out[6].push(g * value);
            add(&mut out[2][group * n..], g, &one.numerator);
            add(&mut out[3][group * m..], g, &one.denominator);
            add(&mut out[7][group * n..], g * u, &one.numerator);
            add(&mut out[8][group * m..], g * u, &one.denominator);
        }
        out
    }
}

fn add(sums: &mut [f64], scale: f64, terms: &[f64]) {
    for (sum, term) in sums.iter_mut().zip(terms) {
        *sum += scale * term;
    }
}

fn numbers<B: Backend>(tensor: Tensor<B, 2>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// The largest magnitude; NaN where a number is.
fn largest(values: &[f64]) -> f64 {
    let magnitudes = values.iter().map(|value| value.abs());
    magnitudes.fold(
        0.0,
        |most: f64, value| if most.is_nan() || value <= most { most } else { value },
    )
}
