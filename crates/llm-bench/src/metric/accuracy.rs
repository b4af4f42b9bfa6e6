//! `acc`, `acc_norm`, `acc_bytes`, `acc_mutual_info`: whether a right choice has the largest log-likelihood, as it is,
//! divided by a length, or less what it has without the question. `exact_match`: whether a model would write a right one.

use serde_json::{Map, Value};

use super::{Answered, ChoiceOptions, Metric, MetricKind, MetricValue, Opened, ValueError, largest, options};
use crate::{Gold, Prompt};

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

/// What the question adds to the log-likelihood of a choice.
pub(super) const ACC_MUTUAL_INFO: MetricKind = MetricKind {
    name: "acc_mutual_info",
    forms: FORMS,
    new: |keys| opened(keys, MutualInformation),
};

/// Whether the model would write a right choice: greedily token by token.
pub(super) const EXACT_MATCH: MetricKind = MetricKind {
    name: "exact_match",
    forms: FORMS,
    new: |keys| opened(keys, Written),
};

fn opened(keys: &Map<String, Value>, metric: impl Metric + 'static) -> Opened {
    options::<ChoiceOptions>(keys)?;
    Ok(Box::new(metric))
}

struct MutualInformation;

struct Written;

struct Accuracy {
    /// What the log-likelihood of a choice is divided by.
    length: fn(&str) -> f64,
}

impl Accuracy {
    fn open(keys: &Map<String, Value>, length: fn(&str) -> f64) -> Opened {
        opened(keys, Self { length })
    }
}

impl Metric for Accuracy {
    fn value(&self, answered: &Answered) -> Result<MetricValue, ValueError> {
        let scores = answered.scores()?;
        let lengths = answered.prompt.choices.iter().map(|choice| (self.length)(choice));
        let values = scores.iter().zip(lengths).map(|(score, length)| score.sum / length);
        Ok(MetricValue::from(answered.is_right(largest(values))))
    }

    fn chance(&self, prompt: &Prompt) -> Option<f64> {
        Some(guessed(prompt))
    }
}

impl Metric for MutualInformation {
    fn value(&self, answered: &Answered) -> Result<MetricValue, ValueError> {
        let pairs = answered.scores()?.iter().zip(answered.unconditional()?);
        let added = pairs.map(|(score, alone)| score.sum - alone.sum);
        Ok(MetricValue::from(answered.is_right(largest(added))))
    }

    fn chance(&self, prompt: &Prompt) -> Option<f64> {
        Some(guessed(prompt))
    }
}

impl Metric for Written {
    fn value(&self, answered: &Answered) -> Result<MetricValue, ValueError> {
        let mut scores = answered.scores()?.iter().enumerate();
        let written = scores.any(|(index, score)| score.is_greedy && answered.is_right(Some(index)));
        Ok(MetricValue::from(written))
    }
}

/// The right choices among all; nothing where no choice is right.
fn guessed(prompt: &Prompt) -> f64 {
    let right = match &prompt.gold {
        Gold::Choice(gold) => usize::from(gold.is_some()),
        Gold::Choices(golds) => golds.iter().flatten().collect::<std::collections::HashSet<_>>().len(),
        Gold::Texts(_) => 0,
    };
    right as f64 / prompt.choices.len().max(1) as f64
}
