//! Jinja templates over one document, with the conventions of lm-evaluation-harness: an undefined name is an error,
//! a trailing newline stays, Python's string and list methods exist.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior};

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

    /// Renders to text.
    pub(crate) fn text(&self, template: &str, document: &serde_json::Value) -> Result<String, Error> {
        self.environment.render_str(template, Value::from(Serde(document)))
    }

    /// Renders to the value meant: a template that is one `{{ expression }}` keeps the expression's type, any other
    /// yields text; a text of digits is an integer, a text that is a JSON list of strings is a list.
    pub(crate) fn value(&self, template: &str, document: &serde_json::Value) -> Result<Rendered, Error> {
        let Some(expression) = sole_expression(template) else {
            return Ok(from_text(self.text(template, document)?));
        };
        let value = self
            .environment
            .compile_expression(expression)?
            .eval(Value::from(Serde(document)))?;
        match value.kind() {
            ValueKind::Undefined => Err(Error::new(
                ErrorKind::UndefinedError,
                format!("`{expression}` is undefined"),
            )),
            ValueKind::Seq => Ok(Rendered::List(value.try_iter()?.map(|item| item.to_string()).collect())),
            _ => Ok(from_text(value.to_string())),
        }
    }
}

/// The expression of a template that consists of nothing else.
fn sole_expression(template: &str) -> Option<&str> {
    let inner = template.strip_prefix("{{")?.strip_suffix("}}")?;
    let nested = ["{{", "}}", "{%", "{#"].iter().any(|mark| inner.contains(mark));
    (!nested).then(|| inner.trim_matches('-').trim())
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
