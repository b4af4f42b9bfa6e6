//! Comparisons of every later variant with the first, across seeds. The seed is the statistical unit.

use std::cmp::Ordering;

use super::documents::POWER;
use super::quantity::{Observed, Quantity};
use super::variant::{Criteria, Variant};
use crate::BenchError;
use crate::stats::{
    CONFIDENCE, Equivalence, Interval, SignFlip, equivalence, holm, mcnemar_exact, mean_test, sign_flip, t_detectable,
};

/// Two variants compared across seeds in one quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct SeedComparison {
    /// What is compared.
    pub quantity: Quantity,
    /// The variant compared against.
    pub baseline: String,
    /// The variant compared.
    pub candidate: String,
    /// The values of both variants for each seed, the baseline's first.
    pub pairs: Vec<(Observed, Observed)>,
    /// The mean difference over seeds. `None` where a value of any seed is not known exactly: a mean of the others would
    /// leave out those that took longest.
    pub mean: Option<MeanDifference>,
    /// Two-sided, uncorrected: Student's paired test over seeds, or without a mean the sign test over the pairs whose
    /// order is certain.
    pub p_value: f64,
    /// After Holm's correction over all comparisons across seeds of the report.
    pub p_adjusted: f64,
}

/// The mean of the differences of all seeds, with its interval and tests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanDifference {
    /// Mean of the candidate's values less the baseline's.
    pub difference: f64,
    /// Student's 95 % interval.
    pub interval: Interval,
    /// Standard deviation of the differences.
    pub deviation: f64,
    /// The exact sign-flip test of the same differences.
    pub sign_flip: SignFlip,
    /// The smallest difference found four times out of five at level 0.05 shared by all comparisons across seeds
    /// (Bonferroni's share), at the standard deviation of these differences. `None` where they do not vary.
    pub detectable: Option<f64>,
    /// Two one-sided tests with the margin that the plan states for such a quantity, if it does.
    pub equivalence: Option<Equivalence>,
    /// The p-value of these after Holm's correction over all equivalence tests of the report.
    pub equivalence_adjusted: Option<f64>,
}

impl SeedComparison {
    /// Whether a difference is shown: the corrected p-value is below 0.05.
    pub fn is_finding(&self) -> bool {
        self.p_adjusted < 1.0 - CONFIDENCE
    }

    /// Whether equivalence within the stated margin is shown.
    pub fn is_equivalent(&self) -> bool {
        let adjusted = self.mean.and_then(|mean| mean.equivalence_adjusted);
        adjusted.is_some_and(|p| p < 1.0 - CONFIDENCE)
    }

    /// The candidate's value less the baseline's for each seed, where both are known.
    pub fn differences(&self) -> Vec<Option<f64>> {
        let pairs = self.pairs.iter();
        pairs
            .map(|(baseline, candidate)| Some(candidate.value()? - baseline.value()?))
            .collect()
    }

    /// Seeds for which the candidate is certainly better, and those for which the baseline is.
    pub fn seeds_won(&self) -> (usize, usize) {
        let (higher, lower) = self.ordered();
        if self.quantity.higher_is_better() {
            (higher, lower)
        } else {
            (lower, higher)
        }
    }

    /// Seeds for which the candidate's value is certainly the larger one, and those for which the baseline's is.
    fn ordered(&self) -> (usize, usize) {
        let orders = self
            .pairs
            .iter()
            .map(|(baseline, candidate)| candidate.order(*baseline));
        let orders: Vec<_> = orders.flatten().collect();
        let higher = orders.iter().filter(|order| **order == Ordering::Greater).count();
        let lower = orders.iter().filter(|order| **order == Ordering::Less).count();
        (higher, lower)
    }

    /// Whether the candidate is better by the mean, or without one by the number of seeds.
    pub fn candidate_is_better(&self) -> bool {
        match self.mean {
            Some(mean) => self.quantity.improvement(mean.difference) > 0.0,
            None => self.seeds_won().0 > self.seeds_won().1,
        }
    }

