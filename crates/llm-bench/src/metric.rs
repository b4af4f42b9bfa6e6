//! From a model's answers to numbers: filters, normalisation, accuracies.

use serde::{Deserialize, Serialize};

use crate::expression::{Expression, ExpressionError};
use crate::python_text::strip;
use crate::task::{FilterChain, FilterStep, Metric, MetricConfig};

/// Log-likelihood of a continuation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loglikelihood {
    /// Sum of the natural log-probabilities of the continuation's tokens.
    #[serde(with = "number")]
    pub sum: f64,
    /// Whether every token of the continuation is the model's most likely one.
    pub is_greedy: bool,
}

/// JSON has no infinity, which is the log-likelihood of a continuation that a model excludes; it is written as text.
mod number {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Text(String),
    }

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            serializer.serialize_f64(*value)
        } else {
            serializer.collect_str(value)
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Number(value) => Ok(value),
            Written::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

/// A filter chain with its expressions compiled.
pub(crate) struct Filter {
    pub(crate) name: String,
    steps: Vec<Step>,
}

enum Step {
    Select {
        expression: Expression,
        group: i64,
        fallback: String,
    },
    Map(fn(&str) -> String),
}

impl Step {
    fn new(step: &FilterStep) -> Result<Self, ExpressionError> {
        Ok(match step {
            FilterStep::Regex {
                regex_pattern,
                group_select,
                fallback,
            } => Self::Select {
                expression: Expression::new(regex_pattern)?,
                group: *group_select,
                fallback: fallback.clone(),
            },
            FilterStep::TakeFirst {} => Self::Map(str::to_owned),
            FilterStep::Lowercase {} => Self::Map(str::to_lowercase),
            FilterStep::Uppercase {} => Self::Map(str::to_uppercase),
            FilterStep::RemoveWhitespace {} => Self::Map(|text| strip(text).to_owned()),
        })
    }

    fn apply(&self, text: &str) -> Result<String, ExpressionError> {
        match self {
            Self::Map(map) => Ok(map(text)),
            Self::Select {
                expression,
                group,
                fallback,
            } => Ok(expression.select(text, *group)?.unwrap_or_else(|| fallback.clone())),
        }
    }
}

impl Filter {
    pub(crate) fn new(chain: &FilterChain) -> Result<Self, ExpressionError> {
        Ok(Self {
            name: chain.name.clone(),
            steps: chain.filter.iter().map(Step::new).collect::<Result<_, _>>()?,
        })
    }

    /// Applies the chain to one response.
    pub(crate) fn apply(&self, response: &str) -> Result<String, ExpressionError> {
        let mut text = response.to_owned();
        for step in &self.steps {
            text = step.apply(&text)?;
        }
        Ok(text)
    }
}

/// `exact_match` with its expressions compiled.
pub(crate) struct ExactMatch {
    config: MetricConfig,
    ignored: Vec<Expression>,
}

impl ExactMatch {
    pub(crate) fn new(config: &MetricConfig) -> Result<Self, ExpressionError> {
        let ignored = config.regexes_to_ignore.iter().map(|pattern| Expression::new(pattern));
        Ok(Self {
            config: config.clone(),
            ignored: ignored.collect::<Result<_, _>>()?,
        })
    }

    /// 1 if the prediction equals one of the references after normalisation, else 0.
    pub(crate) fn score(&self, prediction: &str, references: &[String]) -> Result<f64, ExpressionError> {
        let prediction = self.normalise(prediction)?;
        for reference in references {
            if self.normalise(reference)? == prediction {
                return Ok(1.0);
            }
        }
        Ok(0.0)
    }

    /// In this order: expressions deleted, lower case, punctuation, digits.
    fn normalise(&self, text: &str) -> Result<String, ExpressionError> {
        let mut text = text.to_owned();
        for expression in &self.ignored {
            text = expression.delete(&text)?;
        }
        if self.config.ignore_case {
            text = text.to_lowercase();
        }
        if self.config.ignore_punctuation {
            text.retain(|c| !c.is_ascii_punctuation());
        }
        if self.config.ignore_numbers {
            text.retain(|c| !c.is_ascii_digit());
        }
        Ok(text)
    }
}

/// The choice that a metric prefers: the first of the largest, as with NumPy's `argmax`. What is not a number is never
/// preferred; only an empty choice of log-likelihood 0 has such a value.
pub(crate) fn preferred(metric: Metric, scores: &[Loglikelihood], choices: &[String]) -> Option<usize> {
    let values = scores.iter().zip(choices).map(|(score, choice)| match metric {
        Metric::AccNorm => score.sum / choice.chars().count() as f64,
        Metric::AccBytes => score.sum / choice.len() as f64,
        Metric::Acc | Metric::ExactMatch => score.sum,
    });
    let mut best: Option<(usize, f64)> = None;
    for (index, value) in values.enumerate() {
        if !value.is_nan() && best.is_none_or(|(_, top)| value > top) {
            best = Some((index, value));
        }
    }
    best.map(|(index, _)| index)
}
