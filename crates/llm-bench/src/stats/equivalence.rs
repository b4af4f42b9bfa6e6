//! Equivalence: whether a difference is smaller than a margin stated beforehand.

use super::paired::score_statistic;
use super::student::TEstimate;
use super::{CONFIDENCE, Interval, normal_cdf, paired_score_interval};
use crate::BenchError;

/// Result of two one-sided tests (TOST) of a difference against the two ends of a margin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Equivalence {
    /// Differences between `-margin` and `margin` count as equivalent.
    pub margin: f64,
    /// The larger of the two one-sided p-values: below 0.05 the difference is shown to lie within the margin.
    pub p_value: f64,
    /// The interval of the difference at confidence 0.9; it lies within the margin where the p-value is below 0.05.
    pub interval: Interval,
}

/// Confidence of the interval that belongs to two one-sided tests at level 0.05.
const TOST_CONFIDENCE: f64 = 2.0 * CONFIDENCE - 1.0;

/// Two one-sided Student tests of the mean of paired differences (Schuirmann, *J. Pharmacokinet. Biopharm.* 15, 1987):
/// against the hypotheses that it is `-margin` or less, and that it is `margin` or more.
///
/// Differences that are all the same have no variance; if they lie within the margin the p-value is `2^-n`, the smallest
/// one that a one-sided test without a distribution can give.
///
/// # Errors
/// For fewer than two differences, one that is not finite, or a margin that is not positive.
pub fn equivalence(differences: &[f64], margin: f64) -> Result<Equivalence, BenchError> {
    TEstimate::of(differences, "equivalence")?.equivalence(margin)
}

/// The same for two paired proportions, by Tango's score test against `-margin` and `margin` (Tango, *Stat. Med.* 17,
/// 1998). Arguments as in [`paired_score_interval`].
///
/// # Errors
/// Without documents, with more disagreements than documents, or a margin outside (0, 1).
pub fn paired_equivalence(only_a: usize, only_b: usize, n: usize, margin: f64) -> Result<Equivalence, BenchError> {
    super::check_level("equivalence", "the margin", margin)?;
    let interval = paired_score_interval(only_a, only_b, n, TOST_CONFIDENCE)?;
    let (a, b, n) = (only_a as f64, only_b as f64, n as f64);
    let (low, high) = (score_statistic(a, b, n, -margin), score_statistic(a, b, n, margin));
    Ok(Equivalence {
        margin,
        p_value: normal_cdf(-low).max(normal_cdf(high)),
        interval,
    })
}

impl TEstimate {
    pub(super) fn equivalence(&self, margin: f64) -> Result<Equivalence, BenchError> {
        if !(margin.is_finite() && margin > 0.0) {
            return Err(BenchError::Statistic {
                statistic: "equivalence",
                problem: format!("the margin must be a positive number, found {margin}"),
            });
        }
        let p_value = self.above(-margin).max(self.below(margin));
        Ok(Equivalence {
            margin,
            p_value,
            interval: self.interval(TOST_CONFIDENCE),
        })
    }
}
