//! HellaSwag: joins the two parts of the context and removes WikiHow's markup. Adds `query`, `choices` and `gold`.

use serde_json::{Value, json};

use super::{FieldError, text};
use crate::Document;
use crate::python_text::strip;

pub(super) fn process(document: &mut Document) -> Result<(), FieldError> {
    let context = format!("{} {}", text(document, "ctx_a")?, capitalize(&text(document, "ctx_b")?));
    let query = format!("{}: {context}", text(document, "activity_label")?);
    let choices = choices(document)?;
    let label: Option<u64> = match document.get("label") {
        Some(Value::String(label)) => label.parse().ok(),
        Some(label) => label.as_u64(),
        None => None,
    };
    let gold = label.ok_or_else(|| FieldError::new("label", "an index is expected"))?;
    document.insert("query".to_owned(), json!(without_markup(&query)));
    document.insert("choices".to_owned(), json!(choices));
    document.insert("gold".to_owned(), json!(gold));
    Ok(())
}

/// The endings without markup.
fn choices(document: &Document) -> Result<Vec<String>, FieldError> {
    let endings = document.get("endings").and_then(Value::as_array);
    let texts = endings.and_then(|endings| endings.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
    match texts {
        Some(texts) => Ok(texts.into_iter().map(without_markup).collect()),
        None => Err(FieldError::new("endings", "a list of strings is expected")),
    }
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
        let (before, bracket) = rest.split_at(start);
        kept.push_str(before);
        // Where the line ends first, no later bracket in it is closed either.
        let Some(end) = bracket.find([']', '\n']) else {
            return kept + bracket;
        };
        let (inside, after) = bracket.split_at(end + 1);
        if inside.ends_with('\n') {
            kept.push_str(inside);
        }
        rest = after;
    }
    kept + rest
}