    /// The result in one or two words.
    pub(super) fn verdict(&self) -> &'static str {
        match (self.is_finding(), self.is_equivalent()) {
            (true, false) => "differs",
            (true, true) => "differs, within the margin",
            (false, true) => "equivalent",
            (false, false) => "cannot tell",
        }
    }

    /// Seeds for which a value of either variant is not known exactly.
    pub fn incomplete(&self) -> usize {
        self.differences()
            .iter()
            .filter(|difference| difference.is_none())
            .count()
    }

    fn new(
        quantity: Quantity,
        baseline: &Variant,
        candidate: &Variant,
        criteria: &Criteria,
    ) -> Result<Self, BenchError> {
        let runs = baseline.runs.iter().zip(&candidate.runs);
        let mut comparison = Self {
            pairs: runs.map(|(a, b)| (quantity.of(a), quantity.of(b))).collect(),
            baseline: baseline.name.clone(),
            candidate: candidate.name.clone(),
            quantity,
            mean: None,
            p_value: 1.0,
            p_adjusted: 1.0,
        };
        let differences: Option<Vec<f64>> = comparison.differences().into_iter().collect();
        let Some(differences) = differences else {
            let (higher, lower) = comparison.ordered();
            comparison.p_value = mcnemar_exact(higher, lower);
            return Ok(comparison);
        };
        let test = mean_test(&differences)?;
        let margin = comparison.quantity.margin(criteria);
        comparison.p_value = test.p_value;
        comparison.mean = Some(MeanDifference {
            difference: test.mean,
            interval: test.interval,
            sign_flip: sign_flip(&differences)?,
            deviation: test.stderr * (differences.len() as f64).sqrt(),
            detectable: None,
            equivalence: margin.map(|margin| equivalence(&differences, margin)).transpose()?,
            equivalence_adjusted: None,
        });
        Ok(comparison)
    }

    /// Whether this quantity was measured.
    fn is_measured(&self) -> bool {
        let mut observed = self.pairs.iter().flat_map(|(a, b)| [a, b]);
        observed.any(|observed| *observed != Observed::Missing)
    }
}

/// Compares every later variant with the first in every quantity, with Holm's correction. Empty for a single seed, from
/// which nothing follows for others.
pub(super) fn comparisons(variants: &[Variant], criteria: &Criteria) -> Result<Vec<SeedComparison>, BenchError> {
    let (baseline, candidates) = variants.split_first().expect("a report has a variant");
    let mut all = Vec::new();
    if baseline.runs.len() < 2 {
        return Ok(all);
    }
    for quantity in quantities(baseline, criteria) {
        for candidate in candidates {
            all.push(SeedComparison::new(quantity.clone(), baseline, candidate, criteria)?);
        }
    }
    all.retain(SeedComparison::is_measured);
    correct_for_many(&mut all, baseline.runs.len())?;
    Ok(all)
}

fn quantities(variant: &Variant, criteria: &Criteria) -> Vec<Quantity> {
    let mut quantities = vec![Quantity::HeldOutLoss];
    if let Some(target) = criteria.target_loss {
        quantities.extend([Quantity::Tokens { target }, Quantity::Seconds { target }]);
    }
    let tasks = variant.runs[0].tasks.iter();
    quantities.extend(tasks.map(|outcomes| Quantity::Task(outcomes.measure.clone())));
    quantities
}

fn correct_for_many(comparisons: &mut [SeedComparison], seeds: usize) -> Result<(), BenchError> {
    let level = (1.0 - CONFIDENCE) / comparisons.len().max(1) as f64;
    let effect = t_detectable(seeds, level, POWER)?;
    let raw: Vec<f64> = comparisons.iter().map(|comparison| comparison.p_value).collect();
    for (comparison, adjusted) in comparisons.iter_mut().zip(holm(&raw)) {
        comparison.p_adjusted = adjusted;
    }
    let means: Vec<&mut MeanDifference> = comparisons.iter_mut().filter_map(|c| c.mean.as_mut()).collect();
    let tests = means.iter().filter_map(|mean| mean.equivalence);
    let mut equivalent = holm(&tests.map(|test| test.p_value).collect::<Vec<_>>()).into_iter();
    for mean in means {
        // Differences of equal numbers may differ in their last bits.
        let varies = mean.deviation > mean.difference.abs() * 1e-12;
        mean.detectable = varies.then_some(mean.deviation * effect);
        if mean.equivalence.is_some() {
            mean.equivalence_adjusted = equivalent.next();
        }
    }
    Ok(())
}
