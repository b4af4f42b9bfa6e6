//! The results of the variants of a comparison, and the report on all of them.

use crate::error::{AtPlace, KallmError, Result};
use llm_bench::check_paired;
use llm_bench::report::{Criteria, LearnedFunction, Report, Run, Variant};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One trained and judged variant: what the report needs to know of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The variant's name.
    pub name: String,
    /// Its parameters in all.
    pub parameters: usize,
    /// Where the training data were left, with a digest of the conversations read: the same for every variant.
    pub trained_on: Value,
    /// Its training and its answers.
    pub run: Run,
    /// Some of its rational functions.
    pub functions: Vec<LearnedFunction>,
}

/// The report on outcomes, the first as the baseline.
///
/// # Errors
/// When there are no outcomes, two of them are not of the same data and questions, or a statistic is impossible.
pub(super) fn report(outcomes: &[Outcome], criteria: Criteria) -> Result<Report> {
    let Some(first) = outcomes.first() else {
        let remedy = "name a variant";
        return Err(KallmError::unusable("variants", "at least one", "none", remedy));
    };
    for other in &outcomes[1..] {
        check_comparable(first, other)?;
    }
    let variants = outcomes.iter().map(|outcome| Variant {
        name: outcome.name.clone(),
        parameters: outcome.parameters,
        runs: vec![outcome.run.clone()],
        functions: outcome.functions.clone(),
    });
    Ok(Report::new(variants.collect(), criteria)?)
}

/// A paired test of answers to different questions would give numbers that mean nothing.
fn check_comparable(first: &Outcome, other: &Outcome) -> Result<()> {
    let names = (&first.name, &other.name);
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
    for (here, there) in first.run.tasks.iter().zip(&other.run.tasks) {
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
    let measures = outcome.run.tasks.iter().map(|outcomes| &outcomes.measure);
    measures
        .map(|measure| (measure.task.as_str(), measure.metric.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use llm_bench::{Measure, QuestionOutcomes, Scale};

    fn outcome(name: &str, questions: [&str; 2]) -> Outcome {
        Outcome {
            name: name.to_string(),
            parameters: 1,
            trained_on: Value::from(7),
            run: Run {
                seed: 1,
                tokens_per_second: None,
                held_out_loss: None,
                curve: Vec::new(),
                held_out_curve: Vec::new(),
                tasks: vec![answers(questions)],
            },
            functions: Vec::new(),
        }
    }

    fn answers(questions: [&str; 2]) -> QuestionOutcomes {
        QuestionOutcomes {
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
            clusters: Vec::new(),
        }
    }

    fn reported(outcomes: &[Outcome]) -> Result<Report> {
        report(outcomes, Criteria::default())
    }

    #[test]
    fn answers_to_different_questions_are_not_paired() {
        reported(&[outcome("swiglu", ["a", "b"]), outcome("silu-mlp", ["a", "b"])]).unwrap();
        let error = reported(&[outcome("swiglu", ["a", "b"]), outcome("silu-mlp", ["a", "c"])]).unwrap_err();
        let reason = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            error.to_string().contains("silu-mlp") && reason.contains("sums"),
            "{error}: {reason}"
        );
        let elsewhere = Outcome {
            trained_on: Value::from(8),
            ..outcome("silu-mlp", ["a", "b"])
        };
        assert!(reported(&[outcome("swiglu", ["a", "b"]), elsewhere]).is_err());
    }
}
