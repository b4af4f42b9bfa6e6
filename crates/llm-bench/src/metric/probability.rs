//! `brier_score` and `likelihood`: what a model makes of the choices as probabilities, which are the exponentials of
//! their log-likelihoods over their sum.

use serde_json::{Map, Value};

use super::{Answered, ChoiceOptions, Metric, MetricKind, MetricValue, Opened, Scale, ValueError, options};
use crate::{Loglikelihood, stats};

const FORMS: &[&str] = &["multiple_choice"];

/// The squared distance from certainty of the right choice.
pub(super) const BRIER_SCORE: MetricKind = MetricKind {
    name: "brier_score",
    forms: FORMS,
    new: |keys| Probability::open(keys, Kind::Brier),
};

/// The probability of the right choices together.
pub(super) const LIKELIHOOD: MetricKind = MetricKind {
    name: "likelihood",
    forms: FORMS,
    new: |keys| Probability::open(keys, Kind::Mass),
};

#[derive(PartialEq)]
enum Kind {
    Brier,
    Mass,
}

struct Probability {
    kind: Kind,
}

impl Probability {
    fn open(keys: &Map<String, Value>, kind: Kind) -> Opened {
        options::<ChoiceOptions>(keys)?;
        Ok(Box::new(Self { kind }))
    }
}

/// The probabilities of the choices. Where a model excludes all of them, they are equally likely.
fn probabilities(scores: &[Loglikelihood]) -> Vec<f64> {
    let top = scores.iter().map(|score| score.sum).fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY {
        return vec![1.0 / scores.len() as f64; scores.len()];
    }
    let powers: Vec<f64> = scores.iter().map(|score| (score.sum - top).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

impl Metric for Probability {
    fn value(&self, answered: &Answered) -> Result<MetricValue, ValueError> {
        let probabilities = probabilities(answered.scores()?);
        if self.kind == Kind::Mass {
            let golds = answered.right_choices()?;
            let mass: f64 = golds.iter().map(|&gold| probabilities[gold]).sum();
            return Ok(MetricValue::from(mass));
        }
        let gold = answered.right_choice()?;
        let distances = probabilities
            .iter()
            .enumerate()
            .map(|(index, probability)| (probability - f64::from(u8::from(index == gold))).powi(2));
        Ok(MetricValue::from(distances.sum::<f64>()))
    }

    fn aggregation(&self) -> &'static str {
        match self.kind {
            Kind::Brier => "brier_score",
            Kind::Mass => "mean",
        }
    }

    /// The original has none for the Brier score.
    fn stderr(&self, values: &[MetricValue]) -> Option<f64> {
        match self.kind {
            Kind::Brier => None,
            Kind::Mass => stats::mean_stderr(&self.outcomes(values)),
        }
    }

    fn higher_is_better(&self) -> bool {
        self.kind == Kind::Mass
    }

    fn scale(&self) -> Scale {
        match self.kind {
            Kind::Brier => Scale::Plain,
            Kind::Mass => Scale::Share,
        }
    }
}
