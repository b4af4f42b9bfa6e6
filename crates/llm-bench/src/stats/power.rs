//! Power: how often a test finds a difference of a given size, and which size it finds often enough.

use statrs::distribution::{Binomial, Discrete};
use statrs::function::gamma::ln_gamma;

use super::{check_level, normal_cdf, student};
use crate::BenchError;

/// Probability that Student's two-sided paired test of `n` differences at level `alpha` finds a mean of `effect`
/// standard deviations: that of a noncentral t distribution outside the critical values.
///
/// With `s` the sample's standard deviation over the true one, `nu s^2` is chi-squared with `nu = n - 1` degrees of
/// freedom and independent of the mean, so the power is the expectation over `s` of the normal probability
/// `P(|Z + effect sqrt(n)| > t s)`, which is integrated over the density of `s`.
///
/// # Errors
/// For fewer than two differences, an effect that is not finite, or a level outside (0, 1).
pub fn t_power(n: usize, effect: f64, alpha: f64) -> Result<f64, BenchError> {
    check_level("power", "alpha", alpha)?;
    if n < 2 || !effect.is_finite() {
        return Err(BenchError::Statistic {
            statistic: "power",
            problem: format!("at least 2 differences and a finite effect are needed, found {n} and {effect}"),
        });
    }
    Ok(noncentral_tails(n, effect.abs() * (n as f64).sqrt(), alpha))
}

