//! `word_perplexity`, `byte_perplexity`, `bits_per_byte`: how well whole texts are predicted, per unit of length.
//!
//! With log-likelihoods `l` in nats and lengths `n`, summed over all documents, the perplexity is `exp(-l / n)` and the
//! bits per byte are `-l / n / ln 2`. A long document weighs more than a short one.

use serde_json::{Map, Value};

use super::{Answered, Metric, MetricKind, MetricValue, NoOptions, Opened, Scale, ValueError, options};
use crate::python_text::is_space;

const FORMS: &[&str] = &["loglikelihood_rolling"];

pub(super) const WORD_PERPLEXITY: MetricKind = MetricKind {
    name: "word_perplexity",
    forms: FORMS,
    new: |keys| Perplexity::open(keys, words, Unit::Perplexity),
};

pub(super) const BYTE_PERPLEXITY: MetricKind = MetricKind {
    name: "byte_perplexity",
    forms: FORMS,
    new: |keys| Perplexity::open(keys, str::len, Unit::Perplexity),
};

pub(super) const BITS_PER_BYTE: MetricKind = MetricKind {
    name: "bits_per_byte",
    forms: FORMS,
    new: |keys| Perplexity::open(keys, str::len, Unit::Bits),
};

#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Perplexity,
    Bits,
}

struct Perplexity {
    length: fn(&str) -> usize,
    unit: Unit,
}

impl Perplexity {
    fn open(keys: &Map<String, Value>, length: fn(&str) -> usize, unit: Unit) -> Opened {
        options::<NoOptions>(keys)?;
        Ok(Box::new(Self { length, unit }))
    }

    /// Nats, or bits.
    fn in_unit(&self, nats: f64) -> f64 {
        match self.unit {
            Unit::Perplexity => nats,
            Unit::Bits => nats / std::f64::consts::LN_2,
        }
    }
}

impl Metric for Perplexity {
    /// Of one document alone: nats per word or byte, or bits per byte.
    fn value(&self, answered: &Answered) -> Result<MetricValue, ValueError> {
        let (sum, text) = answered.rolling()?;
        let length = (self.length)(text) as f64;
        Ok(MetricValue {
            outcome: self.in_unit(-sum / length.max(1.0)),
            parts: vec![sum, length],
            written: None,
        })
    }

    fn aggregation(&self) -> &'static str {
        match self.unit {
            Unit::Perplexity => "weighted_perplexity",
            Unit::Bits => "bits_per_byte",
        }
    }

    fn aggregate(&self, values: &[MetricValue]) -> f64 {
        let (sum, length) = totals(values);
        let mean = self.in_unit(-sum / length);
        match self.unit {
            Unit::Perplexity => mean.exp(),
            Unit::Bits => mean,
        }
    }

    fn stderr(&self, _values: &[MetricValue]) -> Option<f64> {
        None
    }

    /// Each document's share of the exponent: their mean is the bits per byte, or the logarithm of the perplexity. A
    /// mean difference of these is the logarithm of a ratio of two perplexities.
    fn outcomes(&self, values: &[MetricValue]) -> Vec<f64> {
        let mean_length = totals(values).1 / values.len() as f64;
        let outcomes = values.iter().map(|value| self.in_unit(-value.parts[0] / mean_length));
        outcomes.collect()
    }

    fn higher_is_better(&self) -> bool {
        false
    }

    fn scale(&self) -> Scale {
        match self.unit {
            Unit::Perplexity => Scale::Log,
            Unit::Bits => Scale::Plain,
        }
    }
}

/// The log-likelihood and the length of all documents together.
fn totals(values: &[MetricValue]) -> (f64, f64) {
    let sum = values.iter().map(|value| value.parts[0]).sum();
    (sum, values.iter().map(|value| value.parts[1]).sum())
}

/// Python's `len(re.split(r"\s+", text))`: one more than there are runs of white space.
fn words(text: &str) -> usize {
    let mut words = 1;
    let mut inside = false;
    for c in text.chars() {
        let space = is_space(c);
        words += usize::from(space && !inside);
        inside = space;
    }
    words
}
