//! `exact_match`: whether a generated text equals one of the expected texts after normalisation.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Answered, Metric, MetricKind, MetricValue, Opened, ValueError, options};
use crate::expression::{Expression, ExpressionError};

pub(super) const EXACT_MATCH: MetricKind = MetricKind {
    name: "exact_match",
    forms: &["generate_until"],
    new: ExactMatch::open,
};

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Normalisation {
    ignore_case: bool,
    /// ASCII only.
    ignore_punctuation: bool,
    /// ASCII digits only.
    ignore_numbers: bool,
    /// Expressions in Python's syntax, deleted from both sides first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    regexes_to_ignore: Vec<String>,
}

struct ExactMatch {
    normalisation: Normalisation,
    ignored: Vec<Expression>,
}

impl ExactMatch {
    fn open(keys: &Map<String, Value>) -> Opened {
        let normalisation: Normalisation = options(keys)?;
        let ignored = normalisation.regexes_to_ignore.iter();
        let ignored = ignored.map(|pattern| Expression::new(pattern));
        Ok(Box::new(Self {
            ignored: ignored.collect::<Result<_, _>>()?,
            normalisation,
        }))
    }

    /// In this order: expressions deleted, lower case, punctuation, digits.
    fn normalised(&self, text: &str) -> Result<String, ExpressionError> {
        let mut text = text.to_owned();
        for expression in &self.ignored {
            text = expression.delete(&text)?;
        }
        if self.normalisation.ignore_case {
            text = text.to_lowercase();
        }
        if self.normalisation.ignore_punctuation {
            text.retain(|c| !c.is_ascii_punctuation());
        }
        if self.normalisation.ignore_numbers {
            text.retain(|c| !c.is_ascii_digit());
        }
        Ok(text)
    }
}

impl Metric for ExactMatch {
    fn value(&self, answered: &Answered) -> Result<MetricValue, ValueError> {
        let (text, references) = answered.text()?;
        let text = self.normalised(text)?;
        for reference in references {
            if self.normalised(reference)? == text {
                return Ok(MetricValue::from(true));
            }
        }
        Ok(MetricValue::from(false))
    }

    fn options(&self) -> Map<String, Value> {
        match serde_json::to_value(&self.normalisation) {
            Ok(Value::Object(options)) => options,
            other => unreachable!("a struct of booleans and texts is a JSON object, found {other:?}"),
        }
    }
}
