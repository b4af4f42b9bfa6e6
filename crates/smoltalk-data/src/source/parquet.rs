//! Parquet in the Hugging Face layout: `messages: list<struct<content, role>>`, the fields in either order.

use super::Conversations;
use crate::{Conversation, DataError, Message};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) fn open(path: &Path) -> Result<Conversations, DataError> {
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
    if !kept.iter().any(|field| field.name() == "messages") {
        let columns: Vec<&str> = schema.get_fields().iter().map(|field| field.name()).collect();
        return Err(wrong(
            "a column `messages`",
            format!("the columns {}", columns.join(", ")),
        ));
    }
    let projection = Type::group_type_builder(schema.name())
        .with_fields(kept)
        .build()
        .map_err(|error| wrong("a readable schema", error.to_string()))?;
    let rows = RowIter::from_file_into(Box::new(reader))
        .project(Some(projection))
        .map_err(|error| wrong("a readable schema", error.to_string()))?;
    Ok(Box::new(Rows {
        path: path.to_path_buf(),
        rows,
        row: 0,
        ended: false,
    }))
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
    ended: bool,
}

impl Rows {
    fn read(&self, row: Result<Row, ParquetError>) -> Result<Conversation, DataError> {
        let wrong = |expected: &str, found: String| wrong(&self.path, self.row, expected, found);
        let row = row.map_err(|error| wrong("a readable row", error.to_string()))?;
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
                    return Err(wrong(
                        "`messages` to be a list<struct<content, role>>",
                        other.to_string(),
                    ));
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
        if self.ended {
            return None;
        }
        let row = self.rows.next()?;
        let item = self.read(row);
        self.ended = item.is_err();
        self.row += 1;
        Some(item)
    }
}
