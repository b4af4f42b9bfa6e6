//! `bleu`, `chrf`, `chrf++`, `ter`: how much a generated text has in common with the expected one, as sacreBLEU 2
//! computes it with its default settings. The score is that of all documents together: their counts are added first.

mod bleu;
mod chrf;
mod shift;
mod ter;

use serde_json::{Map, Value};

use super::bootstrap::bootstrap_stderr;
use super::{Answered, Metric, MetricKind, MetricValue, NoOptions, Opened, Scale, ValueError, options};

const FORMS: &[&str] = &["generate_until"];

/// Resamples of the standard error, as many as the original draws for these metrics.
const RESAMPLES: usize = 100;

pub(super) const BLEU: MetricKind = MetricKind {
    name: "bleu",
    forms: FORMS,
    new: |keys| Translation::open(keys, "bleu", bleu::counts, bleu::score),
};

pub(super) const CHRF: MetricKind = MetricKind {
    name: "chrf",
    forms: FORMS,
    new: |keys| Translation::open(keys, "chrf", chrf::character_counts, chrf::score),
};

/// With pairs of words and single words in addition to the characters.
pub(super) const CHRF_WITH_WORDS: MetricKind = MetricKind {
    name: "chrf++",
    forms: FORMS,
    new: |keys| Translation::open(keys, "chrf++", chrf::all_counts, chrf::score),
};

pub(super) const TER: MetricKind = MetricKind {
    name: "ter",
    forms: FORMS,
    new: |keys| Translation::open(keys, "ter", ter::counts, ter::score),
};

struct Translation {
    name: &'static str,
    /// Counts of a text and the expected one.
    counts: fn(&str, &str) -> Vec<f64>,
    /// The score of counts, or of sums of them.
    score: fn(&[f64]) -> f64,
}

impl Translation {
    fn open(
        keys: &Map<String, Value>,
        name: &'static str,
        counts: fn(&str, &str) -> Vec<f64>,
        score: fn(&[f64]) -> f64,
    ) -> Opened {
        options::<NoOptions>(keys)?;
        Ok(Box::new(Self { name, counts, score }))
    }

    fn sum<'a>(&self, values: impl Iterator<Item = &'a MetricValue>) -> f64 {
        let mut sums: Vec<f64> = Vec::new();
        for value in values {
            sums.resize(value.parts.len(), 0.0);
            sums.iter_mut().zip(&value.parts).for_each(|(sum, part)| *sum += part);
        }
        (self.score)(&sums)
    }
}

impl Metric for Translation {
    /// The score of the document alone, and its counts.
    fn value(&self, answered: &Answered) -> Result<MetricValue, ValueError> {
        let (text, references) = answered.text()?;
        let [reference] = references else {
            let problem = format!(
                "one text is expected for {}, found {} of them",
                self.name,
                references.len()
            );
            return Err(ValueError::Target(problem));
        };
        let parts = (self.counts)(text, reference);
        Ok(MetricValue {
            outcome: (self.score)(&parts),
            parts,
            ..Default::default()
        })
    }

    fn aggregation(&self) -> &'static str {
        self.name
    }

    fn aggregate(&self, values: &[MetricValue]) -> f64 {
        self.sum(values.iter())
    }

    fn stderr(&self, values: &[MetricValue]) -> Option<f64> {
        bootstrap_stderr(values.len(), RESAMPLES, &|drawn| {
            self.sum(drawn.iter().map(|&index| &values[index]))
        })
    }

    fn higher_is_better(&self) -> bool {
        self.name != "ter"
    }

    fn scale(&self) -> Scale {
        Scale::Plain
    }
}
