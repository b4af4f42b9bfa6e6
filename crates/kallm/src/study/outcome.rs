//! The results of the variants of a comparison, and the report on all of them.

use crate::error::{AtPlace, KallmError, Result};
use llm_bench::report::{Comparison, LearnedFunction, Report, Variant, VariantScore, p_text};
use llm_bench::{QuestionOutcomes, check_paired};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One trained and judged variant: what the report needs to know of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Its row in the tables and its training curve.
    pub variant: Variant,
    /// Where the training data were left, with a digest of the conversations read: the same for every variant.
    pub trained_on: Value,
    /// One entry per task and metric, and per filter of a task that has several.
    pub tasks: Vec<QuestionOutcomes>,
    /// Some of its rational functions.
    pub functions: Vec<LearnedFunction>,
}

/// Puts the outcomes into a report, the first as the baseline.
///
/// # Errors
/// When there are no outcomes, two of them are not of the same data and questions, or a statistic is impossible.
pub(super) fn fill(report: &mut Report, outcomes: &[Outcome]) -> Result<()> {
    let Some(first) = outcomes.first() else {
        let remedy = "name a variant";
        return Err(KallmError::unusable("variants", "at least one", "none", remedy));
    };
    for other in &outcomes[1..] {
        check_comparable(first, other)?;
    }
    report.variants = outcomes.iter().map(|outcome| outcome.variant.clone()).collect();
    for index in 0..first.tasks.len() {
        let models: Vec<_> = outcomes.iter().map(|outcome| &outcome.tasks[index]).collect();
        report.add_task(&models)?;
    }
    for outcome in outcomes {
        report
            .functions
            .extend(outcome.functions.iter().map(|function| LearnedFunction {
                label: format!("{}: {}", outcome.variant.name, function.label),
                ..function.clone()
            }));
    }
    Ok(())
}

/// A paired test of answers to different questions would give numbers that mean nothing.
fn check_comparable(first: &Outcome, other: &Outcome) -> Result<()> {
    let names = (&first.variant.name, &other.variant.name);
    if first.trained_on != other.trained_on {
        return Err(KallmError::unusable(
            format!("{} and {}", names.0, names.1),
            "the same training data",
            "others",
            "did the data change? Remove the folder of one of them to train it again",
        ));
    }
    let (here, there) = (asked(first), asked(other));
    if here != there {
        return Err(KallmError::unusable(
            format!("{} and {}", names.0, names.1),
            "the same tasks",
            format!("{here:?} and {there:?}"),
            "remove the folder of one of them to judge it again",
        ));
    }
    for (here, there) in first.tasks.iter().zip(&other.tasks) {
        check_paired(&[here, there]).at_place(|| {
            format!(
                "{} and {} cannot be compared; did the tasks' data change? Remove the folder of one of them to train and judge \
                 it again",
                names.0, names.1
            )
        })?;
    }
    Ok(())
}

/// Tasks and metrics in order.
fn asked(outcome: &Outcome) -> Vec<(&str, &str)> {
    let measures = outcome.tasks.iter().map(|outcomes| &outcomes.measure);
    measures
        .map(|measure| (measure.task.as_str(), measure.metric.as_str()))
        .collect()
}

/// The report as a table for the terminal.
pub fn table(report: &Report) -> String {
    let mut text = format!(
        "{:16} {:>10} {:>10} {:>10}",
        "variant", "parameters", "tokens/s", "held-out"
    );
    for task in &report.tasks {
        text.push_str(&format!(
            " {:>28}",
            format!("{} ({})", task.measure.task, task.measure.metric)
        ));
    }
    for (index, variant) in report.variants.iter().enumerate() {
        text.push_str(&format!(
            "\n{:16} {:>10} {:>10} {:>10}",
            variant.name,
            variant.parameters,
            optional(variant.tokens_per_second, 0),
            optional(variant.held_out_loss, 4)
        ));
        for task in &report.tasks {
            text.push_str(&format!(" {:>28}", score(&task.scores[index])));
        }
    }
    text.push_str("\n\npaired with the first variant (exact McNemar, or Student's t; Holm-corrected)");
    for comparison in &report.comparisons {
        text.push_str(&row(comparison));
    }
    text.push_str(&format!("\n\n{}", report.headline()));
    text
}

fn optional(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_string(), |value| format!("{value:.digits$}"))
}

fn score(score: &VariantScore) -> String {
    match score.interval {
        Some(interval) => format!("{:.3} [{:.3}, {:.3}]", score.value, interval.low, interval.high),
        None => format!("{:.3}", score.value),
    }
}

fn row(comparison: &Comparison) -> String {
    let (measure, result) = (&comparison.measure, &comparison.result);
    let better = if measure.higher_is_better {
        ""
    } else {
        ", lower is better"
    };
    format!(
        "\n{:16} {:32} difference {} [{}, {}]{}  p {}",
        comparison.candidate,
        format!("{} ({}{better})", measure.task, measure.metric),
        measure.signed(result.difference),
        measure.signed(result.interval.low),
        measure.signed(result.interval.high),
        measure.unit(),
        p_text(comparison.p_adjusted),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use llm_bench::{Measure, Scale};

    fn outcome(name: &str, questions: [&str; 2]) -> Outcome {
        Outcome {
            variant: Variant {
                name: name.to_string(),
                parameters: 1,
                tokens_per_second: None,
                held_out_loss: None,
                curve: Vec::new(),
            },
            trained_on: Value::from(7),
            tasks: vec![QuestionOutcomes {
                measure: Measure {
                    task: "sums".to_string(),
                    metric: "acc".to_string(),
                    higher_is_better: true,
                    scale: Scale::Share,
                    chance: None,
                },
                score: 0.5,
                questions: questions.map(str::to_string).to_vec(),
                values: vec![0.0, 1.0],
            }],
            functions: Vec::new(),
        }
    }

    #[test]
    fn answers_to_different_questions_are_not_paired() {
        let filled = |outcomes: &[Outcome]| fill(&mut Report::default(), outcomes);
        filled(&[outcome("swiglu", ["a", "b"]), outcome("silu-mlp", ["a", "b"])]).unwrap();
        let error = filled(&[outcome("swiglu", ["a", "b"]), outcome("silu-mlp", ["a", "c"])]).unwrap_err();
        let reason = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            error.to_string().contains("silu-mlp") && reason.contains("sums"),
            "{error}: {reason}"
        );
        let elsewhere = Outcome {
            trained_on: Value::from(8),
            ..outcome("silu-mlp", ["a", "b"])
        };
        assert!(filled(&[outcome("swiglu", ["a", "b"]), elsewhere]).is_err());
    }

    #[test]
    fn differences_have_a_unit() {
        let mut report = Report::default();
        fill(
            &mut report,
            &[outcome("swiglu", ["a", "b"]), outcome("silu-mlp", ["a", "b"])],
        )
        .unwrap();
        assert!(row(&report.comparisons[0]).contains("difference +0.0 ["));
        let (mut comparison, log) = (report.comparisons.remove(0), 1.5f64.ln());
        assert!(row(&comparison).contains("] points  p "));
        (comparison.result.difference, comparison.measure.scale) = (log, Scale::Log);
        comparison.measure.higher_is_better = false;
        let row = row(&comparison);
        assert!(row.contains("difference +50.0 [") && row.contains("] %  p "), "{row}");
        assert!(row.contains("(acc, lower is better)"), "{row}");
    }
}
