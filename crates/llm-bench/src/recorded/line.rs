//! One sample: which document it is, and what each metric says.

use std::path::Path;

use serde_json::{Map, Value};

use super::refused_sample;
use crate::output::document_hash;
use crate::{BenchError, Scale};

/// A sample as far as a comparison needs it.
#[derive(Clone, Debug)]
pub(crate) struct RecordedSample {
    pub(super) doc_id: u64,
    /// SHA-256 of the document, where the file has it or the document.
    pub(super) hash: Option<String>,
    /// The right answer as text.
    pub(super) target: String,
    /// SHA-256 of the prompt where the file has one.
    pub(super) prompt: Option<String>,
    pub(super) filter: String,
    /// Metrics with a number for the document.
    pub(super) metrics: Vec<(String, RecordedValue)>,
    /// Metrics whose value is something else.
    pub(super) left_out: Vec<String>,
    /// The document where the file has it.
    pub(super) fields: Map<String, Value>,
}

/// What a metric says about a document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum RecordedValue {
    Number(f64),
    /// Log-likelihood and length of a text.
    Rolling(f64, f64),
}

/// Fields that are no metric, in files that do not list their metrics.
const OTHER_FIELDS: [&str; 10] = [
    "doc_id",
    "doc",
    "target",
    "arguments",
    "resps",
    "filtered_resps",
    "filter",
    "doc_hash",
    "prompt_hash",
    "target_hash",
];

impl RecordedSample {
    /// `number` is that of the sample in the file, from 1.
    pub(super) fn read(path: &Path, number: usize, sample: &Map<String, Value>) -> Result<Self, BenchError> {
        let Some(doc_id) = sample.get("doc_id").and_then(Value::as_u64) else {
            let found = sample.get("doc_id").map_or("none".to_owned(), Value::to_string);
            return Err(refused_sample(path, number, "a document's number in `doc_id`", &found));
        };
        let (mut metrics, mut left_out) = (Vec::new(), Vec::new());
        for name in names(sample) {
            match sample.get(&name).and_then(|value| RecordedValue::read(&name, value)) {
                Some(value) => metrics.push((name, value)),
                None => left_out.push(name),
            }
        }
        if metrics.is_empty() && left_out.is_empty() {
            return Err(refused_sample(path, number, "a metric such as `acc`", "none"));
        }
        Ok(Self {
            doc_id,
            hash: hash(sample),
            target: target(sample),
            prompt: text(sample, "prompt_hash"),
            filter: text(sample, "filter").unwrap_or_else(|| "none".to_owned()),
            metrics,
            left_out,
            fields: sample
                .get("doc")
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default(),
        })
    }

    pub(super) fn value(&self, metric: &str) -> Option<RecordedValue> {
        let mut metrics = self.metrics.iter();
        metrics.find(|(name, _)| name == metric).map(|(_, value)| *value)
    }
}

/// The metrics that the sample lists, or every field that is a number and nothing else.
fn names(sample: &Map<String, Value>) -> Vec<String> {
    if let Some(listed) = sample.get("metrics").and_then(Value::as_array) {
        return listed.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    let others = sample.iter().filter(|(name, _)| !OTHER_FIELDS.contains(&name.as_str()));
    others
        .filter(|(_, value)| value.is_number() || value.is_boolean())
        .map(|(name, _)| name.clone())
        .collect()
}

fn text(sample: &Map<String, Value>, field: &str) -> Option<String> {
    sample.get(field).and_then(Value::as_str).map(str::to_owned)
}

fn hash(sample: &Map<String, Value>) -> Option<String> {
    let document = sample.get("doc").and_then(Value::as_object);
    text(sample, "doc_hash").or_else(|| document.map(document_hash))
}

fn target(sample: &Map<String, Value>) -> String {
    match sample.get("target") {
        Some(Value::String(target)) => target.clone(),
        Some(target) => target.to_string(),
        None => String::new(),
    }
}

impl RecordedValue {
    fn read(metric: &str, value: &Value) -> Option<Self> {
        match value {
            Value::Bool(right) => Some(Self::Number(f64::from(u8::from(*right)))),
            Value::Number(number) => number.as_f64().map(Self::Number),
            Value::Array(parts) if is_rolling(metric) => match parts.as_slice() {
                [sum, length] => Some(Self::Rolling(sum.as_f64()?, length.as_f64()?)),
                _ => None,
            },
            _ => None,
        }
    }
}

fn is_rolling(metric: &str) -> bool {
    matches!(metric, "word_perplexity" | "byte_perplexity" | "bits_per_byte")
}

/// Outcomes of a metric of which a file has only the values: one per document, with the score, how it is read, and
/// whether higher is better.
pub(super) struct Outcomes {
    pub(super) values: Vec<f64>,
    pub(super) score: f64,
    pub(super) scale: Scale,
    pub(super) higher_is_better: bool,
}

/// Metrics of which less is better.
const LOWER_IS_BETTER: [&str; 7] = [
    "word_perplexity",
    "byte_perplexity",
    "bits_per_byte",
    "perplexity",
    "brier_score",
    "ter",
    "loss",
];

impl Outcomes {
    /// `share` says that all values of both files lie between 0 and 1.
    pub(super) fn of(metric: &str, values: &[RecordedValue], share: bool) -> Self {
        let rolling: Option<Vec<(f64, f64)>> = values.iter().map(|value| value.rolling()).collect();
        if let Some(parts) = rolling {
            return Self::of_texts(metric, &parts);
        }
        let numbers = values.iter().map(|value| match value {
            RecordedValue::Number(number) => *number,
            RecordedValue::Rolling(sum, length) => sum / length,
        });
        let numbers: Vec<f64> = numbers.collect();
        // The original's perplexity of a continuation is the exponential of the mean of what the file has.
        if metric == "perplexity" {
            let values: Vec<f64> = numbers.iter().map(|log_likelihood| -log_likelihood).collect();
            return Self {
                score: crate::stats::mean(&values).exp(),
                values,
                scale: Scale::Log,
                higher_is_better: false,
            };
        }
        let higher_is_better = !LOWER_IS_BETTER.contains(&metric);
        // A Brier score is no percentage, even where all of them are below 1: they go up to 2.
        let is_percentage = share && higher_is_better;
        Self {
            score: crate::stats::mean(&numbers),
            values: numbers,
            scale: if is_percentage { Scale::Share } else { Scale::Plain },
            higher_is_better,
        }
    }

    /// Perplexities of whole texts: log-likelihoods over the mean length, so that a long text weighs more.
    fn of_texts(metric: &str, parts: &[(f64, f64)]) -> Self {
        let length = parts.iter().map(|(_, length)| length).sum::<f64>() / parts.len() as f64;
        let bits = metric == "bits_per_byte";
        let unit = if bits { std::f64::consts::LN_2 } else { 1.0 };
        let values: Vec<f64> = parts.iter().map(|(sum, _)| -sum / length / unit).collect();
        let mean = crate::stats::mean(&values);
        Self {
            values,
            score: if bits { mean } else { mean.exp() },
            scale: if bits { Scale::Plain } else { Scale::Log },
            higher_is_better: false,
        }
    }
}

impl RecordedValue {
    fn rolling(self) -> Option<(f64, f64)> {
        match self {
            Self::Rolling(sum, length) => Some((sum, length)),
            Self::Number(_) => None,
        }
    }

    pub(super) fn is_share(self) -> bool {
        matches!(self, Self::Number(number) if (0.0..=1.0).contains(&number))
    }
}
