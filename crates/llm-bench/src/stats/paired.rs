//! Two models on the same documents.

use serde::Serialize;
use statrs::function::factorial::ln_binomial;

use super::clusters::{cluster_sums, clustered_estimate};
use super::student::TEstimate;
use super::{
    CONFIDENCE, Equivalence, Interval, SignFlip, check_finite, check_level, mean, mean_stderr,
    minimal_detectable_difference, normal_quantile, paired_equivalence, sign_flip, t_detectable, turning_point,
};
use crate::BenchError;

/// Two-sided p-value of McNemar's exact test: the binomial test of `only_a` against `only_b`, the numbers of
/// documents that only one of the models gets right. 1 when they never differ.
pub fn mcnemar_exact(only_a: usize, only_b: usize) -> f64 {
    let (n, k) = ((only_a + only_b) as u64, only_a.min(only_b) as u64);
    if n == 2 * k {
        return 1.0;
    }
    // P(X = k) once through logarithms; the terms below it by the ratio of neighbours, which cannot overflow.
    let mut term = (ln_binomial(n, k) - n as f64 * std::f64::consts::LN_2).exp();
    let mut tail = 0.0;
    for i in (0..=k).rev() {
        tail += term;
        term *= i as f64 / (n - i + 1) as f64;
    }
    (2.0 * tail).min(1.0)
}

/// Score interval of the difference `(only_b - only_a) / n` of two paired proportions (Tango 1998): the differences
/// that a score test does not reject. Where the models never disagreed it still has a width.
///
/// # Errors
/// Without documents, with more disagreements than documents, or a confidence outside (0, 1).
pub fn paired_score_interval(only_a: usize, only_b: usize, n: usize, confidence: f64) -> Result<Interval, BenchError> {
    check_level("paired score interval", "the confidence", confidence)?;
    if n == 0 || only_a + only_b > n {
        return Err(BenchError::Statistic {
            statistic: "paired score interval",
            problem: format!("{only_a} and {only_b} documents right in one model alone, of {n}"),
        });
    }
    let (a, b, n) = (only_a as f64, only_b as f64, n as f64);
    let quantile = normal_quantile(0.5 + confidence / 2.0);
    let estimate = (b - a) / n;
    // The statistic falls as the difference grows, from above the quantile to below its negative.
    Ok(Interval {
        low: turning_point(-1.0, estimate, |d| score_statistic(a, b, n, d) > quantile),
        high: turning_point(estimate, 1.0, |d| score_statistic(a, b, n, d) >= -quantile),
    })
}

/// Tango's statistic for the hypothesis that the true difference is `d`: standard normal if it is.
pub(super) fn score_statistic(a: f64, b: f64, n: f64, d: f64) -> f64 {
    // The probability that only the first model is right, at its most likely for a difference of `d`: the larger root
    // of 2 n q^2 + linear q - a d (1 - d) = 0.
    let linear = (2.0 * n + a - b) * d - a - b;
    let root = (linear * linear + 8.0 * n * a * d * (1.0 - d)).max(0.0).sqrt();
    let only_a = (root - linear) / (4.0 * n);
    (b - a - n * d) / (n * (2.0 * only_a + d * (1.0 - d))).sqrt()
}

/// How two models' outcomes are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PairedTest {
    /// Outcomes are 0 and 1: McNemar's exact test ([`mcnemar_exact`]) and Tango's interval ([`paired_score_interval`]).
    McNemar,
    /// Outcomes are any numbers: Student's paired test and interval ([`mean_interval`](super::mean_interval) of the
    /// differences).
    StudentT,
    /// Documents form clusters: the same with clustered standard errors
    /// ([`clustered_stderr`](super::clustered_stderr)), and one degree of freedom less than there are clusters.
    ClusteredT,
}

/// A comparison of two models' outcomes on the same documents.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedComparison {
    /// Number of documents.
    pub n: usize,
    /// Number of independent clusters of documents; the number of documents if they form none.
    pub clusters: usize,
    /// Mean of the second model's outcomes less that of the first.
    pub difference: f64,
    /// Interval of the difference at confidence [`CONFIDENCE`].
    pub interval: Interval,
    /// Documents on which the first model's outcome is the larger one: with 0 and 1, those that it alone gets right.
    pub larger_a: usize,
    /// Documents on which the second model's outcome is the larger one.
    pub larger_b: usize,
    /// Two-sided p-value, uncorrected.
    pub p_value: f64,
    /// The test that gave the interval and the p-value.
    pub test: PairedTest,
    /// Standard error of the difference; 0 for a single document.
    pub stderr: f64,
}

