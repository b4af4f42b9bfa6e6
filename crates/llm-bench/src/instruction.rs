//! Instructions that a program can check, as IFEval has them: whether a response is what its prompt asked for.
//!
//! The set is open. A type of instruction is a function that reads its arguments, in the file of its family below
//! `instruction/`, and a line in [`TYPES`].

mod arguments;
mod case;
mod combination;
mod content;
mod ends;
mod format;
mod json;
mod keywords;
mod language;
mod length;
mod verdicts;

use serde_json::Value;

use crate::Document;
use crate::english::English;
use crate::expression::ExpressionError;
use crate::processor::FieldError;

use arguments::Arguments;
pub(crate) use verdicts::Strictness;

/// Every type of instruction, found by its name, which begins with its family.
static TYPES: [(&str, Open); 25] = [
    ("change_case:capital_word_frequency", case::capital_word_frequency),
    ("change_case:english_capital", case::english_capital),
    ("change_case:english_lowercase", case::english_lowercase),
    ("combination:repeat_prompt", combination::repeat_prompt),
    ("combination:two_responses", combination::two_responses),
    ("detectable_content:number_placeholders", content::number_placeholders),
    ("detectable_content:postscript", content::postscript),
    ("detectable_format:constrained_response", format::constrained_response),
    ("detectable_format:json_format", format::json_format),
    ("detectable_format:multiple_sections", format::multiple_sections),
    ("detectable_format:number_bullet_lists", format::number_bullet_lists),
    (
        "detectable_format:number_highlighted_sections",
        format::number_highlighted_sections,
    ),
    ("detectable_format:title", format::title),
    ("keywords:existence", keywords::existence),
    ("keywords:forbidden_words", keywords::forbidden_words),
    ("keywords:frequency", keywords::frequency),
    ("keywords:letter_frequency", keywords::letter_frequency),
    ("language:response_language", language::response_language),
    (
        "length_constraints:nth_paragraph_first_word",
        length::nth_paragraph_first_word,
    ),
    ("length_constraints:number_paragraphs", length::number_paragraphs),
    ("length_constraints:number_sentences", length::number_sentences),
    ("length_constraints:number_words", length::number_words),
    ("punctuation:no_comma", ends::no_comma),
    ("startend:end_checker", ends::end_checker),
    ("startend:quotation", ends::quotation),
];

/// Types whose verdict depends on which language a response is taken to be in. Programs that tell languages apart
/// differ in doubtful cases.
pub(crate) const OF_LANGUAGE: [&str; 3] = [
    "change_case:english_capital",
    "change_case:english_lowercase",
    "language:response_language",
];

/// Reads the arguments of an instruction.
type Open = fn(&Arguments) -> Result<Check, FieldError>;

/// An instruction with its arguments: says whether a response follows it.
pub(crate) type Check = Box<dyn Fn(&str, &English) -> Result<bool, ExpressionError>>;

/// The instructions of a document: `instruction_id_list`, and for each of them its arguments in `kwargs`.
///
/// # Errors
/// When a type is unknown, or an argument is missing or of the wrong kind.
pub(crate) fn instructions(document: &Document) -> Result<Vec<Check>, FieldError> {
    let (ids, arguments) = (list(document, "instruction_id_list")?, list(document, "kwargs")?);
    if ids.len() != arguments.len() {
        let problem = format!(
            "{} instructions have {} objects of arguments",
            ids.len(),
            arguments.len()
        );
        return Err(FieldError::new("kwargs", problem));
    }
    let pairs = ids.iter().zip(arguments).enumerate();
    let instructions = pairs.map(|(index, (id, arguments))| {
        let (name, open) = find(id)?;
        open(&Arguments::new(index, name, arguments)?)
    });
    instructions.collect()
}

/// The types of a document's instructions.
///
/// # Errors
/// When one is unknown.
pub(crate) fn names(document: &Document) -> Result<Vec<&'static str>, FieldError> {
    let ids = list(document, "instruction_id_list")?.iter();
    ids.map(|id| Ok(find(id)?.0)).collect()
}

fn list<'a>(document: &'a Document, field: &'static str) -> Result<&'a Vec<Value>, FieldError> {
    let list = document.get(field).and_then(Value::as_array);
    list.ok_or_else(|| FieldError::new(field, "a list is expected"))
}

fn find(id: &Value) -> Result<(&'static str, Open), FieldError> {
    let found = TYPES.iter().find(|(name, _)| id == name);
    found.copied().ok_or_else(|| {
        let known = TYPES.map(|(name, _)| name).join(", ");
        FieldError::new(
            "instruction_id_list",
            format!("unknown instruction {id}: supported are {known}"),
        )
    })
}
