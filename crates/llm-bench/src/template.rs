//! Jinja templates over one document, with the conventions of lm-evaluation-harness: an undefined name is an error,
//! a trailing newline stays, Python's string and list methods exist.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior};
use serde_json::Value as Json;

use crate::Document;

/// Renders the templates of one task.
pub(crate) struct Templates {
    environment: Environment<'static>,
}

/// What a template says about a document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Rendered {
    Integer(i64),
    Text(String),
    List(Vec<String>),
}

impl std::fmt::Display for Rendered {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Integer(integer) => write!(f, "{integer}"),
            Self::Text(text) => f.write_str(text),
            Self::List(list) => write!(f, "{list:?}"),
        }
    }
}

impl Templates {
    pub(crate) fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // Building fails only for custom delimiters; the default would then strip a final newline.
        if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
            environment.set_syntax(syntax);
        }
        environment.set_unknown_method_callback(python_method);
        Self { environment }
    }

    /// Renders to text. A field's bare name is the field, which has to be text or a number.
    pub(crate) fn text(&self, template: &str, document: &Document) -> Result<String, Error> {
        match document.get(template) {
            None => self.render(template, document),
            Some(Json::String(text)) => Ok(text.clone()),
            Some(Json::Number(number)) => Ok(number.to_string()),
            Some(other) => Err(invalid(format!(
                "`{template}`: a text or a number is expected, found {other}"
            ))),
        }
    }

    /// Renders to text, whatever the document's fields are called.
    pub(crate) fn render(&self, template: &str, document: &Document) -> Result<String, Error> {
        self.environment.render_str(template, Value::from(Serde(document)))
    }

    /// Renders to the value meant. A field's bare name is the field as it is. A template that is one
    /// `{{ expression }}` keeps the expression's type, any other yields text; a text of digits is an integer, a text
    /// that is a JSON list of strings is a list.
    pub(crate) fn value(&self, template: &str, document: &Document) -> Result<Rendered, Error> {
        if let Some(field) = document.get(template) {
            return match field {
                Json::String(text) => Ok(Rendered::Text(text.clone())),
                // Python's booleans are 0 and 1.
                Json::Bool(truth) => Ok(Rendered::Integer(i64::from(*truth))),
                field => typed(template, &Value::from(Serde(field))),
            };
        }
        match sole_expression(template) {
            None => Ok(from_text(self.render(template, document)?)),
            Some(expression) => {
                let compiled = self.environment.compile_expression(expression)?;
                typed(expression, &compiled.eval(Value::from(Serde(document)))?)
            }
        }
    }
}

fn invalid(problem: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem)
}

/// The value of an expression; undefined and null ones are errors, in lists too, for they would become choices.
fn typed(expression: &str, value: &Value) -> Result<Rendered, Error> {
    let item = |item: Value| match item.kind() {
        ValueKind::Undefined | ValueKind::None => {
            Err(invalid(format!("an item of the list `{expression}` is missing")))
        }
        _ => Ok(item.to_string()),
    };
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Err(invalid(format!("`{expression}` is undefined or null"))),
        ValueKind::Seq => Ok(Rendered::List(value.try_iter()?.map(item).collect::<Result<_, _>>()?)),
        _ => Ok(from_text(value.to_string())),
    }
}

/// The expression of a template that consists of nothing else.
fn sole_expression(template: &str) -> Option<&str> {
    let inner = template.strip_prefix("{{")?.strip_suffix("}}")?;
    let nested = ["{{", "}}", "{%", "{#"].iter().any(|mark| inner.contains(mark));
    (!nested).then(|| inner.trim_matches('-').trim())
}

/// Whether a text is a list in JSON, which the original would take for several right answers.
pub(crate) fn is_list(text: &str) -> bool {
    text.starts_with('[') && serde_json::from_str::<Vec<Json>>(text).is_ok()
}

fn from_text(text: String) -> Rendered {
    if !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_digit())
        && let Ok(integer) = text.parse()
    {
        return Rendered::Integer(integer);
    }
    if text.starts_with('[')
        && let Ok(list) = serde_json::from_str(&text)
    {
        return Rendered::List(list);
    }
    Rendered::Text(text)
}

/// Python's `list.index`, then everything pycompat knows.
fn python_method(state: &mut State, value: &Value, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    if value.kind() == ValueKind::Seq && method == "index" {
        let [wanted] = arguments else {
            return Err(Error::new(ErrorKind::MissingArgument, "list.index takes one argument"));
        };
        let found = value.try_iter()?.position(|item| item == *wanted);
        return found.map(Value::from).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidOperation,
                format!("{wanted} is not in the list {value}"),
            )
        });
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, arguments)
}
