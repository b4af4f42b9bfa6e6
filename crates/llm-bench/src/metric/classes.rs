//! `f1` and `mcc`: how well choices are told apart, over all documents together.

use serde_json::{Map, Value};

use super::bootstrap::bootstrap_stderr;
use super::{
    Answered, ChoiceOptions, Metric, MetricKind, MetricValue, Opened, RESAMPLES, Scale, ValueError, largest, options,
};

const FORMS: &[&str] = &["multiple_choice"];

/// Of the second of two choices, as scikit-learn's `f1_score` has it.
pub(super) const F1: MetricKind = MetricKind {
    name: "f1",
    forms: FORMS,
    new: |keys| Classes::open(keys, true),
};

/// Matthews' correlation coefficient, of any number of choices (Gorodkin 2004).
pub(super) const MCC: MetricKind = MetricKind {
    name: "mcc",
    forms: FORMS,
    new: |keys| Classes::open(keys, false),
};

struct Classes {
    binary: bool,
}

impl Classes {
    fn open(keys: &Map<String, Value>, binary: bool) -> Opened {
        options::<ChoiceOptions>(keys)?;
        Ok(Box::new(Self { binary }))
    }

    fn score<'a>(&self, values: impl Iterator<Item = &'a MetricValue>) -> f64 {
        let pairs = values.map(|value| (value.parts[0] as usize, value.parts[1] as usize));
        if self.binary { f1(pairs) } else { mcc(pairs) }
    }
}

/// Twice the documents of the second choice found, over those that are of it and those taken for it.
fn f1(pairs: impl Iterator<Item = (usize, usize)>) -> f64 {
    let (mut found, mut all) = (0, 0);
    for (gold, answer) in pairs {
        found += 2 * usize::from(gold == 1 && answer == 1);
        all += usize::from(gold == 1) + usize::from(answer == 1);
    }
    if all == 0 { 0.0 } else { found as f64 / all as f64 }
}

fn mcc(pairs: impl Iterator<Item = (usize, usize)>) -> f64 {
    let (mut golds, mut answers, mut right, mut count) = (Vec::new(), Vec::new(), 0.0, 0.0);
    for (gold, answer) in pairs {
        let classes = golds.len().max(gold + 1).max(answer + 1);
        golds.resize(classes, 0.0);
        answers.resize(classes, 0.0);
        golds[gold] += 1.0;
        answers[answer] += 1.0;
        right += f64::from(u8::from(gold == answer));
        count += 1.0;
    }
    let covariance = right * count - product(&golds, &answers);
    let (of_golds, of_answers) = (
        count * count - product(&golds, &golds),
        count * count - product(&answers, &answers),
    );
    if of_golds * of_answers == 0.0 {
        return 0.0;
    }
    covariance / (of_golds * of_answers).sqrt()
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Metric for Classes {
    /// The right choice and the answer; alone a document counts as right or wrong.
    fn value(&self, answered: &Answered) -> Result<MetricValue, ValueError> {
        let scores = answered.scores()?;
        let gold = answered.right_choice()?;
        if self.binary && scores.len() != 2 {
            let problem = format!("f1 needs two choices, found {}", scores.len());
            return Err(ValueError::Target(problem));
        }
        let answer = largest(scores.iter().map(|score| score.sum)).unwrap_or(0);
        Ok(MetricValue {
            outcome: f64::from(u8::from(gold == answer)),
            parts: vec![gold as f64, answer as f64],
            ..Default::default()
        })
    }

    fn aggregation(&self) -> &'static str {
        if self.binary { "f1" } else { "matthews_corrcoef" }
    }

    fn aggregate(&self, values: &[MetricValue]) -> f64 {
        self.score(values.iter())
    }

    fn stderr(&self, values: &[MetricValue]) -> Option<f64> {
        bootstrap_stderr(values.len(), RESAMPLES, &|drawn| {
            self.score(drawn.iter().map(|&index| &values[index]))
        })
    }

    fn scale(&self) -> Scale {
        Scale::Plain
    }
}
