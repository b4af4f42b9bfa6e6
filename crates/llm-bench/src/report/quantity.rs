//! The quantities that are compared across seeds, and their values for one trained model.

use super::variant::{Criteria, CurvePoint, Run};
use crate::{Measure, Scale};

/// A quantity that has one value per trained model.
#[derive(Clone, Debug, PartialEq)]
pub enum Quantity {
    /// Mean cross-entropy on held-out text after the last step, in nats per token.
    HeldOutLoss,
    /// Training tokens up to a held-out loss.
    Tokens {
        /// The loss, in nats per token.
        target: f64,
    },
    /// Seconds of training up to a held-out loss.
    Seconds {
        /// The loss, in nats per token.
        target: f64,
    },
    /// The score of a task under a metric.
    Task(Measure),
}

/// The value of a quantity for one trained model, possibly only a bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Observed {
    /// Known. Tokens, seconds and scores read by their ratio ([`Scale::Log`]) are given as natural logarithms.
    Value(f64),
    /// At least this: training ended before the target was reached, or the loss was not finite.
    AtLeast(f64),
    /// At most this: the first evaluation was already below the target.
    AtMost(f64),
    /// Not measured.
    Missing,
}

impl Quantity {
    /// For instance `held-out loss` or `arc_easy (acc)`.
    pub fn name(&self) -> String {
        match self {
            Self::HeldOutLoss => "held-out loss".to_owned(),
            Self::Tokens { target } => format!("tokens to a held-out loss of {target}"),
            Self::Seconds { target } => format!("seconds to a held-out loss of {target}"),
            Self::Task(measure) => format!("{} ({})", measure.task, measure.metric),
        }
    }

    /// Whether the larger of two values is the better one.
    pub fn higher_is_better(&self) -> bool {
        matches!(self, Self::Task(measure) if measure.higher_is_better)
    }

    /// How a difference is read.
    pub fn scale(&self) -> Scale {
        match self {
            Self::HeldOutLoss => Scale::Plain,
            Self::Tokens { .. } | Self::Seconds { .. } => Scale::Log,
            Self::Task(measure) => measure.scale,
        }
    }

    /// A difference as an improvement: positive where the candidate is better.
    pub fn improvement(&self, difference: f64) -> f64 {
        if self.higher_is_better() {
            difference
        } else {
            -difference
        }
    }

    /// A difference with its sign, in [`Quantity::unit`].
    pub fn signed(&self, difference: f64) -> String {
        self.scale().signed(difference)
    }

    /// The size of a difference with its unit.
    pub(super) fn amount(&self, difference: f64) -> String {
        let signed = self.signed(difference);
        format!("{}{}", signed.trim_start_matches(['+', '-']), self.unit())
    }

    /// A margin with its unit, without zeros at the end.
    pub(super) fn margin_text(&self, margin: f64) -> String {
        match self.scale() {
            Scale::Plain => format!("{margin}{}", self.unit()),
            _ => self.amount(margin),
        }
    }

    /// What follows a difference.
    pub fn unit(&self) -> &'static str {
        match self {
            Self::HeldOutLoss => " nats",
            other => other.scale().unit(),
        }
    }

    /// Differences up to this one count as equivalent, where the plan states a margin for such a quantity.
    pub(super) fn margin(&self, criteria: &Criteria) -> Option<f64> {
        match self {
            Self::HeldOutLoss => Some(criteria.margin_nats),
            Self::Task(measure) if measure.scale == Scale::Share => Some(criteria.margin_points / 100.0),
            _ => None,
        }
    }

    pub(super) fn of(&self, run: &Run) -> Observed {
        match self {
            Self::HeldOutLoss => run.held_out_loss.map_or(Observed::Missing, finite_loss),
            Self::Tokens { target } => reached(run, *target, |point| point.tokens as f64),
            Self::Seconds { target } => reached(run, *target, |point| point.seconds),
            Self::Task(measure) => score(run, measure),
        }
    }
}

/// A loss that is not finite means that training failed, which is worse than any finite loss.
fn finite_loss(loss: f64) -> Observed {
    if loss.is_finite() {
        Observed::Value(loss)
    } else {
        Observed::AtLeast(f64::MAX)
    }
}

fn score(run: &Run, measure: &Measure) -> Observed {
    let (task, metric) = (&measure.task, &measure.metric);
    let mut tasks = run.tasks.iter();
    let outcomes = tasks.find(|outcomes| (&outcomes.measure.task, &outcomes.measure.metric) == (task, metric));
    let score = outcomes.map(|outcomes| match measure.scale {
        Scale::Log => outcomes.score.ln(),
        _ => outcomes.score,
    });
    match score {
        Some(score) if score.is_finite() => Observed::Value(score),
        _ => Observed::Missing,
    }
}

/// The logarithm of how much of `amount` training took until the held-out loss was `target`: between the evaluation
/// before and the one at which it was, in proportion to the loss.
fn reached(run: &Run, target: f64, amount: fn(&CurvePoint) -> f64) -> Observed {
    let curve: Vec<&CurvePoint> = run
        .held_out_curve
        .iter()
        .filter(|point| point.loss.is_finite())
        .collect();
    let Some(last) = run.held_out_curve.last() else {
        return Observed::Missing;
    };
    let value = match curve.iter().position(|point| point.loss <= target) {
        None => return logarithm(amount(last), Observed::AtLeast),
        Some(0) => return logarithm(amount(curve[0]), Observed::AtMost),
        Some(index) => between(curve[index - 1], curve[index], target, amount),
    };
    logarithm(value, Observed::Value)
}

fn between(before: &CurvePoint, after: &CurvePoint, target: f64, amount: fn(&CurvePoint) -> f64) -> f64 {
    let share = (before.loss - target) / (before.loss - after.loss);
    amount(before) + share * (amount(after) - amount(before))
}

/// The logarithm of an amount; missing if the amount was not counted.
fn logarithm(amount: f64, observed: fn(f64) -> Observed) -> Observed {
    if amount.is_finite() && amount > 0.0 {
        observed(amount.ln())
    } else {
        Observed::Missing
    }
}

impl Observed {
    /// The value where it is known.
    pub fn value(self) -> Option<f64> {
        match self {
            Self::Value(value) => Some(value),
            _ => None,
        }
    }

    /// Which of two is the larger one, where that is certain.
    pub(super) fn order(self, other: Self) -> Option<std::cmp::Ordering> {
        use std::cmp::Ordering::{Greater, Less};
        match (self, other) {
            (Self::Value(a), Self::Value(b)) => a.partial_cmp(&b),
            (Self::Value(a) | Self::AtMost(a), Self::AtLeast(b)) if a <= b => Some(Less),
            (Self::AtMost(a), Self::Value(b)) if a < b => Some(Less),
            (Self::AtLeast(a), Self::Value(b) | Self::AtMost(b)) if a >= b => Some(Greater),
            (Self::Value(a), Self::AtMost(b)) if a > b => Some(Greater),
            _ => None,
        }
    }
}
