//! YAML tags, which a typed reader ignores.

use serde_yaml_ng::{Mapping, Value};

use crate::BenchError;

/// Refuses a task in whose keys anything has a tag of its own, such as `!function`.
pub(super) fn refuse(origin: &str, keys: &Mapping) -> Result<(), BenchError> {
    let Some((key, tag)) = keys.iter().find_map(entry) else {
        return Ok(());
    };
    Err(BenchError::TaskTag {
        task: origin.to_owned(),
        key: if key.is_empty() { "a value".to_owned() } else { key },
        tag,
    })
}

/// The first tagged value: the keys that lead to it, joined by points, and its tag.
fn find(value: &Value) -> Option<(String, String)> {
    match value {
        Value::Tagged(tagged) => Some((String::new(), tagged.tag.to_string())),
        Value::Sequence(items) => items.iter().find_map(find),
        Value::Mapping(entries) => entries.iter().find_map(entry),
        _ => None,
    }
}

fn entry((key, value): (&Value, &Value)) -> Option<(String, String)> {
    let (inner, tag) = find(key).or_else(|| find(value))?;
    let key = key.as_str().unwrap_or("?");
    if inner.is_empty() {
        return Some((key.to_owned(), tag));
    }
    Some((format!("{key}.{inner}"), tag))
}
