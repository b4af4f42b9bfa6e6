//! Parquet in the Hugging Face layout: `messages: list<struct<content, role>>`, the fields in either order.

use super::Conversations;
use crate::panics::caught;
use crate::{Conversation, DataError, Message};
use parquet::basic::{ConvertedType, Repetition};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What `messages` has to be.
const LAYOUT: &str = "`messages` to be a list<struct<content, role>>";

/// The reader believes what a file says of itself, and asserts where it does not fit together.
pub(super) fn open(path: &Path) -> Result<Conversations, DataError> {
    let opened = caught(|| rows(path));
    let rows = opened.unwrap_or_else(|found| Err(wrong(path, 0, "a readable schema", found)))?;
    Ok(Box::new(Rows {
        path: path.to_path_buf(),
        rows,
        row: 0,
    }))
}

fn rows(path: &Path) -> Result<RowIter<'static>, DataError> {
    let file = File::open(path).map_err(|source| DataError::io(path, source))?;
    let wrong = |expected: &str, found: String| wrong(path, 0, expected, found);
    let reader = SerializedFileReader::new(file).map_err(|error| wrong("a Parquet file", error.to_string()))?;
    let schema = reader.metadata().file_metadata().schema();
    let kept: Vec<Arc<Type>> = schema
        .get_fields()
        .iter()
        .filter(|field| field.name() == "messages" || (field.name() == "source" && field.is_primitive()))
        .cloned()
        .collect();
    let Some(messages) = kept.iter().find(|field| field.name() == "messages") else {
        return Err(wrong("a column `messages`", format!("the columns {}", names(schema))));
    };
    if !is_list(messages) {
        return Err(wrong(LAYOUT, shape(messages)));
    }
    let projection = Type::group_type_builder(schema.name())
        .with_fields(kept)
        .build()
        .map_err(|error| wrong("a readable schema", error.to_string()))?;
    let rows = RowIter::from_file_into(Box::new(reader)).project(Some(projection));
    rows.map_err(|error| wrong("a readable schema", error.to_string()))
}

/// A group marked as a list around one repeated group, or, as old writers have it, the repeated group alone.
fn is_list(field: &Type) -> bool {
    let is_repeated =
        |field: &Type| !field.is_primitive() && field.get_basic_info().repetition() == Repetition::REPEATED;
    match field.get_basic_info().converted_type() {
        ConvertedType::LIST if !field.is_primitive() => match field.get_fields() {
            [element] => is_repeated(element),
            _ => false,
        },
        ConvertedType::NONE => is_repeated(field),
        _ => false,
    }
}

fn shape(field: &Type) -> String {
    match field.is_primitive() {
        true => "a column of single values".to_string(),
        false => format!(
            "a {} of the fields {}",
            field.get_basic_info().converted_type(),
            names(field)
        ),
    }
}

fn names(group: &Type) -> String {
    let names: Vec<&str> = group.get_fields().iter().map(|field| field.name()).collect();
    names.join(", ")
}

fn wrong(path: &Path, row: u64, expected: &str, found: String) -> DataError {
    DataError::Parquet {
        path: path.to_path_buf(),
        row,
        expected: expected.to_string(),
        found,
    }
}

struct Rows {
    path: PathBuf,
    rows: RowIter<'static>,
    row: u64,
}

impl Rows {
    fn read(&self, row: &Row) -> Result<Conversation, DataError> {
        let wrong = |expected: &str, found: String| wrong(&self.path, self.row, expected, found);
        let mut conversation = Conversation {
            messages: Vec::new(),
            source: None,
        };
        for (name, field) in row.get_column_iter() {
            match (name.as_str(), field) {
                ("source", Field::Str(text)) => conversation.source = Some(text.clone()),
                ("messages", Field::ListInternal(list)) => {
                    for (index, element) in list.elements().iter().enumerate() {
                        conversation.messages.push(self.message(index, element)?);
                    }
                }
                ("messages", other) => {
                    return Err(wrong(LAYOUT, other.to_string()));
                }
                _ => {}
            }
        }
        Ok(conversation)
    }

    fn message(&self, index: usize, element: &Field) -> Result<Message, DataError> {
        let wrong = |expected: &str, found: String| wrong(&self.path, self.row, expected, found);
        let Field::Group(group) = element else {
            return Err(wrong(
                &format!("`messages[{index}]` to be a struct<content, role>"),
                element.to_string(),
            ));
        };
        let text = |wanted: &str| match group.get_column_iter().find(|(name, _)| name.as_str() == wanted) {
            Some((_, Field::Str(text))) => Ok(text.clone()),
            other => {
                let found = other.map_or("no such field".to_string(), |(_, field)| field.to_string());
                Err(wrong(&format!("`messages[{index}].{wanted}` to be a string"), found))
            }
        };
        Ok(Message {
            role: text("role")?,
            content: text("content")?,
        })
    }
}

impl Iterator for Rows {
    type Item = Result<Conversation, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = caught(|| self.rows.next()).map(Option::transpose);
        let row = row.and_then(|row| row.map_err(|error| error.to_string()));
        let row = row.map_err(|found| wrong(&self.path, self.row, "a readable row", found));
        let item = match row.transpose()? {
            Ok(row) => self.read(&row),
            Err(error) => Err(error),
        };
        self.row += 1;
        Some(item)
    }
}