/// The smallest mean, in standard deviations of the differences, that Student's two-sided paired test of `n` differences
/// finds with probability `power` at level `alpha`; by bisection of [`t_power`].
///
/// # Errors
/// As [`t_power`], and for a power outside (0, 1).
pub fn t_detectable(n: usize, alpha: f64, power: f64) -> Result<f64, BenchError> {
    check_level("minimal detectable difference", "the power", power)?;
    t_power(n, 0.0, alpha)?;
    let root = (n as f64).sqrt();
    let mut high = 4.0;
    while noncentral_tails(n, high, alpha) < power {
        high *= 2.0;
    }
    let (mut low, mut high) = (0.0, high);
    while high - low > high * 1e-10 {
        let middle = (low + high) / 2.0;
        if noncentral_tails(n, middle, alpha) < power {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(high / root)
}

/// Probability that a noncentral t variable with `n - 1` degrees of freedom lies outside the two-sided critical values:
/// the trapezoidal rule over `ln s`, where the integrand is smooth and vanishes at both ends.
fn noncentral_tails(n: usize, shift: f64, alpha: f64) -> f64 {
    let nu = (n - 1) as f64;
    let critical = student::quantile(n, 1.0 - alpha / 2.0);
    // The density of s is about `width` wide, and the normal probability changes over one part in `shift` of s.
    let width = (2.0 * nu).sqrt().recip().min(0.35);
    let (low, high) = (-(36.0 / nu).max(10.0 * width), (10.0 * width).ln_1p());
    let steps = ((high - low) / width.min(shift.recip()) * 2.5).ceil();
    let step = (high - low) / steps;
    let scale = std::f64::consts::LN_2 + nu / 2.0 * (nu / 2.0).ln() - ln_gamma(nu / 2.0);
    let mut sum = 0.0;
    for i in 0..=steps as usize {
        let log = low + i as f64 * step;
        let s = log.exp();
        let density = (scale + nu * log - nu * s * s / 2.0).exp();
        sum += density * (normal_cdf(shift - critical * s) + normal_cdf(-shift - critical * s));
    }
    sum * step
}

/// Probability that McNemar's exact test on `n` documents finds, at level `alpha`, that the accuracies of two models
/// differ by `difference`, if they disagree on a share `discordance` of all documents: summed over every number of
/// documents on which they may disagree, and over every way to divide these that the test rejects.
///
/// # Errors
/// Without documents, for a level outside (0, 1), or a discordance outside 0 to 1 or below the difference.
pub fn mcnemar_power(n: usize, discordance: f64, difference: f64, alpha: f64) -> Result<f64, BenchError> {
    check_level("power", "alpha", alpha)?;
    let possible = (0.0..=1.0).contains(&discordance) && difference.abs() <= discordance;
    if n == 0 || !possible {
        return Err(BenchError::Statistic {
            statistic: "power",
            problem: format!("{n} documents, discordance {discordance}, difference {difference}"),
        });
    }
    Ok(McNemarPower::new(n, alpha).power(discordance, difference))
}

/// The smallest difference of two accuracies that McNemar's exact test on `n` shared documents finds with probability
/// `power` at two-sided level `alpha`, if the models disagree on a share `discordance` of the documents; by bisection of
/// [`mcnemar_power`].
///
/// Models that differ by more than that share disagree at least as often as they differ, so two models that never
/// disagreed do not make every difference detectable. 1 when there are too few documents to find any difference.
///
/// # Errors
/// Without documents, or a share or level out of range.
pub fn minimal_detectable_difference(n: usize, discordance: f64, alpha: f64, power: f64) -> Result<f64, BenchError> {
    let statistic = "minimal detectable difference";
    check_level(statistic, "alpha", alpha)?;
    check_level(statistic, "the power", power)?;
    if n == 0 || !(0.0..=1.0).contains(&discordance) {
        return Err(BenchError::Statistic {
            statistic,
            problem: format!("{n} documents, discordance {discordance}"),
        });
    }
    Ok(McNemarPower::new(n, alpha).detectable(discordance, power))
}

/// The critical values of McNemar's exact test for every number of disagreements.
struct McNemarPower {
    n: usize,
    /// By the number of disagreements: the largest smaller count that is rejected.
    critical: Vec<Option<usize>>,
}

impl McNemarPower {
    fn new(n: usize, alpha: f64) -> Self {
        let mut critical = Vec::with_capacity(n + 1);
        let mut tail = LowerTail::new(0, 0, 0.5);
        for _ in 0..=n {
            // The critical value grows by at most one with each disagreement.
            if 2.0 * tail.value < alpha {
                tail.raise();
            }
            critical.push(tail.count.checked_sub(1));
            tail.add_trial();
        }
        Self { n, critical }
    }

    fn power(&self, discordance: f64, difference: f64) -> f64 {
        if discordance == 0.0 {
            return 0.0;
        }
        let share = (0.5 + difference / (2.0 * discordance)).clamp(0.0, 1.0);
        let (from, to) = likely(self.n, discordance);
        let Some(from) = (from..=to).find(|m| self.critical[*m].is_some()) else {
            return 0.0;
        };
        let disagreements = Binomial::new(discordance, self.n as u64).expect("a discordance is a probability");
        // Either model may be the one that is right less often.
        let mut tails = [share, 1.0 - share].map(|share| LowerTail::new(from, self.critical[from].unwrap_or(0), share));
        let mut power = 0.0;
        for m in from..=to {
            for tail in &mut tails {
                if self.critical[m] > Some(tail.count) {
                    tail.raise();
                }
                power += disagreements.pmf(m as u64) * tail.value;
                tail.add_trial();
            }
        }
        power
    }

    /// The smallest difference that is found with probability `power`, to seven digits; 1 if none is.
    fn detectable(&self, discordance: f64, power: f64) -> f64 {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..24 {
            let middle = (low + high) / 2.0;
            if self.power(discordance.max(middle), middle) < power {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }
}

/// Numbers of disagreements outside of which less than 1e-12 of the probability lies.
fn likely(n: usize, discordance: f64) -> (usize, usize) {
    let centre = n as f64 * discordance;
    // Bernstein's inequality, with 2 exp(-28).
    let half = (2.0 * 28.0 * centre * (1.0 - discordance)).sqrt() + 2.0 * 28.0 / 3.0 + 1.0;
    (
        (centre - half).max(0.0) as usize,
        ((centre + half).ceil() as usize).min(n),
    )
}

/// The binomial probability of at most `count` successes, which follows more trials and a higher count in one term each.
struct LowerTail {
    trials: usize,
    count: usize,
    share: f64,
    value: f64,
}

impl LowerTail {
    fn new(trials: usize, count: usize, share: f64) -> Self {
        let mut tail = Self {
            trials,
            count,
            share,
            value: 0.0,
        };
        tail.value = (0..=count).map(|successes| tail.probability(successes)).sum();
        tail
    }

    fn probability(&self, successes: usize) -> f64 {
        let trials = Binomial::new(self.share, self.trials as u64).expect("a share is a probability");
        trials.pmf(successes as u64)
    }

    /// A success more than `count` is one that the new trial adds.
    fn add_trial(&mut self) {
        self.value = (self.value - self.share * self.probability(self.count)).max(0.0);
        self.trials += 1;
    }

    fn raise(&mut self) {
        self.count += 1;
        self.value = (self.value + self.probability(self.count)).min(1.0);
    }
}
