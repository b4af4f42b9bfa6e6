//! [`Report`]: one HTML page about a comparison of model variants, complete in itself: no request leaves it, plots
//! are inline SVG, it follows the reader's light or dark setting and prints.

mod headline;
mod html;
mod plot;

use serde::{Deserialize, Serialize};

use crate::BenchError;
use crate::stats::{CONFIDENCE, Interval, PairedComparison};
use crate::stats::{check_outcomes, compare_paired, holm, minimal_detectable_difference, wilson};

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
    /// Share of documents answered right.
    pub value: f64,
    /// Wilson's interval.
    pub interval: Interval,
}

/// All variants' scores on one task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskScores {
    /// The task.
    pub task: String,
    /// The metric, with its filter if it has one.
    pub metric: String,
    /// Documents.
    pub n: usize,
    /// One score per variant, in the report's order.
    pub scores: Vec<VariantScore>,
    /// What guessing scores, if known.
    pub chance: Option<f64>,
}

/// Two variants compared on one task, document by document.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The task.
    pub task: String,
    /// The metric.
    pub metric: String,
    /// The variant compared against.
    pub baseline: String,
    /// The variant compared.
    pub candidate: String,
    /// The comparison; `b` is the candidate.
    pub result: PairedComparison,
    /// The p-value after Holm's correction over all comparisons of the report.
    pub p_adjusted: f64,
    /// The smallest difference found four times out of five at level 0.05 shared by all comparisons of the report
    /// (Bonferroni's share, the strictest that Holm's method asks for), at the disagreement seen.
    pub detectable: f64,
}

/// A learned function beside what it started as.
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
    /// Adds a task: every variant's score with Wilson's interval, every later variant compared with the first, and
    /// Holm's correction over all comparisons so far. `outcomes` holds, per variant in the report's order, 1 or 0
    /// per question, questions in the same order, as [`paired_outcomes`](crate::paired_outcomes) gives them.
    ///
    /// # Errors
    /// When there is not one list per variant, the lists differ in length or are empty, or hold anything but 0 and 1.
    pub fn add_task(
        &mut self,
        task: &str,
        metric: &str,
        chance: Option<f64>,
        outcomes: &[Vec<f64>],
    ) -> Result<(), BenchError> {
        let (lists, variants) = (outcomes.len(), self.variants.len());
        if lists != variants || lists == 0 {
            return Err(BenchError::Statistic {
                statistic: "report",
                problem: format!("{lists} lists of outcomes for {variants} variants"),
            });
        }
        let scores = outcomes.iter().map(|values| variant_score(values));
        let scores = scores.collect::<Result<Vec<_>, _>>()?;
        let compared = self.compared(task, metric, outcomes)?;
        self.comparisons.extend(compared);
        self.tasks.push(TaskScores {
            task: task.to_owned(),
            metric: metric.to_owned(),
            n: outcomes[0].len(),
            scores,
            chance,
        });
        self.correct_for_many()
    }

    /// Every later variant with the first.
    fn compared(&self, task: &str, metric: &str, outcomes: &[Vec<f64>]) -> Result<Vec<Comparison>, BenchError> {
        let later = self.variants.iter().zip(outcomes).skip(1);
        let compared = later.map(|(variant, values)| {
            Ok(Comparison {
                task: task.to_owned(),
                metric: metric.to_owned(),
                baseline: self.variants[0].name.clone(),
                candidate: variant.name.clone(),
                result: compare_paired(&outcomes[0], values)?,
                p_adjusted: 1.0,
                detectable: 1.0,
            })
        });
        compared.collect()
    }

    fn correct_for_many(&mut self) -> Result<(), BenchError> {
        let raw: Vec<f64> = self
            .comparisons
            .iter()
            .map(|comparison| comparison.result.p_value)
            .collect();
        let level = (1.0 - CONFIDENCE) / raw.len().max(1) as f64;
        for (comparison, adjusted) in self.comparisons.iter_mut().zip(holm(&raw)) {
            let result = &comparison.result;
            let discordance = (result.only_a + result.only_b) as f64 / result.n as f64;
            comparison.p_adjusted = adjusted;
            comparison.detectable = minimal_detectable_difference(result.n, discordance, level, POWER)?;
        }
        Ok(())
    }

    /// What the comparison found, in a sentence or two, without claiming more than the tests allow.
    pub fn headline(&self) -> String {
        headline::headline(self)
    }

    /// The whole page.
    ///
    /// # Errors
    /// [`BenchError::Plot`] when a plot cannot be drawn.
    pub fn to_html(&self) -> Result<String, BenchError> {
        html::page(self)
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

fn variant_score(values: &[f64]) -> Result<VariantScore, BenchError> {
    check_outcomes(values)?;
    let right = values.iter().filter(|value| **value == 1.0).count();
    Ok(VariantScore {
        value: crate::stats::mean(values),
        interval: wilson(right, values.len(), CONFIDENCE)?,
    })
}
