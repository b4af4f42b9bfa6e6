//! One JSON object a line, split on the byte `\n` only: contents may hold other line separators of Unicode.

use super::Conversations;
use crate::{Conversation, DataError, Message};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// A line longer than this is refused before it is read whole: a missing line break must not fill the memory.
const LONGEST_LINE: u64 = 64 << 20;

pub(super) fn open(path: &Path) -> Result<Conversations, DataError> {
    let file = File::open(path).map_err(|source| DataError::io(path, source))?;
    Ok(Box::new(Lines {
        path: path.to_path_buf(),
        reader: BufReader::new(file),
        line: 0,
    }))
}

struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    line: u64,
}

impl Lines {
    fn wrong(&self, expected: &str, found: String) -> DataError {
        DataError::Line {
            path: self.path.clone(),
            line: self.line,
            expected: expected.to_string(),
            found,
        }
    }

    fn read(&mut self) -> Result<Option<Conversation>, DataError> {
        loop {
            let mut bytes = Vec::new();
            self.line += 1;
            let read = (&mut self.reader)
                .take(LONGEST_LINE)
                .read_until(b'\n', &mut bytes)
                .map_err(|source| DataError::io(&self.path, source))?;
            if read == 0 {
                return Ok(None);
            }
            if read as u64 == LONGEST_LINE && bytes.last() != Some(&b'\n') {
                return Err(self.wrong(
                    &format!("a line of at most {LONGEST_LINE} bytes"),
                    "a longer one".to_string(),
                ));
            }
            let text = std::str::from_utf8(&bytes)
                .map_err(|error| self.wrong("UTF-8", format!("invalid bytes after {}", error.valid_up_to())))?;
            if text.trim().is_empty() {
                continue;
            }
            let value: Value =
                serde_json::from_str(text).map_err(|error| self.wrong("a JSON object", error.to_string()))?;
            return self.conversation(&value).map(Some);
        }
    }

    fn conversation(&self, value: &Value) -> Result<Conversation, DataError> {
        let Some(messages) = value.get("messages") else {
            return Err(self.wrong("a field `messages`", kind(value)));
        };
        let Some(messages) = messages.as_array() else {
            return Err(self.wrong("`messages` to be a list", kind(messages)));
        };
        let text = |message: &Value, index: usize, field: &str| match message.get(field) {
            Some(Value::String(text)) => Ok(text.clone()),
            other => {
                let found = other.map_or("no such field".to_string(), kind);
                Err(self.wrong(&format!("`messages[{index}].{field}` to be a string"), found))
            }
        };
        let messages = messages
            .iter()
            .enumerate()
            .map(|(index, message)| {
                Ok(Message {
                    role: text(message, index, "role")?,
                    content: text(message, index, "content")?,
                })
            })
            .collect::<Result<_, DataError>>()?;
        Ok(Conversation {
            messages,
            source: value.get("source").and_then(Value::as_str).map(str::to_string),
        })
    }
}

impl Iterator for Lines {
    type Item = Result<Conversation, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_string(),
        Value::Bool(_) => "a boolean".to_string(),
        Value::Number(_) => "a number".to_string(),
        Value::String(_) => "a string".to_string(),
        Value::Array(_) => "a list".to_string(),
        Value::Object(map) => {
            let fields: Vec<&str> = map.keys().map(String::as_str).take(8).collect();
            format!("an object with the fields {}", fields.join(", "))
        }
    }
}
