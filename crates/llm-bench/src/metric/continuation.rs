//! `perplexity` and `acc` of one continuation: how likely it is, and whether a model would write it.

use serde_json::{Map, Value};

use super::bootstrap::bootstrap_stderr;
use super::{Answered, Metric, MetricKind, MetricValue, NoOptions, Opened, RESAMPLES, Scale, ValueError, options};
use crate::stats;

const FORMS: &[&str] = &["loglikelihood"];

/// The exponential of the mean negative log-likelihood of a whole continuation.
pub(super) const PERPLEXITY: MetricKind = MetricKind {
    name: "perplexity",
    forms: FORMS,
    new: |keys| opened(keys, Perplexity),
};

pub(super) const ACC: MetricKind = MetricKind {
    name: "acc",
    forms: FORMS,
    new: |keys| opened(keys, Greedy),
};

fn opened(keys: &Map<String, Value>, metric: impl Metric + 'static) -> Opened {
    options::<NoOptions>(keys)?;
    Ok(Box::new(metric))
}

struct Perplexity;

struct Greedy;

impl Metric for Perplexity {
    fn value(&self, answered: &Answered) -> Result<MetricValue, ValueError> {
        Ok(MetricValue::from(answered.continuation()?.sum))
    }

    fn aggregation(&self) -> &'static str {
        "perplexity"
    }

    fn aggregate(&self, values: &[MetricValue]) -> f64 {
        stats::mean(&self.outcomes(values)).exp()
    }

    fn stderr(&self, values: &[MetricValue]) -> Option<f64> {
        let outcomes = self.outcomes(values);
        bootstrap_stderr(values.len(), RESAMPLES, &|drawn| {
            let sum: f64 = drawn.iter().map(|&index| outcomes[index]).sum();
            (sum / drawn.len() as f64).exp()
        })
    }

    fn outcomes(&self, values: &[MetricValue]) -> Vec<f64> {
        values.iter().map(|value| -value.outcome).collect()
    }

    fn higher_is_better(&self) -> bool {
        false
    }

    fn scale(&self) -> Scale {
        Scale::Log
    }
}

impl Metric for Greedy {
    fn value(&self, answered: &Answered) -> Result<MetricValue, ValueError> {
        Ok(MetricValue::from(answered.continuation()?.is_greedy))
    }
}
