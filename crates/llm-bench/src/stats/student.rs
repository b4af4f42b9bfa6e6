//! Student's t: means of values other than right and wrong.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{Interval, check_level, mean, mean_stderr};
use crate::BenchError;

/// Student's interval of a mean (Student, *Biometrika* 6, 1908): the mean plus or minus a quantile of the t
/// distribution with `n - 1` degrees of freedom times the standard error.
///
/// # Errors
/// For fewer than two values, one that is not finite, or a confidence outside (0, 1).
pub fn mean_interval(values: &[f64], confidence: f64) -> Result<Interval, BenchError> {
    check_level("mean interval", "the confidence", confidence)?;
    check_finite(values)?;
    let Some(stderr) = mean_stderr(values) else {
        return Err(BenchError::Statistic {
            statistic: "mean interval",
            problem: format!("at least 2 values are needed, found {}", values.len()),
        });
    };
    let (centre, half) = (mean(values), quantile(values.len(), 0.5 + confidence / 2.0) * stderr);
    Ok(Interval {
        low: centre - half,
        high: centre + half,
    })
}

/// Two-sided p-value of the hypothesis that the mean is 0, by Student's test.
///
/// Values that are all the same have no variance to compare their mean with. Their p-value is that of the sign-flip
/// test, `2^(1 - n)`, the smallest one that a test of `n` values without a distribution can give; 1 if they are all 0.
pub(super) fn mean_is_zero(values: &[f64], stderr: f64) -> f64 {
    let centre = mean(values);
    if centre == 0.0 {
        return 1.0;
    }
    // Differences of equal numbers may differ in their last bits.
    if stderr <= centre.abs() * 1e-12 {
        return 2.0 * 0.5f64.powi(values.len() as i32);
    }
    2.0 * distribution(values.len()).cdf(-(centre / stderr).abs())
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
