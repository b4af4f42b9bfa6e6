//! What some tasks of lm-evaluation-harness do to their documents in Python, written in Rust and named in the task
//! file by `process_docs`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::python_text::strip;

/// A document of a data set.
pub type Document = Map<String, Value>;

/// A built-in document processor. Each adds fields and keeps the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Processor {
    /// HellaSwag: joins the context's halves, removes WikiHow's markup; adds `query`, `choices`, `gold`.
    Hellaswag,
    /// WinoGrande: the sentence up to the blank with each option put in, and what follows the blank; adds
    /// `contexts`, `rest`, `gold`.
    Winogrande,
}

impl Processor {
    /// Processes one document. The error is the field that is missing or of the wrong type, and what is wrong with it.
    pub(crate) fn apply(self, document: &mut Document) -> Result<(), (String, String)> {
        match self {
            Self::Hellaswag => hellaswag(document),
            Self::Winogrande => winogrande(document),
        }
    }
}

fn text(document: &Document, field: &str) -> Result<String, (String, String)> {
    let found = document.get(field).and_then(Value::as_str);
    found
        .map(str::to_owned)
        .ok_or_else(|| (field.to_owned(), "a string is expected".to_owned()))
}

/// Python's `str.capitalize`: the first character upper case, all others lower case.
fn capitalize(s: &str) -> String {
    let mut characters = s.chars();
    match characters.next() {
        Some(first) => first
            .to_uppercase()
            .chain(characters.as_str().to_lowercase().chars())
            .collect(),
        None => String::new(),
    }
}

/// HellaSwag's cleaning of WikiHow's texts.
fn without_markup(s: &str) -> String {
    let titled = strip(s).replace(" [title]", ". ");
    without_brackets(&titled).replace("  ", " ")
}

/// Python's `re.sub("\\[.*?\\]", "", text)`: from each bracket to the first that closes it in the same line.
fn without_brackets(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('[') {
        kept.push_str(&rest[..start]);
        let inner = &rest[start + 1..];
        let end = inner.find([']', '\n']).filter(|&end| inner[end..].starts_with(']'));
        rest = match end {
            Some(end) => &inner[end + 1..],
            None => {
                kept.push('[');
                inner
            }
        };
    }
    kept + rest
}

fn hellaswag(document: &mut Document) -> Result<(), (String, String)> {
    let context = format!("{} {}", text(document, "ctx_a")?, capitalize(&text(document, "ctx_b")?));
    let query = format!("{}: {context}", text(document, "activity_label")?);
    let no_texts = || ("endings".to_owned(), "a list of strings is expected".to_owned());
    let endings = document.get("endings").and_then(Value::as_array).ok_or_else(no_texts)?;
    let choice = |ending: &Value| {
        let text = ending.as_str().ok_or_else(no_texts);
        text.map(|text| Value::from(without_markup(text)))
    };
    let choices = endings.iter().map(choice).collect::<Result<Vec<_>, _>>()?;
    let label = match document.get("label") {
        Some(Value::String(label)) => label.parse().ok(),
        Some(label) => label.as_u64(),
        None => None,
    };
    let gold = label.ok_or_else(|| ("label".to_owned(), "an index is expected".to_owned()))?;
    document.insert("query".to_owned(), json!(without_markup(&query)));
    document.insert("choices".to_owned(), Value::Array(choices));
    document.insert("gold".to_owned(), json!(gold));
    Ok(())
}

fn winogrande(document: &mut Document) -> Result<(), (String, String)> {
    let sentence = text(document, "sentence")?;
    let Some((before, after)) = sentence.split_once('_') else {
        return Err(("sentence".to_owned(), "has no blank `_`".to_owned()));
    };
    let contexts = [text(document, "option1")?, text(document, "option2")?].map(|option| format!("{before}{option}"));
    let gold = match text(document, "answer")?.as_str() {
        "1" => 0,
        "2" => 1,
        other => return Err(("answer".to_owned(), format!("`1` or `2` is expected, found `{other}`"))),
    };
    document.insert("contexts".to_owned(), json!(contexts));
    document.insert("rest".to_owned(), json!(strip(after)));
    document.insert("gold".to_owned(), json!(gold));
    Ok(())
}