impl PairedComparison {
    /// The smallest difference that the test finds with probability `power` at two-sided level `alpha`, given how much
    /// the models' outcomes differ here: [`minimal_detectable_difference`], or for Student's test [`t_detectable`] times
    /// the standard deviation of the differences. `None` where the differences do not vary, which says nothing about how
    /// much others would.
    ///
    /// # Errors
    /// For a level or power outside (0, 1).
    pub fn detectable(&self, alpha: f64, power: f64) -> Result<Option<f64>, BenchError> {
        if self.test == PairedTest::McNemar {
            let discordance = (self.larger_a + self.larger_b) as f64 / self.n as f64;
            return minimal_detectable_difference(self.n, discordance, alpha, power).map(Some);
        }
        let deviation = self.stderr * (self.clusters as f64).sqrt();
        let detectable = t_detectable(self.clusters, alpha, power)? * deviation;
        Ok(Some(detectable).filter(|detectable| *detectable > 0.0))
    }

    /// Two one-sided tests of the difference against a margin: Tango's for outcomes of 0 and 1, otherwise Student's.
    ///
    /// # Errors
    /// For a margin that is not positive, and one of 1 or more for outcomes of 0 and 1.
    pub fn equivalence(&self, margin: f64) -> Result<Equivalence, BenchError> {
        if self.test == PairedTest::McNemar {
            return paired_equivalence(self.larger_a, self.larger_b, self.n, margin);
        }
        let estimate = TEstimate {
            centre: self.difference,
            stderr: self.stderr,
            n: self.clusters,
        };
        estimate.equivalence(margin)
    }
}

/// Whether all outcomes are 1 (right) or 0 (wrong).
pub(crate) fn is_binary(outcomes: &[f64]) -> bool {
    outcomes.iter().all(|value| *value == 0.0 || *value == 1.0)
}

/// Compares two models' outcomes on the same documents in the same order. The test follows from the outcomes: see
/// [`PairedTest`].
///
/// # Errors
/// For inputs of different or zero length, outcomes that are not finite, or a single document whose outcomes are not 0
/// and 1.
pub fn compare_paired(a: &[f64], b: &[f64]) -> Result<PairedComparison, BenchError> {
    let differences = differences(a, b)?;
    if !(is_binary(a) && is_binary(b)) {
        let estimate = TEstimate::of(&differences, "paired comparison")?;
        return Ok(by_student(PairedTest::StudentT, &differences, &estimate));
    }
    let (larger_a, larger_b) = larger(&differences);
    Ok(PairedComparison {
        n: a.len(),
        clusters: a.len(),
        difference: mean(b) - mean(a),
        interval: paired_score_interval(larger_a, larger_b, a.len(), CONFIDENCE)?,
        larger_a,
        larger_b,
        p_value: mcnemar_exact(larger_a, larger_b),
        test: PairedTest::McNemar,
        stderr: mean_stderr(&differences).unwrap_or(0.0),
    })
}

/// The same for documents that are independent only between clusters, such as questions on one passage: `clusters`
/// holds the name of each document's cluster.
///
/// # Errors
/// As [`compare_paired`], and when there is not one cluster per document, or there are fewer than two.
pub fn compare_clustered(a: &[f64], b: &[f64], clusters: &[String]) -> Result<PairedComparison, BenchError> {
    let differences = differences(a, b)?;
    let estimate = clustered_estimate(&differences, clusters)?;
    Ok(by_student(PairedTest::ClusteredT, &differences, &estimate))
}

/// The permutation test of two models: [`sign_flip`](fn@sign_flip) of their differences, in which whole clusters are
/// exchanged where documents form some.
///
/// # Errors
/// For inputs of different or zero length, outcomes that are not finite, or not one cluster per document.
pub fn permutation_test(a: &[f64], b: &[f64], clusters: Option<&[String]>) -> Result<SignFlip, BenchError> {
    let differences = differences(a, b)?;
    match clusters {
        None => sign_flip(&differences),
        Some(clusters) => sign_flip(&cluster_sums(&differences, clusters)?),
    }
}

/// The second model's outcomes less the first's.
fn differences(a: &[f64], b: &[f64]) -> Result<Vec<f64>, BenchError> {
    if a.len() != b.len() || a.is_empty() {
        return Err(BenchError::Statistic {
            statistic: "paired comparison",
            problem: format!("{} and {} outcomes", a.len(), b.len()),
        });
    }
    check_finite(a)?;
    check_finite(b)?;
    Ok(a.iter().zip(b).map(|(a, b)| b - a).collect())
}

/// Documents on which the first model's outcome is the larger one, and those on which the second's is.
fn larger(differences: &[f64]) -> (usize, usize) {
    let a = differences.iter().filter(|difference| **difference < 0.0).count();
    let b = differences.iter().filter(|difference| **difference > 0.0).count();
    (a, b)
}

fn by_student(test: PairedTest, differences: &[f64], estimate: &TEstimate) -> PairedComparison {
    let (larger_a, larger_b) = larger(differences);
    PairedComparison {
        n: differences.len(),
        clusters: estimate.n,
        difference: estimate.centre,
        interval: estimate.interval(CONFIDENCE),
        larger_a,
        larger_b,
        p_value: estimate.is_zero(),
        test,
        stderr: estimate.stderr,
    }
}
