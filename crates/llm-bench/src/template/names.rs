//! The filters, tests, functions and methods that a template names. The engine would look them up only when it comes to
//! them, in the middle of an evaluation.

use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, context};

/// Looks up every name.
pub(super) fn check(environment: &Environment, template: &str) -> Result<(), Error> {
    for code in code_of(template) {
        for use_of in uses(&code) {
            use_of.check(environment)?;
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq)]
enum Use {
    Filter(String),
    Test(String),
    Method(String),
}

impl Use {
    /// Tries the name on values of every kind: an engine that knows it for one of them knows it.
    fn check(&self, environment: &Environment) -> Result<(), Error> {
        let (source, unknown) = match self {
            Self::Filter(name) => (format!("x|{name}"), ErrorKind::UnknownFilter),
            Self::Test(name) => (format!("x is {name}"), ErrorKind::UnknownTest),
            Self::Method(name) => (format!("x.{name}()"), ErrorKind::UnknownMethod),
        };
        let expression = environment.compile_expression(&source)?;
        let values = [Value::from("text"), Value::from(vec![1]), context! { a => 1 }];
        let mut last = None;
        for x in values {
            match expression.eval(context! { x => x }) {
                Err(error) if error.kind() == unknown => last = Some(error),
                _ => return Ok(()),
            }
        }
        last.map_or(Ok(()), Err)
    }
}

/// The text between `{{` and `}}` or `{%` and `%}`, without what stands in quotation marks.
fn code_of(template: &str) -> Vec<String> {
    let (mut codes, mut rest) = (Vec::new(), template);
    while let Some(start) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        let mut code = String::new();
        let mut quote: Option<char> = None;
        let mut characters = rest[start + 2..].char_indices().peekable();
        let mut end = rest.len();
        while let Some((index, c)) = characters.next() {
            match quote {
                Some(_) if c == '\\' => drop(characters.next()),
                Some(open) if c == open => quote = None,
                Some(_) => {}
                None if c == '\'' || c == '"' => {
                    quote = Some(c);
                    code.push('"');
                }
                None if matches!(c, '}' | '%') && characters.peek().is_some_and(|(_, next)| *next == '}') => {
                    end = start + 2 + index + 2;
                    break;
                }
                None => code.push(c),
            }
        }
        codes.push(code);
        rest = &rest[end..];
    }
    codes
}

/// Names after `|` and `is`, and names after a point that are called.
fn uses(code: &str) -> Vec<Use> {
    let tokens = tokens(code);
    let mut uses = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let after = |count: usize| tokens.get(index + count).map(String::as_str);
        let Some(name) = after(1).filter(|name| is_name(name)) else {
            continue;
        };
        match token.as_str() {
            "|" => uses.push(Use::Filter(name.to_owned())),
            "is" if name == "not" => uses.extend(after(2).map(|test| Use::Test(test.to_owned()))),
            "is" => uses.push(Use::Test(name.to_owned())),
            "." if after(2) == Some("(") => uses.push(Use::Method(name.to_owned())),
            _ => {}
        }
    }
    uses
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names and numbers whole, everything else by character; white space left out.
fn tokens(code: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut inside = false;
    for c in code.chars() {
        let part = c.is_alphanumeric() || c == '_';
        match tokens.last_mut() {
            Some(token) if part && inside => token.push(c),
            _ if c.is_whitespace() => {}
            _ => tokens.push(c.to_string()),
        }
        inside = part;
    }
    tokens
}
