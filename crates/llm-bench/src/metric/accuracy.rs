//! `acc`, `acc_norm`, `acc_bytes`: whether the right choice has the largest log-likelihood, as it is or divided by a
//! length.

use serde_json::{Map, Value};

use super::{Answered, Metric, MetricKind, MetricValue, NoOptions, Opened, ValueError, options};
use crate::Prompt;

const FORMS: &[&str] = &["multiple_choice"];

pub(super) const ACC: MetricKind = MetricKind {
    name: "acc",
    forms: FORMS,
    new: |keys| Accuracy::open(keys, |_| 1.0),
};

/// Python's `len`: Unicode code points.
pub(super) const ACC_NORM: MetricKind = MetricKind {
    name: "acc_norm",
    forms: FORMS,
    new: |keys| Accuracy::open(keys, |choice| choice.chars().count() as f64),
};

/// Length in UTF-8.
pub(super) const ACC_BYTES: MetricKind = MetricKind {
    name: "acc_bytes",
    forms: FORMS,
    new: |keys| Accuracy::open(keys, |choice| choice.len() as f64),
};

struct Accuracy {
    /// What the log-likelihood of a choice is divided by.
    length: fn(&str) -> f64,
}

impl Accuracy {
    fn open(keys: &Map<String, Value>, length: fn(&str) -> f64) -> Opened {
        options::<NoOptions>(keys)?;
        Ok(Box::new(Self { length }))
    }
}

impl Metric for Accuracy {
    fn value(&self, answered: &Answered) -> Result<MetricValue, ValueError> {
        let (scores, gold) = answered.choices()?;
        let lengths = answered.prompt.choices.iter().map(|choice| (self.length)(choice));
        let values = scores.iter().zip(lengths).map(|(score, length)| score.sum / length);
        Ok(MetricValue::from(gold.is_some() && largest(values) == gold))
    }

    /// One over the number of choices; nothing where no choice is right.
    fn chance(&self, prompt: &Prompt) -> Option<f64> {
        if prompt.gold.is_missing() {
            return Some(0.0);
        }
        Some(1.0 / prompt.choices.len().max(1) as f64)
    }
}

/// The first of the largest, as with NumPy's `argmax`. What is not a number is never the largest; only an empty choice
/// of log-likelihood 0 has such a value.
fn largest(values: impl Iterator<Item = f64>) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (index, value) in values.enumerate() {
        if !value.is_nan() && best.is_none_or(|(_, top)| value > top) {
            best = Some((index, value));
        }
    }
    best.map(|(index, _)| index)
}
