//! Parses `--gen-kwargs` in the same way as lm-evaluation-harness.

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

/// `key=value` pairs separated by commas, or a JSON object.
///
/// # Errors
/// When a pair has no value or the JSON is invalid.
pub fn settings(text: &str) -> Result<Map<String, Value>> {
    let text = text.trim();
    if text.starts_with('{') {
        return serde_json::from_str(text)
            .with_context(|| format!("--gen-kwargs: an object is expected, found {text}"));
    }
    let mut settings = Map::new();
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        let Some((key, value)) = pair.split_once('=') else {
            bail!("--gen-kwargs: key=value is expected, found `{pair}`");
        };
        settings.insert(key.to_owned(), typed(value.trim()));
    }
    Ok(settings)
}

/// A value in quotation marks is text; otherwise it is a boolean, null or a number if it looks like one.
fn typed(value: &str) -> Value {
    for quote in ['"', '\''] {
        if let Some(text) = value.strip_prefix(quote).and_then(|text| text.strip_suffix(quote)) {
            return text.into();
        }
    }
    match value.to_lowercase().as_str() {
        "true" => true.into(),
        "false" => false.into(),
        "none" => Value::Null,
        _ => {
            let number = value.parse::<i64>().map(Value::from);
            number
                .or_else(|_| value.parse::<f64>().map(Value::from))
                .unwrap_or_else(|_| value.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::settings;
    use serde_json::{Value, json};

    #[test]
    fn values_have_the_types_they_look_like() {
        let read = |text: &str| Value::from(settings(text).unwrap());
        assert_eq!(
            read("temperature=0.7,do_sample=True,max_gen_toks=12,until='1',top_p=None,x=y=z"),
            json!({"temperature": 0.7, "do_sample": true, "max_gen_toks": 12, "until": "1", "top_p": null, "x": "y=z"})
        );
        assert_eq!(read("{\"until\": [\"a\", \",\"]}"), json!({"until": ["a", ","]}));
        assert!(
            settings("temperature")
                .unwrap_err()
                .to_string()
                .contains("`temperature`")
        );
        assert!(settings("{1}").is_err());
    }
}
