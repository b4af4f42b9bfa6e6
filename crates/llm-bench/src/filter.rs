//! Filters, which extract an answer from the generated texts of a document before a metric is applied.

mod choice_letters;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Document;
use crate::expression::{Expression, ExpressionError};
use crate::python_text::strip;
use choice_letters::ChoiceLetters;

/// One step of a filter, applied to the texts a model generated for a document. Steps without settings have braces
/// because serde would ignore further keys of a bare name.
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
    /// The letter of a choice: a match of the expression, else the letter of the choice whose text occurs in the
    /// answer, else a letter after a colon. The choices are the document's field `choices`.
    MultiChoiceRegex {
        /// The expression, in Python's syntax.
        #[serde(default = "default_regex")]
        regex_pattern: String,
        /// Which match: 0 the first, -1 the last.
        #[serde(default)]
        group_select: i64,
        /// The value when nothing matches.
        #[serde(default = "default_fallback")]
        fallback: String,
        /// Convert answer and choices to lower case before a choice's text is searched for.
        #[serde(default)]
        ignore_case: bool,
        /// Remove punctuation from answer and choices before a choice's text is searched for.
        #[serde(default)]
        ignore_punctuation: bool,
        /// Expressions to delete from answer and choices before a choice's text is searched for.
        #[serde(default)]
        regexes_to_ignore: Vec<String>,
    },
    /// The first text; the last step of a chain.
    TakeFirst {},
    /// The first texts.
    TakeFirstK {
        /// Number of texts to keep.
        k: usize,
    },
    /// The most frequent text; the first if several are equally frequent.
    MajorityVote {},
    /// Replaces each text by its entry in a dictionary.
    Map {
        /// The replacement for each text.
        mapping_dict: Map<String, Value>,
        /// The replacement for all other texts.
        default_value: Value,
    },
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

impl FilterStep {
    /// Whether only the first text is left.
    pub(crate) fn takes_first(&self) -> bool {
        *self == Self::TakeFirst {}
    }
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

impl FilterChain {
    /// What is wrong with the order or the settings of the steps, if each document has so many texts.
    pub(crate) fn problem(&self, texts: usize) -> Option<String> {
        let (mut left, steps) = (texts, &self.filter);
        for (index, step) in steps.iter().enumerate() {
            match step {
                FilterStep::TakeFirst {} if !steps[index..].iter().all(FilterStep::takes_first) => {
                    let name = &self.name;
                    return Some(format!(
                        "`{name}`: `take_first` is the last step: later ones would see the characters of a text"
                    ));
                }
                FilterStep::TakeFirstK { k } if *k == 0 || *k > left => {
                    return Some(format!("`{}`: k is {k} of {left} texts", self.name));
                }
                FilterStep::TakeFirstK { k } => left = *k,
                FilterStep::TakeFirst {} | FilterStep::MajorityVote {} => left = 1,
                _ => {}
            }
        }
        let problem = format!(
            "`{}`: {left} texts are left; end the chain with `take_first`",
            self.name
        );
        (left > 1).then_some(problem)
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
    Letters(ChoiceLetters),
    Keep(usize),
    Majority,
    Replace(Map<String, Value>, Value),
    Map(fn(&str) -> String),
}

/// Why a filter could not be applied to an answer.
pub(crate) enum FilterError {
    /// An expression could not be matched.
    Expression(ExpressionError),
    /// The document does not have what the filter needs.
    Document(String),
}

impl From<ExpressionError> for FilterError {
    fn from(error: ExpressionError) -> Self {
        Self::Expression(error)
    }
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
            FilterStep::MultiChoiceRegex { .. } => Self::Letters(ChoiceLetters::new(step)?),
            FilterStep::TakeFirst {} => Self::Keep(1),
            FilterStep::TakeFirstK { k } => Self::Keep(*k),
            FilterStep::MajorityVote {} => Self::Majority,
            FilterStep::Map {
                mapping_dict,
                default_value,
            } => Self::Replace(mapping_dict.clone(), default_value.clone()),
            FilterStep::Lowercase {} => Self::Map(str::to_lowercase),
            FilterStep::Uppercase {} => Self::Map(str::to_uppercase),
            FilterStep::RemoveWhitespace {} => Self::Map(stripped),
        })
    }

    fn apply(&self, mut texts: Vec<String>, document: &Document) -> Result<Vec<String>, FilterError> {
        match self {
            Self::Keep(count) => {
                texts.truncate(*count);
                Ok(texts)
            }
            Self::Majority => Ok(majority(&texts).into_iter().collect()),
            Self::Letters(letters) => letters.apply(&texts, document),
            Self::Map(map) => Ok(texts.iter().map(|text| map(text)).collect()),
            Self::Replace(map, default) => {
                let values = texts.iter().map(|text| map.get(text).unwrap_or(default));
                Ok(values.map(python_text).collect())
            }
            Self::Select {
                expression,
                group,
                fallback,
            } => {
                let selected = texts.iter().map(|text| expression.select(text, *group));
                let selected = selected.map(|text| Ok(text?.unwrap_or_else(|| fallback.clone())));
                selected.collect()
            }
        }
    }
}

fn stripped(text: &str) -> String {
    strip(text).to_owned()
}

/// The most frequent text; the first if several are equally frequent.
fn majority(texts: &[String]) -> Option<String> {
    let mut best: Option<(&String, usize)> = None;
    for text in texts {
        let count = texts.iter().filter(|other| *other == text).count();
        if best.is_none_or(|(_, most)| count > most) {
            best = Some((text, count));
        }
    }
    best.map(|(text, _)| text.clone())
}

/// A value as Python's `str` prints it.
fn python_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        other => other.to_string(),
    }
}

impl Filter {
    pub(crate) fn new(chain: &FilterChain) -> Result<Self, ExpressionError> {
        Ok(Self {
            name: chain.name.clone(),
            steps: chain.filter.iter().map(Step::new).collect::<Result<_, _>>()?,
        })
    }

    /// Applies the chain to the texts of a document.
    pub(crate) fn apply(&self, responses: &[String], document: &Document) -> Result<String, FilterError> {
        let mut texts = responses.to_vec();
        for step in &self.steps {
            texts = step.apply(texts, document)?;
        }
        let first = texts.into_iter().next();
        first.ok_or_else(|| FilterError::Document(format!("no text is left by the filter `{}`", self.name)))
    }
}
