//! The outcomes of several models on the same questions.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::journal::sha256;
use crate::{BenchError, Prompt, Scale, Score, Task, TaskEvaluation};

/// One metric of one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// The task's name.
    pub task: String,
    /// The metric, with its filter where it has one: `acc`, `exact_match,strict-match`.
    pub metric: String,
    /// Whether the larger of two values is the better one.
    pub higher_is_better: bool,
    /// How values and their differences are read.
    pub scale: Scale,
    /// Expected score of random guessing, if it is defined.
    pub chance: Option<f64>,
}

impl Measure {
    fn of(task: &str, score: &Score) -> Self {
        Self {
            task: task.to_owned(),
            metric: score.key().trim_end_matches(",none").to_owned(),
            higher_is_better: score.higher_is_better,
            scale: score.scale,
            chance: score.chance,
        }
    }

    /// A difference as an improvement: positive where the larger value is the better one.
    pub fn improvement(&self, difference: f64) -> f64 {
        if self.higher_is_better { difference } else { -difference }
    }

    /// A mean difference of outcomes with its sign, in [`Measure::unit`].
    pub fn signed(&self, difference: f64) -> String {
        self.scale.signed(difference)
    }

    /// What follows a difference: ` points` of a percentage, ` %` of a ratio, nothing in the metric's own unit.
    pub fn unit(&self) -> &'static str {
        self.scale.unit()
    }
}

impl Scale {
    pub(crate) fn signed(self, difference: f64) -> String {
        match self {
            Self::Share => format!("{:+.1}", difference * 100.0),
            Self::Plain => format!("{difference:+.4}"),
            Self::Log => format!("{:+.1}", difference.exp_m1() * 100.0),
        }
    }

    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Share => " points",
            Self::Plain => "",
            Self::Log => " %",
        }
    }
}

/// A metric's outcome for every question of a task, with what identifies the questions. Stored as JSON, it can be
/// paired later with the outcomes of another model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuestionOutcomes {
    /// What was measured.
    #[serde(flatten)]
    pub measure: Measure,
    /// The metric's aggregate over all questions.
    pub score: f64,
    /// The SHA-256 of every document together with its requests, in order.
    pub questions: Vec<String>,
    /// One number for each question.
    pub values: Vec<f64>,
    /// The cluster of each question, if questions share a context and are not independent; otherwise empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
}

impl QuestionOutcomes {
    /// The outcomes of an evaluation: every metric under every filter. If the task's `metadata.cluster` names a field
    /// of its documents, documents with the same value form a cluster.
    pub fn of(evaluation: &TaskEvaluation) -> Vec<Self> {
        let samples: Vec<_> = evaluation.first_samples().collect();
        let questions: Vec<String> = samples.iter().map(|sample| question_hash(&sample.prompt)).collect();
        let clusters = cluster_field(&evaluation.task).map_or_else(Vec::new, |field| {
            let documents = samples.iter().map(|sample| &sample.prompt.document);
            documents.map(|document| document[field].to_string()).collect()
        });
        let scores = evaluation.scores.iter().map(|score| Self {
            measure: Measure::of(&evaluation.task.task, score),
            score: score.value,
            questions: questions.clone(),
            values: score.outcomes.clone(),
            clusters: clusters.clone(),
        });
        scores.collect()
    }
}

/// The field whose value tells the clusters of a task's documents apart.
fn cluster_field(task: &Task) -> Option<&str> {
    task.metadata.get("cluster").and_then(Value::as_str)
}

/// Checks that every document has the field by which its task forms clusters.
///
/// # Errors
/// [`BenchError::Document`] names the first document without it.
pub(crate) fn check_clusters(task: &Task, prompts: &[Prompt]) -> Result<(), BenchError> {
    let Some(field) = cluster_field(task) else {
        return Ok(());
    };
    match prompts.iter().find(|prompt| !prompt.document.contains_key(field)) {
        None => Ok(()),
        Some(prompt) => Err(BenchError::Document {
            task: task.task.clone(),
            doc_id: prompt.doc_id,
            field: "metadata.cluster",
            source: format!("a field `{field}` is expected in every document, found none").into(),
        }),
    }
}

/// The same document with other examples or another instruction is a different question.
fn question_hash(prompt: &Prompt) -> String {
    let question = (&prompt.document, &prompt.requests);
    sha256(&serde_json::to_string(&question).expect("documents and requests are JSON"))
}

/// Checks that several models were asked the same questions, so that their outcomes can be paired.
///
/// # Errors
/// [`BenchError::DifferentMeasures`] if the tasks or metrics differ, [`BenchError::DifferentQuestions`] if the models
/// did not all answer the same questions in the same order.
pub fn check_paired(models: &[&QuestionOutcomes]) -> Result<(), BenchError> {
    let Some((first, others)) = models.split_first() else {
        return Ok(());
    };
    others.iter().try_for_each(|other| {
        check_measure(&first.measure, &other.measure)?;
        check_questions(first, other)
    })
}

fn check_measure(first: &Measure, other: &Measure) -> Result<(), BenchError> {
    if (&first.task, &first.metric) == (&other.task, &other.metric) {
        return Ok(());
    }
    Err(BenchError::DifferentMeasures {
        expected: format!("{} of {}", first.metric, first.task),
        found: format!("{} of {}", other.metric, other.task),
    })
}

fn check_questions(first: &QuestionOutcomes, other: &QuestionOutcomes) -> Result<(), BenchError> {
    let (expected, found) = (&first.questions, &other.questions);
    let compared = expected.len().max(found.len());
    let Some(index) = (0..compared).find(|&index| expected.get(index) != found.get(index)) else {
        return Ok(());
    };
    Err(BenchError::DifferentQuestions {
        task: first.measure.task.clone(),
        index,
        expected: hash_at(expected, index),
        found: hash_at(found, index),
    })
}

fn hash_at(hashes: &[String], index: usize) -> String {
    hashes.get(index).map_or("no question".to_owned(), String::clone)
}
