//! Conversations in the Hugging Face layout: `messages`, a list of objects with `role` and `content`.

use crate::{Conversation, Message};
use record_files::{Record, RecordError};
use serde_json::Value;

/// The columns that are read.
pub(super) const COLUMNS: [&str; 2] = ["messages", "source"];

pub(super) fn conversation(mut record: Record) -> Result<Conversation, RecordError> {
    record.field("messages")?;
    let messages = match record.fields.remove("messages") {
        Some(Value::Array(messages)) => messages,
        Some(other) => return Err(record.error("`messages` to be a list", kind(&other))),
        None => return Err(record.error("a field `messages`", fields(&record.fields))),
    };
    let messages = messages.into_iter().enumerate();
    Ok(Conversation {
        messages: messages
            .map(|(index, value)| message(&record, index, value))
            .collect::<Result<_, _>>()?,
        source: record.fields.get("source").and_then(Value::as_str).map(str::to_string),
    })
}

fn message(record: &Record, index: usize, value: Value) -> Result<Message, RecordError> {
    let Value::Object(mut fields) = value else {
        let expected = format!("`messages[{index}]` to be an object with `role` and `content`");
        return Err(record.error(expected, kind(&value)));
    };
    Ok(Message {
        role: text(record, index, "role", fields.remove("role"))?,
        content: text(record, index, "content", fields.remove("content"))?,
    })
}

fn text(record: &Record, index: usize, field: &str, value: Option<Value>) -> Result<String, RecordError> {
    match value {
        Some(Value::String(text)) => Ok(text),
        other => {
            let found = other.as_ref().map_or("no such field".to_string(), kind);
            Err(record.error(format!("`messages[{index}].{field}` to be a string"), found))
        }
    }
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_string(),
        Value::Bool(_) => "a boolean".to_string(),
        Value::Number(_) => "a number".to_string(),
        Value::String(_) => "a string".to_string(),
        Value::Array(_) => "a list".to_string(),
        Value::Object(map) => fields(map),
    }
}

fn fields(object: &serde_json::Map<String, Value>) -> String {
    let fields: Vec<&str> = object.keys().map(String::as_str).take(8).collect();
    format!("an object with the fields {}", fields.join(", "))
}
