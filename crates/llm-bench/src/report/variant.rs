//! The input of a report: variants, their trained models, and the criteria that the plan states before training.

use serde::{Deserialize, Serialize};

use crate::{BenchError, QuestionOutcomes, check_paired};

/// One variant of a study and its trained models, one for each seed, in the order of seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// Its name in every table.
    pub name: String,
    /// Total number of parameters.
    pub parameters: usize,
    /// Its trained models; those of all variants have the same seeds in the same order.
    pub runs: Vec<Run>,
    /// Learned functions of one of them.
    pub functions: Vec<LearnedFunction>,
}

/// One trained model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The seed of its weights and of the order of its data.
    pub seed: u64,
    /// Training throughput.
    pub tokens_per_second: Option<f64>,
    /// Mean cross-entropy on held-out text after the last step, in nats per token.
    pub held_out_loss: Option<f64>,
    /// Training loss.
    pub curve: Vec<CurvePoint>,
    /// Held-out loss during training, in the order of steps.
    pub held_out_curve: Vec<CurvePoint>,
    /// One entry per task and metric; the same for every run.
    pub tasks: Vec<QuestionOutcomes>,
}

/// A loss during training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Optimiser steps made.
    pub step: u64,
    /// Tokens that went through the model in training so far.
    pub tokens: u64,
    /// Seconds of training so far.
    pub seconds: f64,
    /// In nats per token.
    pub loss: f64,
}

/// The criteria that the plan states before training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Criteria {
    /// Mean held-out losses that differ by less than this are called equivalent; in nats per token.
    pub margin_nats: f64,
    /// The same for scores that are percentages; in percentage points.
    pub margin_points: f64,
    /// The held-out loss up to which tokens and seconds are counted.
    pub target_loss: Option<f64>,
}

impl Default for Criteria {
    /// 0.01 nats, one point, and no target.
    fn default() -> Self {
        Self {
            margin_nats: 0.01,
            margin_points: 1.0,
            target_loss: None,
        }
    }
}

/// A learned function and its initial curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LearnedFunction {
    /// For instance `layer 3, group 0`.
    pub label: String,
    /// The points where it was evaluated, ascending.
    pub x: Vec<f64>,
    /// Its values at initialisation.
    pub start: Vec<f64>,
    /// Its values after training.
    pub learned: Vec<f64>,
}

impl Variant {
    /// A model of which nothing but its answers is known.
    pub(super) fn answering(name: String, tasks: Vec<QuestionOutcomes>) -> Self {
        let run = Run {
            seed: 0,
            tokens_per_second: None,
            held_out_loss: None,
            curve: Vec::new(),
            held_out_curve: Vec::new(),
            tasks,
        };
        Self {
            name,
            parameters: 0,
            runs: vec![run],
            functions: Vec::new(),
        }
    }

    pub(super) fn seeds(&self) -> Vec<u64> {
        self.runs.iter().map(|run| run.seed).collect()
    }
}

impl Criteria {
    fn check(&self) -> Result<(), BenchError> {
        for (name, margin) in [("margin_nats", self.margin_nats), ("margin_points", self.margin_points)] {
            if !(margin.is_finite() && margin > 0.0) {
                return refused(format!("criteria: `{name}` must be a positive number, found {margin}"));
            }
        }
        match self.target_loss {
            Some(loss) if !loss.is_finite() => refused(format!(
                "criteria: `target_loss` must be a number of nats per token, found {loss}"
            )),
            _ => Ok(()),
        }
    }
}

/// Checks that the runs of all variants can be paired.
pub(super) fn check(variants: &[Variant], criteria: &Criteria) -> Result<(), BenchError> {
    criteria.check()?;
    let Some((first, others)) = variants.split_first() else {
        return refused("at least one variant is needed, found none".to_owned());
    };
    check_seeds(first)?;
    let mut earlier = vec![first.name.as_str()];
    for other in others {
        if earlier.contains(&other.name.as_str()) {
            return refused(format!(
                "two variants are called `{}`; give each a name of its own",
                other.name
            ));
        }
        earlier.push(&other.name);
        check_same_seeds(first, other)?;
    }
    variants.iter().try_for_each(|variant| check_measures(first, variant))?;
    for seed in 0..first.runs.len() {
        for task in 0..first.runs[seed].tasks.len() {
            let models: Vec<_> = variants.iter().map(|variant| &variant.runs[seed].tasks[task]).collect();
            check_paired(&models)?;
        }
    }
    Ok(())
}

fn check_seeds(variant: &Variant) -> Result<(), BenchError> {
    let (seeds, name) = (variant.seeds(), &variant.name);
    if seeds.is_empty() {
        return refused(format!("variant `{name}`: at least one run is needed, found none"));
    }
    match (1..seeds.len()).find(|&index| seeds[..index].contains(&seeds[index])) {
        None => Ok(()),
        Some(index) => refused(format!(
            "variant `{name}`: two runs have the seed {}; a seed may be counted once",
            seeds[index]
        )),
    }
}

fn check_same_seeds(first: &Variant, other: &Variant) -> Result<(), BenchError> {
    let (expected, found) = (first.seeds(), other.seeds());
    if expected == found {
        return Ok(());
    }
    refused(format!(
        "variant `{}`: runs with the seeds of `{}` in the same order are expected, {expected:?}, found {found:?}; \
         variants are compared seed by seed",
        other.name, first.name
    ))
}

/// Every run has outcomes of the same measures in the same order, and some of each.
fn check_measures(first: &Variant, variant: &Variant) -> Result<(), BenchError> {
    let expected = measures(&first.runs[0]);
    for run in &variant.runs {
        let (found, place) = (measures(run), format!("variant `{}`, seed {}", variant.name, run.seed));
        if found != expected {
            let (expected, found) = (expected.join(", "), found.join(", "));
            return refused(format!(
                "{place}: outcomes of [{expected}] are expected, found [{found}]"
            ));
        }
        if let Some(empty) = run.tasks.iter().find(|outcomes| outcomes.values.is_empty()) {
            return refused(format!("{place}: {} has no outcomes", empty.measure.task));
        }
    }
    Ok(())
}

fn measures(run: &Run) -> Vec<String> {
    let measures = run.tasks.iter().map(|outcomes| &outcomes.measure);
    measures
        .map(|measure| format!("{} of {}", measure.metric, measure.task))
        .collect()
}

fn refused<T>(problem: String) -> Result<T, BenchError> {
    Err(BenchError::Statistic {
        statistic: "report",
        problem,
    })
}
