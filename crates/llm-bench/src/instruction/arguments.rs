//! The arguments of an instruction. As in the original an empty one counts as missing; where the original then draws
//! one by chance, which would make a verdict meaningless, it is an error.

use serde_json::{Map, Value};

use crate::expression::{Expression, ExpressionError};
use crate::processor::FieldError;
use crate::python_text::strip;

/// The object of `kwargs` that belongs to one instruction.
pub(super) struct Arguments<'a> {
    index: usize,
    name: &'static str,
    values: &'a Map<String, Value>,
}

impl<'a> Arguments<'a> {
    pub(super) fn new(index: usize, name: &'static str, values: &'a Value) -> Result<Self, FieldError> {
        match values {
            Value::Object(values) => Ok(Self { index, name, values }),
            other => Err(problem(index, name, format!("an object is expected, found {other}"))),
        }
    }

    /// An error about one argument.
    pub(super) fn refuse<T>(&self, key: &str, expected: &str) -> Result<T, FieldError> {
        let found = self.values.get(key).unwrap_or(&Value::Null);
        let text = format!("`{key}`: {expected} is expected, found {found}");
        Err(problem(self.index, self.name, text))
    }

    /// A text that is not empty, without white space round it.
    pub(super) fn text(&self, key: &str) -> Result<&'a str, FieldError> {
        match self.values.get(key) {
            Some(Value::String(text)) if !text.is_empty() => Ok(strip(text)),
            _ => self.refuse(key, "a text"),
        }
    }

    pub(super) fn texts(&self, key: &str) -> Result<Vec<&'a str>, FieldError> {
        let texts = self.values.get(key).and_then(Value::as_array);
        let texts = texts.and_then(|texts| texts.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        match texts {
            Some(texts) if !texts.is_empty() => Ok(texts),
            _ => self.refuse(key, "a list of texts"),
        }
    }

    /// A positive integer; some writers of tables make a floating-point number of it.
    pub(super) fn count(&self, key: &str) -> Result<usize, FieldError> {
        let number = self.values.get(key).and_then(Value::as_f64);
        match number.filter(|number| *number >= 1.0 && number.fract() == 0.0) {
            Some(number) => Ok(number as usize),
            None => self.refuse(key, "a positive integer"),
        }
    }

    /// A bound and the side of it on which a number must lie.
    pub(super) fn bound(&self, count: &str, relation: &str) -> Result<Bound, FieldError> {
        let bound = self.count(count)?;
        match self.text(relation)? {
            "less than" => Ok(Bound::Below(bound)),
            "at least" => Ok(Bound::AtLeast(bound)),
            _ => self.refuse(relation, "\"less than\" or \"at least\""),
        }
    }

    /// An expression made of an argument.
    pub(super) fn expression(&self, made: Result<Expression, ExpressionError>) -> Result<Expression, FieldError> {
        made.map_err(|error| {
            let text = format!("the expression `{}` does not compile: {}", error.pattern, error.source);
            problem(self.index, self.name, text)
        })
    }
}

fn problem(index: usize, name: &str, text: String) -> FieldError {
    FieldError::new("kwargs", format!("{index}, of {name}: {text}"))
}

/// What a number is asked to be.
#[derive(Clone, Copy)]
pub(super) enum Bound {
    Below(usize),
    AtLeast(usize),
}

impl Bound {
    pub(super) fn admits(self, count: usize) -> bool {
        match self {
            Self::Below(bound) => count < bound,
            Self::AtLeast(bound) => count >= bound,
        }
    }
}
