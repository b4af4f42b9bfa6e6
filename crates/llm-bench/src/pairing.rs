//! The outcomes of several models on the same questions.

use serde::{Deserialize, Serialize};

use crate::journal::sha256;
use crate::{BenchError, Metric, Prompt, TaskEvaluation};

/// A metric's value for every question of a task, with what identifies the questions. Stored as JSON, it can be paired
/// later with the outcomes of another model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuestionOutcomes {
    /// The task.
    pub task: String,
    /// The SHA-256 of every document together with its requests, in order.
    pub questions: Vec<String>,
    /// The metric's value for each of them.
    pub values: Vec<f64>,
}

impl QuestionOutcomes {
    /// The outcomes of an evaluation under a metric and a filter.
    pub fn of(evaluation: &TaskEvaluation, metric: Metric, filter: &str) -> Self {
        let samples = evaluation.samples.iter().filter(|sample| sample.filter == filter);
        Self {
            task: evaluation.task.task.clone(),
            questions: samples.map(|sample| question_hash(&sample.prompt)).collect(),
            values: evaluation.outcomes(metric, filter),
        }
    }
}

/// The same document, asked with other examples or another instruction, is another question.
fn question_hash(prompt: &Prompt) -> String {
    let question = (&prompt.document, &prompt.requests);
    sha256(&serde_json::to_string(&question).expect("documents and requests are JSON"))
}

/// The values of several models, one list per model: what [`Report::add_task`](crate::report::Report::add_task) and
/// [`stats::compare_paired`](crate::stats::compare_paired) take.
///
/// # Errors
/// [`BenchError::DifferentQuestions`] when the models did not all answer the same questions in the same order.
pub fn paired_outcomes(models: &[&QuestionOutcomes]) -> Result<Vec<Vec<f64>>, BenchError> {
    if let Some((first, others)) = models.split_first() {
        others.iter().try_for_each(|other| check_same_questions(first, other))?;
    }
    Ok(models.iter().map(|outcomes| outcomes.values.clone()).collect())
}

fn check_same_questions(first: &QuestionOutcomes, other: &QuestionOutcomes) -> Result<(), BenchError> {
    let (expected, found) = (&first.questions, &other.questions);
    let compared = expected.len().max(found.len());
    let Some(index) = (0..compared).find(|&index| expected.get(index) != found.get(index)) else {
        return Ok(());
    };
    Err(BenchError::DifferentQuestions {
        task: first.task.clone(),
        index,
        expected: hash_at(expected, index),
        found: hash_at(found, index),
    })
}

fn hash_at(hashes: &[String], index: usize) -> String {
    hashes.get(index).map_or("no question".to_owned(), String::clone)
}
