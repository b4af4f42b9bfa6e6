//! The paired bootstrap.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{CONFIDENCE, Interval};
use crate::BenchError;

/// How the bootstrap draws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedOptions {
    /// Resamples: 10,000.
    pub resamples: usize,
    /// Seed: 0.
    pub seed: u64,
}

impl Default for PairedOptions {
    fn default() -> Self {
        Self {
            resamples: 10_000,
            seed: 0,
        }
    }
}

/// Percentile interval of the mean difference `b - a` at confidence [`CONFIDENCE`], by resampling documents (Efron
/// 1979), seeded (ChaCha8). It is meant for values other than 0 and 1: for those it is too narrow where models rarely
/// disagree, and [`paired_score_interval`] is not.
///
/// # Errors
/// For inputs of different or zero length, or no resamples.
pub fn paired_bootstrap(a: &[f64], b: &[f64], options: &PairedOptions) -> Result<Interval, BenchError> {
    if a.len() != b.len() || a.is_empty() || options.resamples == 0 {
        return Err(BenchError::Statistic {
            statistic: "paired bootstrap",
            problem: format!("{} and {} values, {} resamples", a.len(), b.len(), options.resamples),
        });
    }
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| b - a).collect();
    let mut random = ChaCha8Rng::seed_from_u64(options.seed);
    let n = differences.len();
    let mut means = Vec::with_capacity(options.resamples);
    for _ in 0..options.resamples {
        means.push((0..n).map(|_| differences[random.random_range(0..n)]).sum::<f64>() / n as f64);
    }
    means.sort_by(f64::total_cmp);
    let tail = (1.0 - CONFIDENCE) / 2.0;
    Ok(Interval {
        low: quantile(&means, tail),
        high: quantile(&means, 1.0 - tail),
    })
}

/// Linear interpolation between order statistics (NumPy's default).
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let (below, share) = (position.floor() as usize, position.fract());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + share * (sorted[above] - sorted[below])
}
