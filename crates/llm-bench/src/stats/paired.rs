//! Two models on the same documents.

use statrs::function::factorial::ln_binomial;

use super::student::{self, check_finite};
use super::{
    CONFIDENCE, Interval, check_level, mean, mean_interval, mean_stderr, minimal_detectable_difference,
    normal_quantile, turning_point,
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
fn score_statistic(a: f64, b: f64, n: f64, d: f64) -> f64 {
    // The probability that only the first model is right, at its most likely for a difference of `d`: the larger root
    // of 2 n q^2 + linear q - a d (1 - d) = 0.
    let linear = (2.0 * n + a - b) * d - a - b;
    let root = (linear * linear + 8.0 * n * a * d * (1.0 - d)).max(0.0).sqrt();
    let only_a = (root - linear) / (4.0 * n);
    (b - a - n * d) / (n * (2.0 * only_a + d * (1.0 - d))).sqrt()
}

/// How two models' outcomes are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairedTest {
    /// Outcomes are 0 and 1: McNemar's exact test ([`mcnemar_exact`]) and Tango's interval ([`paired_score_interval`]).
    McNemar,
    /// Outcomes are any numbers: Student's paired test and interval ([`mean_interval`] of the differences).
    StudentT,
}

/// Two models' outcomes on the same documents, compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedComparison {
    /// Number of documents.
    pub n: usize,
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
    /// Which test gave interval and p-value.
    pub test: PairedTest,
    /// Standard error of the difference; 0 for a single document.
    pub stderr: f64,
}

impl PairedComparison {
    /// The smallest difference that the test finds with probability `power` at two-sided level `alpha`, given how much
    /// the models' outcomes differ here: [`minimal_detectable_difference`], or for Student's test `(t_(1 - alpha/2) +
    /// t_power) stderr`. `None` where the differences do not vary, which says nothing about how much others would.
    ///
    /// # Errors
    /// For a level or power outside (0, 1).
    pub fn detectable(&self, alpha: f64, power: f64) -> Result<Option<f64>, BenchError> {
        if self.test == PairedTest::McNemar {
            let discordance = (self.larger_a + self.larger_b) as f64 / self.n as f64;
            return minimal_detectable_difference(self.n, discordance, alpha, power).map(Some);
        }
        check_level("minimal detectable difference", "alpha", alpha)?;
        check_level("minimal detectable difference", "the power", power)?;
        let quantiles = student::quantile(self.n, 1.0 - alpha / 2.0) + student::quantile(self.n, power);
        Ok(Some(quantiles * self.stderr).filter(|detectable| *detectable > 0.0))
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
    if a.len() != b.len() || a.is_empty() {
        return Err(BenchError::Statistic {
            statistic: "paired comparison",
            problem: format!("{} and {} outcomes", a.len(), b.len()),
        });
    }
    check_finite(a)?;
    check_finite(b)?;
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| b - a).collect();
    let larger_a = differences.iter().filter(|difference| **difference < 0.0).count();
    let larger_b = differences.iter().filter(|difference| **difference > 0.0).count();
    let stderr = mean_stderr(&differences).unwrap_or(0.0);
    let test = if is_binary(a) && is_binary(b) {
        PairedTest::McNemar
    } else {
        PairedTest::StudentT
    };
    let (interval, p_value) = match test {
        PairedTest::McNemar => (
            paired_score_interval(larger_a, larger_b, a.len(), CONFIDENCE)?,
            mcnemar_exact(larger_a, larger_b),
        ),
        PairedTest::StudentT => (
            mean_interval(&differences, CONFIDENCE)?,
            student::mean_is_zero(&differences, stderr),
        ),
    };
    Ok(PairedComparison {
        n: a.len(),
        difference: mean(b) - mean(a),
        interval,
        larger_a,
        larger_b,
        p_value,
        test,
        stderr,
    })
}
