//! Student's t: means of values other than right and wrong.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{CONFIDENCE, Interval, check_level, mean, mean_stderr};
use crate::BenchError;

/// Student's interval of a mean (Student, *Biometrika* 6, 1908): the mean plus or minus a quantile of the t
/// distribution with `n - 1` degrees of freedom times the standard error.
///
/// # Errors
/// For fewer than two values, one that is not finite, or a confidence outside (0, 1).
pub fn mean_interval(values: &[f64], confidence: f64) -> Result<Interval, BenchError> {
    check_level("mean interval", "the confidence", confidence)?;
    Ok(TEstimate::of(values, "mean interval")?.interval(confidence))
}

/// The mean of values, tested against 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanTest {
    /// Number of values.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Its standard error.
    pub stderr: f64,
    /// Student's interval at confidence [`CONFIDENCE`].
    pub interval: Interval,
    /// Two-sided p-value of the hypothesis that the mean is 0. Values that are all the same have no variance to compare
    /// their mean with: their p-value is that of the sign-flip test, `2^(1 - n)`, or 1 if they are all 0.
    pub p_value: f64,
}

/// Student's test of a mean, of paired differences for instance.
///
/// # Errors
/// For fewer than two values, or one that is not finite.
pub fn mean_test(values: &[f64]) -> Result<MeanTest, BenchError> {
    let estimate = TEstimate::of(values, "mean test")?;
    Ok(MeanTest {
        n: estimate.n,
        mean: estimate.centre,
        stderr: estimate.stderr,
        interval: estimate.interval(CONFIDENCE),
        p_value: estimate.is_zero(),
    })
}

/// A mean and what is needed to test it.
pub(super) struct TEstimate {
    pub(super) centre: f64,
    pub(super) stderr: f64,
    /// Independent values: one more than the degrees of freedom.
    pub(super) n: usize,
}

impl TEstimate {
    /// Of independent values.
    pub(super) fn of(values: &[f64], statistic: &'static str) -> Result<Self, BenchError> {
        check_finite(values)?;
        let Some(stderr) = mean_stderr(values) else {
            return Err(BenchError::Statistic {
                statistic,
                problem: format!("at least 2 values are needed, found {}", values.len()),
            });
        };
        Ok(Self {
            centre: mean(values),
            stderr,
            n: values.len(),
        })
    }

    pub(super) fn interval(&self, confidence: f64) -> Interval {
        let half = quantile(self.n, 0.5 + confidence / 2.0) * self.stderr;
        Interval {
            low: self.centre - half,
            high: self.centre + half,
        }
    }

    /// Two-sided p-value of the hypothesis that the mean is 0, by Student's test.
    ///
    /// Values that are all the same have no variance to compare their mean with. Their p-value is that of the sign-flip
    /// test, `2^(1 - n)`, the smallest one that a test of `n` values without a distribution can give; 1 if they are all
    /// 0.
    pub(super) fn is_zero(&self) -> f64 {
        if self.centre == 0.0 {
            return 1.0;
        }
        2.0 * self.below(0.0).min(self.above(0.0))
    }

    /// p-value of the hypothesis that the mean is `bound` or more.
    pub(super) fn below(&self, bound: f64) -> f64 {
        let distance = self.centre - bound;
        // Differences of equal numbers may differ in their last bits.
        if self.stderr <= self.centre.abs().max(bound.abs()) * 1e-12 {
            return if distance < 0.0 {
                0.5f64.powi(self.n as i32)
            } else {
                1.0
            };
        }
        distribution(self.n).cdf(distance / self.stderr)
    }

    /// p-value of the hypothesis that the mean is `bound` or less.
    pub(super) fn above(&self, bound: f64) -> f64 {
        let mirrored = Self {
            centre: -self.centre,
            ..*self
        };
        mirrored.below(-bound)
    }
}

/// Quantile of the t distribution for the mean of `n` values.
pub(super) fn quantile(n: usize, p: f64) -> f64 {
    distribution(n).inverse_cdf(p)
}

fn distribution(n: usize) -> StudentsT {
    StudentsT::new(0.0, 1.0, (n - 1) as f64).expect("callers have at least two values")
}

pub(crate) fn check_finite(values: &[f64]) -> Result<(), BenchError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(BenchError::Statistic {
            statistic: "outcomes",
            problem: format!("finite numbers are expected, found {} at index {index}", values[index]),
        }),
    }
}
