//! The sign-flip test: a permutation test of paired differences.

use super::check_finite;
use crate::{BenchError, PythonRandom};

/// Differences other than zero up to which all patterns of signs are counted.
const ENUMERATED: usize = 20;
/// Number of patterns drawn if there are more differences.
const DRAWS: usize = 9_999;
/// Seed of the patterns drawn, so that a p-value is the same each time.
const SEED: u64 = 20_040_217;

/// Result of the sign-flip test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignFlip {
    /// Two-sided p-value.
    pub p_value: f64,
    /// The smallest p-value that so many differences can give, were all on one side: `2 / 2^n` where patterns are
    /// counted, one over their number where they are drawn. Differences of zero do not count.
    pub smallest: f64,
    /// Whether all patterns were counted.
    pub exact: bool,
}

/// Sign-flip test of the hypothesis that paired differences are as likely with either sign (Fisher, *The Design of
/// Experiments*, 1935, section 21): the share of the `2^n` patterns of signs for which the sum is at least as far from
/// zero as the one seen. With more than 20 differences other than zero, 9,999 patterns are drawn, and the one seen is
/// counted with them (Phipson and Smyth 2010).
///
/// For two models on the same documents this is the permutation test: under the hypothesis the models' outcomes on a
/// document can be exchanged. With outcomes of 0 and 1 it is McNemar's exact test. Where documents form clusters, give
/// the [`cluster_sums`](super::cluster_sums) of the differences: then whole clusters are exchanged.
///
/// # Errors
/// Without differences, or for one that is not finite.
pub fn sign_flip(differences: &[f64]) -> Result<SignFlip, BenchError> {
    if differences.is_empty() {
        return Err(BenchError::Statistic {
            statistic: "sign-flip test",
            problem: "at least one difference is needed, found none".to_owned(),
        });
    }
    check_finite(differences)?;
    let sizes: Vec<f64> = differences.iter().map(|d| d.abs()).filter(|d| *d > 0.0).collect();
    let Some((first, rest)) = sizes.split_first() else {
        return Ok(SignFlip {
            p_value: 1.0,
            smallest: 1.0,
            exact: true,
        });
    };
    // Sums that are equal but for rounding count as equal.
    let seen = differences.iter().sum::<f64>().abs() - 1e-9 * sizes.iter().sum::<f64>();
    let exact = sizes.len() <= ENUMERATED;
    let (extreme, patterns) = if exact {
        // Half of the patterns, those in which the first sign is a plus; the others are their mirror images.
        (count_extreme(rest, *first, seen), 1 << rest.len())
    } else {
        (1 + draw_extreme(&sizes, seen), DRAWS + 1)
    };
    Ok(SignFlip {
        p_value: extreme as f64 / patterns as f64,
        smallest: 1.0 / patterns as f64,
        exact,
    })
}

/// Patterns of signs of `rest` with which `sum` gets at least as far from zero as `seen`.
fn count_extreme(rest: &[f64], sum: f64, seen: f64) -> usize {
    match rest.split_first() {
        None => usize::from(sum.abs() >= seen),
        Some((next, rest)) => count_extreme(rest, sum + next, seen) + count_extreme(rest, sum - next, seen),
    }
}

/// The same among patterns drawn.
fn draw_extreme(sizes: &[f64], seen: f64) -> usize {
    let mut random = PythonRandom::new(SEED);
    (0..DRAWS)
        .filter(|_| draw_sum(sizes, &mut random).abs() >= seen)
        .count()
}

fn draw_sum(sizes: &[f64], random: &mut PythonRandom) -> f64 {
    let mut sum = 0.0;
    for sizes in sizes.chunks(32) {
        let mut signs = random.next_u32();
        for size in sizes {
            sum += if signs & 1 == 1 { *size } else { -size };
            signs >>= 1;
        }
    }
    sum
}
