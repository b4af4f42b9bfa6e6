//! Filters: what is taken from a generated text before a metric sees it.

use serde::{Deserialize, Serialize};

use crate::expression::{Expression, ExpressionError};
use crate::python_text::strip;

/// One step of a filter, applied to the text a model generated. Steps without settings have braces because serde would
/// ignore further keys of a bare name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "function", rename_all = "snake_case", deny_unknown_fields)]
pub enum FilterStep {
    /// All matches of a regular expression, one of them selected.
    Regex {
        /// The expression, in Python's syntax.
        #[serde(default = "default_regex")]
        regex_pattern: String,
        /// Which match: 0 the first, -1 the last.
        #[serde(default)]
        group_select: i64,
        /// The value when nothing matches.
        #[serde(default = "default_fallback")]
        fallback: String,
    },
    /// The first response (there is only one).
    TakeFirst {},
    /// Unicode's lower case.
    Lowercase {},
    /// Unicode's upper case.
    Uppercase {},
    /// White space at both ends removed.
    RemoveWhitespace {},
}

fn default_regex() -> String {
    r"#### (\-?[0-9\.\,]+)".to_owned()
}

fn default_fallback() -> String {
    "[invalid]".to_owned()
}

/// A named chain of filter steps; every metric is reported once per chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterChain {
    /// The second half of the metric's key, as in `exact_match,strict-match`.
    pub name: String,
    /// Applied one after another.
    pub filter: Vec<FilterStep>,
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
