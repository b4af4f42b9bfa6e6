//! Jinja templates over one document, with the conventions of lm-evaluation-harness: an undefined name is an error,
//! a trailing newline stays, Python's string and list methods exist.

mod names;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior};
use serde_json::Value as Json;

use crate::expression::{Expression, ExpressionError};
use crate::{Document, python_literal};

/// Instructions that one rendering may run: the built-in tasks need less than a hundred; an endless loop ends here.
const FUEL: u64 = 5_000_000;

/// Renders the templates of one task.
pub(crate) struct Templates {
    environment: Environment<'static>,
}

/// The result of rendering a template for a document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Rendered {
    Integer(i64),
    Text(String),
    List(Vec<String>),
}

/// As Python's `str` prints it.
impl std::fmt::Display for Rendered {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Integer(integer) => write!(f, "{integer}"),
            Self::Text(text) => f.write_str(text),
            Self::List(list) => write!(f, "{}", Value::from(list.clone())),
        }
    }
}

impl Templates {
    pub(crate) fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
        environment.set_syntax(syntax.expect("the default delimiters are valid"));
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(python_method);
        environment.add_filter("regex_replace", regex_replace);
        Self { environment }
    }

    /// Compiles a template and looks up the filters, tests, functions and methods it names.
    pub(crate) fn check(&self, template: &str) -> Result<(), Error> {
        self.environment.template_from_str(template)?;
        names::check(&self.environment, template)
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

    fn render(&self, template: &str, document: &Document) -> Result<String, Error> {
        self.environment.render_str(template, Value::from(Serde(document)))
    }

    /// Renders to the value meant where a choice or choices are expected: a field's bare name is the field as it is;
    /// anything else is read as [`Templates::answers`] reads it, and a text of digits is an integer.
    pub(crate) fn value(&self, template: &str, document: &Document) -> Result<Rendered, Error> {
        match document.get(template) {
            Some(Json::String(text)) => Ok(Rendered::Text(text.clone())),
            // Python's booleans are 0 and 1.
            Some(Json::Bool(truth)) => Ok(Rendered::Integer(i64::from(*truth))),
            Some(Json::Number(number)) if number.is_i64() => Ok(integer(&number.to_string())),
            Some(field) => typed(template, &Value::from(Serde(field))),
            None => Ok(match self.answers(template, document)? {
                Rendered::Text(text) if text.bytes().all(|b| b.is_ascii_digit()) => integer(&text),
                other => other,
            }),
        }
    }

    /// As [`Templates::evaluate`]; a text that is a list in Python's notation is a list, unless it is a field.
    pub(crate) fn answers(&self, template: &str, document: &Document) -> Result<Rendered, Error> {
        match self.evaluate(template, document)? {
            Rendered::Text(text) if !document.contains_key(template) => match python_literal::list(&text) {
                Some(items) => typed(template, &Value::from(Serde(&items))),
                None => Ok(Rendered::Text(text)),
            },
            other => Ok(other),
        }
    }

    /// Renders to text, or to a list of texts: a template that is one `{{ expression }}`, or a field's bare name, keeps
    /// its type.
    pub(crate) fn evaluate(&self, template: &str, document: &Document) -> Result<Rendered, Error> {
        if let Some(field) = document.get(template) {
            return typed(template, &Value::from(Serde(field)));
        }
        let Some(expression) = sole_expression(template) else {
            return self.render(template, document).map(Rendered::Text);
        };
        let compiled = self.environment.compile_expression(expression)?;
        typed(expression, &compiled.eval(Value::from(Serde(document)))?)
    }
}

fn invalid(problem: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem)
}

/// The value of an expression or a field; undefined and null ones are errors.
fn typed(expression: &str, value: &Value) -> Result<Rendered, Error> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Err(invalid(format!("`{expression}` is undefined or null"))),
        ValueKind::Seq => {
            let items = value.try_iter()?.map(|item| item_text(expression, &item));
            Ok(Rendered::List(items.collect::<Result<_, _>>()?))
        }
        _ => Ok(Rendered::Text(value.to_string())),
    }
}

/// An item of a list as text. One that is missing is an error, for it would become a choice or an answer.
fn item_text(list: &str, item: &Value) -> Result<String, Error> {
    match item.kind() {
        ValueKind::Undefined | ValueKind::None => Err(invalid(format!("an item of the list `{list}` is missing"))),
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => Err(invalid(format!(
            "an item of the list `{list}` is {item}; a text or a number is expected"
        ))),
        _ => Ok(item.to_string()),
    }
}

/// The expression of a template that consists of nothing else.
fn sole_expression(template: &str) -> Option<&str> {
    let inner = template.strip_prefix("{{")?.strip_suffix("}}")?;
    let nested = ["{{", "}}", "{%", "{#"].iter().any(|mark| inner.contains(mark));
    (!nested).then(|| inner.trim_matches('-').trim())
}

/// A text as the integer it is; one that is none, such as an empty one, stays text.
fn integer(text: &str) -> Rendered {
    text.parse()
        .map_or_else(|_| Rendered::Text(text.to_owned()), Rendered::Integer)
}

fn not_matched(error: ExpressionError) -> Error {
    invalid(format!("`{}`: {}", error.pattern, error.source))
}

/// Python's `re.sub(pattern, replacement, text, count)`, as a filter of the text.
fn regex_replace(text: &str, pattern: &str, replacement: &str, count: Option<usize>) -> Result<String, Error> {
    let expression = Expression::new(pattern).map_err(not_matched)?;
    let replacement = replacement_text(replacement);
    expression
        .replace(text, &replacement, count.unwrap_or(0))
        .map_err(not_matched)
}

/// Python's `\1` and `\g<name>` in the notation of the expression engine.
fn replacement_text(replacement: &str) -> String {
    let (mut text, mut rest) = (String::new(), replacement);
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '\\' {
            text.push(c);
            text.extend((c == '$').then_some(c));
            continue;
        }
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if digits > 0 {
            text.push_str(&format!("${{{}}}", &rest[..digits]));
            rest = &rest[digits..];
        } else if let Some((name, after)) = rest.strip_prefix("g<").and_then(|group| group.split_once('>')) {
            text.push_str(&format!("${{{name}}}"));
            rest = after;
        } else if let Some(escaped) = rest.chars().next() {
            text.push(match escaped {
                'n' => '\n',
                't' => '\t',
                other => other,
            });
            rest = &rest[escaped.len_utf8()..];
        }
    }
    text
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
