//! The results of the variants of a comparison, and the report on all of them.

use crate::error::{AtPlace, Result, refuse};
use llm_bench::report::{LearnedFunction, Report, Variant, p_text};
use llm_bench::{Answer, Metric, QuestionOutcomes, TaskEvaluation, paired_outcomes};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One trained and judged variant: what the report needs to know of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Its row in the tables and its training curve.
    pub variant: Variant,
    /// Where the training data were left, with a digest of the conversations read: the same for every variant.
    pub trained_on: Value,
    /// The answers, task by task.
    pub tasks: Vec<TaskOutcome>,
    /// Some of its rational functions.
    pub functions: Vec<LearnedFunction>,
}

/// The answers to a task, under its first metric and filter.
#[derive(Debug, Serialize, Deserialize)]
pub struct TaskOutcome {
    metric: String,
    chance: Option<f64>,
    /// The metric's value for every question.
    outcomes: QuestionOutcomes,
}

impl TaskOutcome {
    /// # Errors
    /// When the task has no score.
    pub(super) fn of(evaluation: &TaskEvaluation) -> Result<Self> {
        let score = evaluation.scores.first();
        let Some(score) = score else {
            refuse!("task {} has no score", evaluation.task.task)
        };
        Ok(Self {
            metric: score.key().trim_end_matches(",none").to_string(),
            chance: chance(evaluation, score.metric),
            outcomes: QuestionOutcomes::of(evaluation, score.metric, &score.filter),
        })
    }
}

/// Puts the outcomes into a report, the first as the baseline.
///
/// # Errors
/// When there are no outcomes, two of them are not of the same data and questions, or a statistic is impossible.
pub fn fill(report: &mut Report, outcomes: &[Outcome]) -> Result<()> {
    let Some(first) = outcomes.first() else {
        refuse!("no variant was trained")
    };
    for other in &outcomes[1..] {
        check_comparable(first, other)?;
    }
    report.variants = outcomes.iter().map(|outcome| outcome.variant.clone()).collect();
    for (index, task) in first.tasks.iter().enumerate() {
        let answers: Vec<_> = outcomes.iter().map(|outcome| &outcome.tasks[index].outcomes).collect();
        report.add_task(
            &task.outcomes.task,
            &task.metric,
            task.chance,
            &paired_outcomes(&answers)?,
        )?;
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
        refuse!(
            "{} and {}: expected the same training data, found others; did --data change? Remove the folder of one of \
             them to train it again",
            names.0,
            names.1
        );
    }
    let (here, there) = (asked(first), asked(other));
    if here != there {
        refuse!(
            "{} and {}: expected the same tasks, found {here:?} and {there:?}",
            names.0,
            names.1
        );
    }
    for (here, there) in first.tasks.iter().zip(&other.tasks) {
        paired_outcomes(&[&here.outcomes, &there.outcomes]).at_place(|| {
            format!(
                "{} and {} cannot be compared; did --data-dir change? Remove the folder of one of them to train and judge \
                 it again",
                names.0, names.1
            )
        })?;
    }
    Ok(())
}

/// Tasks and metrics in order.
fn asked(outcome: &Outcome) -> Vec<(&str, &str)> {
    let tasks = outcome.tasks.iter();
    tasks
        .map(|task| (task.outcomes.task.as_str(), task.metric.as_str()))
        .collect()
}

/// What guessing scores: one over the number of choices, on average.
fn chance(task: &TaskEvaluation, metric: Metric) -> Option<f64> {
    if metric == Metric::ExactMatch {
        return None;
    }
    let choices: Vec<f64> = task
        .samples
        .iter()
        .filter_map(|sample| match &sample.answer {
            Answer::Choices(choices) => Some(1.0 / choices.len().max(1) as f64),
            Answer::Text(_) => None,
        })
        .collect();
    (!choices.is_empty()).then(|| choices.iter().sum::<f64>() / choices.len() as f64)
}

/// The report as a table for the terminal.
pub fn table(report: &Report) -> String {
    let mut text = format!(
        "{:16} {:>10} {:>10} {:>10}",
        "variant", "parameters", "tokens/s", "held-out"
    );
    for task in &report.tasks {
        text.push_str(&format!(" {:>28}", format!("{} ({})", task.task, task.metric)));
    }
    for (index, variant) in report.variants.iter().enumerate() {
        let number =
            |value: Option<f64>, digits: usize| value.map_or("-".to_string(), |value| format!("{value:.digits$}"));
        text.push_str(&format!(
            "\n{:16} {:>10} {:>10} {:>10}",
            variant.name,
            variant.parameters,
            number(variant.tokens_per_second, 0),
            number(variant.held_out_loss, 4)
        ));
        for task in &report.tasks {
            let score = &task.scores[index];
            let interval = format!(
                "{:.3} [{:.3}, {:.3}]",
                score.value, score.interval.low, score.interval.high
            );
            text.push_str(&format!(" {interval:>28}"));
        }
    }
    text.push_str("\n\npaired with the first variant (exact McNemar, Holm-corrected)");
    for comparison in &report.comparisons {
        let result = &comparison.result;
        text.push_str(&format!(
            "\n{:16} {:24} difference {:+.3} [{:+.3}, {:+.3}]  p {}",
            comparison.candidate,
            comparison.task,
            result.difference,
            result.interval.low,
            result.interval.high,
            p_text(comparison.p_adjusted),
        ));
    }
    text.push_str(&format!("\n\n{}", report.headline()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

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
            tasks: vec![TaskOutcome {
                metric: "acc".to_string(),
                chance: None,
                outcomes: QuestionOutcomes {
                    task: "sums".to_string(),
                    questions: questions.map(str::to_string).to_vec(),
                    values: vec![0.0, 1.0],
                },
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
}
