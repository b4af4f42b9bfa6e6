//! Scores of groups, made of those of their tasks as lm-evaluation-harness does.

use std::collections::BTreeSet;

use super::{Score, TaskEvaluation};
use crate::task::{Group, GroupMetric};

/// A group and its scores.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupEvaluation {
    /// The group.
    pub group: Group,
    /// Documents of all its tasks.
    pub documents: usize,
    /// A score per metric and filter; none for one that no task has.
    pub scores: Vec<GroupScore>,
}

/// A metric over the tasks of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupScore {
    /// The metric's name.
    pub metric: String,
    /// The filter's name.
    pub filter: String,
    /// The mean over the tasks, by documents or by tasks.
    pub value: f64,
    /// Its standard error; `None` where a task has none.
    pub stderr: Option<f64>,
    /// Documents of the tasks that have the metric.
    pub n: usize,
}

impl GroupEvaluation {
    /// The scores of a group over the tasks that were evaluated.
    pub(super) fn of(group: &Group, tasks: &[TaskEvaluation]) -> Self {
        let members: Vec<&TaskEvaluation> = tasks
            .iter()
            .filter(|task| group.tasks.contains(&task.task.task))
            .collect();
        let metrics = group.aggregate_metric_list.iter();
        Self {
            group: group.clone(),
            documents: members.iter().map(|task| task.evaluated()).sum(),
            scores: metrics.flat_map(|metric| of_metric(metric, &members)).collect(),
        }
    }
}

fn of_metric(metric: &GroupMetric, members: &[&TaskEvaluation]) -> Vec<GroupScore> {
    let scores = members.iter().flat_map(|task| &task.scores);
    let named: Vec<&Score> = scores.filter(|score| score.metric == metric.metric).collect();
    let filters: BTreeSet<String> = match &metric.filter_list {
        Some(filters) => filters.to_vec().into_iter().collect(),
        None => named.iter().map(|score| score.filter.clone()).collect(),
    };
    let scores = filters.into_iter().filter_map(|filter| {
        let filtered: Vec<&Score> = named.iter().copied().filter(|score| score.filter == filter).collect();
        aggregated(metric, filter, &filtered)
    });
    scores.collect()
}

fn aggregated(metric: &GroupMetric, filter: String, scores: &[&Score]) -> Option<GroupScore> {
    let weights: Vec<f64> = scores.iter().map(|score| metric.weight(score)).collect();
    let sum: f64 = weights.iter().sum();
    if sum == 0.0 {
        return None;
    }
    let value = scores
        .iter()
        .zip(&weights)
        .map(|(score, weight)| score.value * weight)
        .sum::<f64>()
        / sum;
    let errors: Option<Vec<(f64, f64)>> = scores
        .iter()
        .map(|score| Some((score.stderr?, score.n as f64)))
        .collect();
    let stderr = errors.map(|errors| {
        if metric.weight_by_size {
            pooled(&errors)
        } else {
            unweighted(&errors)
        }
    });
    Some(GroupScore {
        metric: metric.metric.clone(),
        filter,
        value,
        stderr: stderr.filter(|stderr| stderr.is_finite()),
        n: scores.iter().map(|score| score.n).sum(),
    })
}

impl GroupMetric {
    fn weight(&self, score: &Score) -> f64 {
        if self.weight_by_size { score.n as f64 } else { 1.0 }
    }
}

/// Of a mean over all documents: the variances within the tasks, pooled.
fn pooled(errors: &[(f64, f64)]) -> f64 {
    let documents: f64 = errors.iter().map(|(_, n)| n).sum();
    let squares: f64 = errors.iter().map(|(error, n)| (n - 1.0) * error * error * n).sum();
    (squares / (documents - errors.len() as f64) / documents).sqrt()
}

/// Of a mean of the tasks' scores, which are independent.
fn unweighted(errors: &[(f64, f64)]) -> f64 {
    let squares: f64 = errors.iter().map(|(error, _)| error * error).sum();
    squares.sqrt() / errors.len() as f64
}
