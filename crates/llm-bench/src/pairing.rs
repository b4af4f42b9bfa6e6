//! The outcomes of several models on the same documents.

use crate::output::document_hash;
use crate::{BenchError, Metric, TaskEvaluation};

/// The outcomes of several evaluations of one task, one list per evaluation, documents in the same order: what
/// [`Report::add_task`](crate::report::Report::add_task) and [`stats::compare_paired`](crate::stats::compare_paired)
/// take.
///
/// # Errors
/// [`BenchError::DifferentDocuments`] when the evaluations did not all answer the same documents in the same order.
pub fn paired_outcomes(
    evaluations: &[&TaskEvaluation],
    metric: Metric,
    filter: &str,
) -> Result<Vec<Vec<f64>>, BenchError> {
    if let Some((first, others)) = evaluations.split_first() {
        let expected = first.document_hashes(filter);
        for other in others {
            check_same_documents(first, &expected, &other.document_hashes(filter))?;
        }
    }
    let outcomes = evaluations.iter().map(|task| task.outcomes(metric, filter));
    Ok(outcomes.collect())
}

fn check_same_documents(task: &TaskEvaluation, expected: &[String], found: &[String]) -> Result<(), BenchError> {
    let compared = expected.len().max(found.len());
    let Some(index) = (0..compared).find(|&index| expected.get(index) != found.get(index)) else {
        return Ok(());
    };
    let hash = |hashes: &[String]| hashes.get(index).map_or("no document".to_owned(), String::clone);
    Err(BenchError::DifferentDocuments {
        task: task.task.task.clone(),
        index,
        expected: hash(expected),
        found: hash(found),
    })
}

impl TaskEvaluation {
    /// The hash of every document evaluated under a filter, in order: `doc_hash` in samples files.
    pub fn document_hashes(&self, filter: &str) -> Vec<String> {
        let samples = self.samples.iter().filter(|sample| sample.filter == filter);
        samples.map(|sample| document_hash(&sample.prompt.document)).collect()
    }
}
