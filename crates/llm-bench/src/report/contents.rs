//! What a report says: variants, scores and comparisons.

use serde::{Deserialize, Serialize};

use crate::stats::{self, CONFIDENCE, Interval, PairedComparison, compare_paired, holm, mean_interval, wilson};
use crate::{BenchError, Measure, QuestionOutcomes, check_paired};

/// A trained or loaded model that takes part in the comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// Its name in every table.
    pub name: String,
    /// Parameters in all.
    pub parameters: usize,
    /// Training throughput, tokens per second.
    pub tokens_per_second: Option<f64>,
    /// Mean cross-entropy on held-out text, in nats per token.
    pub held_out_loss: Option<f64>,
    /// Training loss over steps: `(step, loss)`.
    pub curve: Vec<(f64, f64)>,
}

/// A variant's score on a task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VariantScore {
    /// All questions put together as the metric does.
    pub value: f64,
    /// Wilson's interval where outcomes are 0 and 1, Student's where they are other numbers. `None` where the value is
    /// not their mean, and for a single outcome other than 0 and 1.
    pub interval: Option<Interval>,
}

/// All variants' scores on one task under one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskScores {
    /// Task and metric.
    pub measure: Measure,
    /// Number of documents.
    pub n: usize,
    /// One score per variant, in the report's order.
    pub scores: Vec<VariantScore>,
}

/// Two variants compared on one task under one metric, document by document.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Task and metric.
    pub measure: Measure,
    /// The variant compared against.
    pub baseline: String,
    /// The variant compared.
    pub candidate: String,
    /// The paired test; `b` is the candidate.
    pub result: PairedComparison,
    /// The p-value after Holm's correction over all comparisons of the report.
    pub p_adjusted: f64,
    /// The smallest difference found four times out of five at level 0.05 shared by all comparisons of the report
    /// (Bonferroni's share, the strictest that Holm's method asks for), at the disagreement seen. `None` where outcomes
    /// other than 0 and 1 never differed.
    pub detectable: Option<f64>,
}

impl Comparison {
    /// Whether the corrected p-value is below 0.05.
    pub fn is_finding(&self) -> bool {
        self.p_adjusted < 1.0 - CONFIDENCE
    }

    /// The difference, positive where the candidate is better.
    pub fn improvement(&self) -> f64 {
        self.measure.improvement(self.result.difference)
    }

    /// Documents on which the candidate is better, and those on which the baseline is.
    pub fn documents_won(&self) -> (usize, usize) {
        let (a, b) = (self.result.larger_a, self.result.larger_b);
        if self.measure.higher_is_better { (b, a) } else { (a, b) }
    }
}

/// A learned function next to what it started as.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LearnedFunction {
    /// For instance `layer 3, group 0`.
    pub label: String,
    /// Where it was evaluated, ascending.
    pub x: Vec<f64>,
    /// Its values at initialisation.
    pub start: Vec<f64>,
    /// Its values after training.
    pub learned: Vec<f64>,
}

/// Everything the page says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The page's title.
    pub title: String,
    /// The command that made it.
    pub command: String,
    /// What it ran on.
    pub hardware: String,
    /// When.
    pub date: String,
    /// Resolved settings: name and value.
    pub settings: Vec<(String, String)>,
    /// The variants; the first is the baseline of every comparison.
    pub variants: Vec<Variant>,
    /// Scores by task; [`Report::add_task`] fills them.
    pub tasks: Vec<TaskScores>,
    /// Paired comparisons; [`Report::add_task`] fills them.
    pub comparisons: Vec<Comparison>,
    /// Learned functions.
    pub functions: Vec<LearnedFunction>,
}

/// Probability with which a detectable difference is found: four times out of five.
const POWER: f64 = 0.8;

impl Report {
    /// Adds a metric of a task: every variant's score with its interval, every later variant compared with the first,
    /// and Holm's correction over all comparisons so far. `models` holds one list of outcomes per variant, in the
    /// report's order.
    ///
    /// # Errors
    /// When there is not one list per variant, the lists are not of the same metric and questions, or a statistic is
    /// impossible: no outcomes, one that is not finite.
    pub fn add_task(&mut self, models: &[&QuestionOutcomes]) -> Result<(), BenchError> {
        let first = self.checked(models)?;
        let scores = models.iter().map(|model| variant_score(model));
        let scores = scores.collect::<Result<Vec<_>, _>>()?;
        let compared = self.compared(first, models)?;
        self.comparisons.extend(compared);
        self.tasks.push(TaskScores {
            measure: first.measure.clone(),
            n: first.values.len(),
            scores,
        });
        self.correct_for_many()
    }

    /// The first of the lists, which are one per variant, of the same questions and not empty.
    fn checked<'m>(&self, models: &[&'m QuestionOutcomes]) -> Result<&'m QuestionOutcomes, BenchError> {
        let (lists, variants) = (models.len(), self.variants.len());
        let problem = match models.first() {
            Some(first) if lists == variants && !first.values.is_empty() => {
                check_paired(models)?;
                return Ok(first);
            }
            Some(_) if lists == variants => "no outcomes".to_owned(),
            _ => format!("{lists} lists of outcomes for {variants} variants"),
        };
        Err(BenchError::Statistic {
            statistic: "report",
            problem,
        })
    }

    /// Every later variant with the first.
    fn compared(&self, first: &QuestionOutcomes, models: &[&QuestionOutcomes]) -> Result<Vec<Comparison>, BenchError> {
        let later = self.variants.iter().zip(models).skip(1);
        let compared = later.map(|(variant, model)| {
            Ok(Comparison {
                measure: first.measure.clone(),
                baseline: self.variants[0].name.clone(),
                candidate: variant.name.clone(),
                result: compare_paired(&first.values, &model.values)?,
                p_adjusted: 1.0,
                detectable: None,
            })
        });
        compared.collect()
    }

    fn correct_for_many(&mut self) -> Result<(), BenchError> {
        let comparisons = self.comparisons.iter();
        let raw: Vec<f64> = comparisons.map(|comparison| comparison.result.p_value).collect();
        let level = (1.0 - CONFIDENCE) / raw.len().max(1) as f64;
        for (comparison, adjusted) in self.comparisons.iter_mut().zip(holm(&raw)) {
            comparison.p_adjusted = adjusted;
            comparison.detectable = comparison.result.detectable(level, POWER)?;
        }
        Ok(())
    }
}

/// A p-value to four digits; one that would print as zero as the bound it is below.
pub fn p_text(p: f64) -> String {
    if p < 0.0001 {
        "< 0.0001".to_owned()
    } else {
        format!("{p:.4}")
    }
}

fn variant_score(model: &QuestionOutcomes) -> Result<VariantScore, BenchError> {
    let (values, value) = (&model.values, model.score);
    stats::check_finite(values)?;
    let interval = if !is_mean(value, values) {
        None
    } else if stats::is_binary(values) {
        let right = values.iter().filter(|value| **value == 1.0).count();
        Some(wilson(right, values.len(), CONFIDENCE)?)
    } else if values.len() > 1 {
        Some(mean_interval(values, CONFIDENCE)?)
    } else {
        None
    };
    Ok(VariantScore { value, interval })
}

/// Up to rounding.
fn is_mean(value: f64, values: &[f64]) -> bool {
    let mean = stats::mean(values);
    (value - mean).abs() <= 1e-9 * mean.abs().max(f64::MIN_POSITIVE)
}
