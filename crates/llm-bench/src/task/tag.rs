//! YAML tags, which a typed reader ignores.

use serde_yaml_ng::Value;

use crate::BenchError;

/// Refuses a task file in which anything has a tag of its own, such as `!function`.
pub(super) fn refuse(yaml: &str, origin: &str, value: &Value) -> Result<(), BenchError> {
    // The reader drops tags in YAML's own name space, `!!str` as well as the one for Python's objects.
    let python = yaml
        .contains("!!python")
        .then(|| (String::new(), "!!python".to_owned()));
    let Some((key, tag)) = find(value).or(python) else {
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
        Value::Mapping(entries) => entries.iter().find_map(|(key, value)| {
            let (inner, tag) = find(key).or_else(|| find(value))?;
            let key = key.as_str().unwrap_or("?");
            Some((
                if inner.is_empty() {
                    key.to_owned()
                } else {
                    format!("{key}.{inner}")
                },
                tag,
            ))
        }),
        _ => None,
    }
}
