//! The record of a finished cell, and the report on all cells.

use super::folder::StudyFolder;
use super::plan::{ModelPlan, StudyPlan, VariantPlan};
use crate::error::{AtPlace, KallmError, Result};
use llm_bench::check_paired;
use llm_bench::report::{CurvePoint, LearnedFunction, Report, Run, Variant};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use smollm2_train::MetricRecord;

/// The part of a finished cell that the report needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CellRecord {
    /// The variant as the plan had it.
    pub variant: VariantPlan,
    /// Total number of parameters.
    pub parameters: usize,
    /// Its losses and answers.
    pub run: Run,
    /// Final position in the training data, with a digest of the conversations read: equal for all variants of a seed.
    pub trained_on: Value,
    /// Some of its rational functions.
    pub functions: Vec<LearnedFunction>,
}

/// The losses of a run, from its records.
#[derive(Default)]
pub(super) struct Curves {
    pub(super) training: Vec<CurvePoint>,
    pub(super) held_out: Vec<CurvePoint>,
    rates: Vec<f64>,
}

impl Curves {
    pub(super) fn of(records: &[MetricRecord]) -> Self {
        let (mut curves, mut tokens, mut seconds) = (Self::default(), 0, 0.0);
        for record in records {
            match record {
                MetricRecord::Train(step) => {
                    tokens += step.tokens as u64;
                    seconds += step.seconds;
                    curves.rates.push(step.tokens as f64 / step.seconds);
                    curves.training.push(point(step.step, tokens, seconds, step.loss));
                }
                MetricRecord::Eval(found) => curves.held_out.push(point(found.step, tokens, seconds, found.loss)),
            }
        }
        curves
    }

    /// Median tokens per second. The first step warms up and is excluded if there are others.
    pub(super) fn tokens_per_second(&self) -> Option<f64> {
        let settled = if self.rates.len() > 1 {
            &self.rates[1..]
        } else {
            &self.rates[..]
        };
        let mut rates = settled.to_vec();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied()
    }
}

fn point(step: usize, tokens: u64, seconds: f64, loss: f64) -> CurvePoint {
    CurvePoint {
        step: step as u64,
        tokens,
        seconds,
        loss,
    }
}

/// The report on a study, made only from the folders of its cells. Title and settings are filled in; the caller adds
/// command, hardware and date.
///
/// # Errors
/// When the folder belongs to another plan, a cell is not finished, cells of one seed have different data or questions,
/// or a statistic cannot be computed.
pub fn report(plan: &StudyPlan, folder: &StudyFolder) -> Result<Report> {
    folder.check_plan(&plan.shared()?)?;
    let records = finished(plan, folder)?;
    for cells in records.chunks(plan.variants.len()) {
        for other in &cells[1..] {
            check_comparable(&cells[0], other)?;
        }
    }
    let variants = plan.variants.iter().map(|variant| merged(variant, &records));
    let mut report = Report::new(variants.collect(), plan.criteria)?;
    report.title.clone_from(&plan.title);
    report.settings = settings(plan);
    Ok(report)
}

/// The records of all cells in their order.
fn finished(plan: &StudyPlan, folder: &StudyFolder) -> Result<Vec<CellRecord>> {
    let (mut records, mut missing) = (Vec::new(), Vec::new());
    for cell in plan.cells() {
        match folder.record(&cell)? {
            Some(record) => records.push(record),
            None => missing.push(format!("{} ({cell})", cell.index)),
        }
    }
    if missing.is_empty() {
        return Ok(records);
    }
    Err(KallmError::unusable(
        folder.root().display(),
        format!("{} finished cells", records.len() + missing.len()),
        format!("{} without cell {}", records.len(), missing.join(", ")),
        "run these first",
    ))
}

/// The cells of a variant, in the order of seeds. Functions are those of the first seed.
fn merged(variant: &VariantPlan, records: &[CellRecord]) -> Variant {
    let cells: Vec<&CellRecord> = records.iter().filter(|record| record.variant == *variant).collect();
    let first = cells.first();
    Variant {
        name: variant.name.clone(),
        parameters: first.map_or(0, |cell| cell.parameters),
        functions: first.map(|cell| cell.functions.clone()).unwrap_or_default(),
        runs: cells.into_iter().map(|cell| cell.run.clone()).collect(),
    }
}

/// A paired test of answers to different questions would give numbers that mean nothing.
fn check_comparable(first: &CellRecord, other: &CellRecord) -> Result<()> {
    let names = format!(
        "{} and {}, seed {}",
        first.variant.name, other.variant.name, first.run.seed
    );
    if first.trained_on != other.trained_on {
        return Err(KallmError::unusable(
            names,
            "the same training data",
            "others",
            "did the data change? Remove the folder of one of the two cells to train it again",
        ));
    }
    let (here, there) = (asked(first), asked(other));
    if here != there {
        return Err(KallmError::unusable(
            names,
            "the same tasks",
            format!("{here:?} and {there:?}"),
            "remove the folder of one of the two cells to train and judge it again",
        ));
    }
    for (here, there) in first.run.tasks.iter().zip(&other.run.tasks) {
        check_paired(&[here, there]).at_place(|| {
            format!(
                "{names}: they cannot be compared; did the tasks' data change? Remove the folder of one of the two \
                 cells to train and judge it again"
            )
        })?;
    }
    Ok(())
}

/// Tasks and metrics in order.
fn asked(record: &CellRecord) -> Vec<(&str, &str)> {
    let measures = record.run.tasks.iter().map(|outcomes| &outcomes.measure);
    measures
        .map(|measure| (measure.task.as_str(), measure.metric.as_str()))
        .collect()
}

/// The settings of the plan that the report shows.
fn settings(plan: &StudyPlan) -> Vec<(String, String)> {
    let recipe = &plan.recipe;
    let start = match &plan.model {
        ModelPlan::Pretrained(name) => name.clone(),
        ModelPlan::Scratch(_) => "random weights".to_string(),
    };
    let seeds: Vec<String> = plan.seeds.iter().map(u64::to_string).collect();
    let tokens = plan.tokens_per_step();
    [
        ("start", start),
        ("seeds", seeds.join(", ")),
        ("optimiser steps", recipe.steps.to_string()),
        ("tokens in a step", tokens.to_string()),
        ("tokens in all", (tokens * recipe.steps).to_string()),
        ("peak learning rate", recipe.learning_rate.to_string()),
        ("loss on", named(&recipe.data.mask)),
        ("packing", named(&recipe.data.packing)),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .to_vec()
}

/// A setting in the spelling of plans, as text.
fn named(setting: &impl Serialize) -> String {
    let written = serde_json::json!(setting);
    written
        .as_str()
        .map_or_else(|| written.to_string(), |text| text.replace('_', " "))
}
