//! WinoGrande: splits the sentence at the blank and inserts each option into the first part. Adds `contexts`, `rest`
//! and `gold`.

use serde_json::json;

use super::{FieldError, text};
use crate::Document;
use crate::python_text::strip;

pub(super) fn process(document: &mut Document) -> Result<(), FieldError> {
    let sentence = text(document, "sentence")?;
    let Some((before, after)) = sentence.split_once('_') else {
        return Err(FieldError::new("sentence", "has no blank `_`"));
    };
    let contexts = [text(document, "option1")?, text(document, "option2")?].map(|option| format!("{before}{option}"));
    let gold = match text(document, "answer")?.as_str() {
        "1" => 0,
        "2" => 1,
        other => {
            let problem = format!("`1` or `2` is expected, found `{other}`");
            return Err(FieldError::new("answer", problem));
        }
    };
    document.insert("contexts".to_owned(), json!(contexts));
    document.insert("rest".to_owned(), json!(strip(after)));
    document.insert("gold".to_owned(), json!(gold));
    Ok(())
}
