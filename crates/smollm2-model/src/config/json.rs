//! Reads and writes `config.json` in the formats of `transformers` 4 and 5.

use serde_json::{Map, Value, json};

use super::{FeedForwardConfig, FeedForwardKind, SmolLm2Config, StoredDtype};
use crate::ModelError;

/// A JSON object whose getters name the key when they refuse a value.
struct Keys<'a> {
    map: &'a Map<String, Value>,
    /// Prepended to keys in messages: `rope_parameters.` inside that object.
    prefix: &'static str,
}

impl<'a> Keys<'a> {
    /// `None` when the key is missing or null: `transformers` writes null for "not set".
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn error(&self, key: &str, expected: &str) -> ModelError {
        let found = self.map.get(key).map_or_else(|| "nothing".to_owned(), Value::to_string);
        ModelError::config(format!("{}{key}", self.prefix), expected, found)
    }

    fn size(&self, key: &str) -> Result<Option<usize>, ModelError> {
        self.read(key, "a whole number", |value| {
            value.as_u64().and_then(|n| usize::try_from(n).ok())
        })
    }

    fn number(&self, key: &str) -> Result<Option<f64>, ModelError> {
        self.read(key, "a number", Value::as_f64)
    }

    fn flag(&self, key: &str) -> Result<Option<bool>, ModelError> {
        self.read(key, "true or false", Value::as_bool)
    }

    fn token(&self, key: &str) -> Result<Option<u32>, ModelError> {
        self.read(key, "a token id", token)
    }

    fn read<T>(
        &self,
        key: &str,
        expected: &str,
        convert: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ModelError> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => convert(value).map(Some).ok_or_else(|| self.error(key, expected)),
        }
    }

    fn required_size(&self, key: &str) -> Result<usize, ModelError> {
        self.size(key)?.ok_or_else(|| self.error(key, "a whole number"))
    }

    /// Refuses a present value other than `only`: options that this crate does not implement must not be ignored.
    fn only(&self, key: &str, only: Value) -> Result<(), ModelError> {
        match self.get(key) {
            Some(value) if *value != only => Err(self.error(key, &only.to_string())),
            _ => Ok(()),
        }
    }
}

fn token(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}

impl SmolLm2Config {
    /// Reads `config.json`. Missing keys take the defaults of `transformers`' `LlamaConfig`, except that a missing
    /// token id means there is none; unknown keys are ignored, as `transformers` does. The optional `feed_forward` is
    /// one object for all layers or a list with one per layer; an unknown key in it is refused.
    ///
    /// Both dialects are understood: `rope_theta` and `torch_dtype` (transformers 4), `rope_parameters` and `dtype`
    /// (transformers 5).
    ///
    /// # Errors
    /// [`ModelError::ConfigSyntax`] for text that is not a JSON object, [`ModelError::Config`] for a value that is
    /// missing, of the wrong type, inconsistent, or asks for something this architecture does not compute (biases,
    /// another activation, scaled or partial rotary positions).
    pub fn from_json(text: &str) -> Result<Self, ModelError> {
        let map: Map<String, Value> = serde_json::from_str(text).map_err(ModelError::ConfigSyntax)?;
        let keys = Keys { map: &map, prefix: "" };
        refuse_other_architectures(&keys)?;
        let hidden_size = keys.required_size("hidden_size")?;
        let heads = keys.required_size("num_attention_heads")?;
        let layers = keys.required_size("num_hidden_layers")?;
        let config = Self {
            vocab_size: keys.required_size("vocab_size")?,
            hidden_size,
            intermediate_size: keys.required_size("intermediate_size")?,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            num_key_value_heads: keys.size("num_key_value_heads")?.unwrap_or(heads),
            head_dim: head_dim(&keys, hidden_size, heads)?,
            rms_norm_eps: keys.number("rms_norm_eps")?.unwrap_or(1e-6),
            rope_theta: rope_theta(&keys)?,
            max_position_embeddings: keys.size("max_position_embeddings")?.unwrap_or(2048),
            tie_word_embeddings: keys.flag("tie_word_embeddings")?.unwrap_or(false),
            initializer_range: keys.number("initializer_range")?.unwrap_or(0.02),
            bos_token_id: keys.token("bos_token_id")?,
            eos_token_ids: eos_token_ids(&keys)?,
            pad_token_id: keys.token("pad_token_id")?,
            dtype: dtype(&keys)?,
            feed_forward: feed_forward(&keys, layers)?,
        };
        config.validate()?;
        Ok(config)
    }

    /// Writes `config.json`. Where every layer is SwiGLU, `transformers` (4 and 5) opens the result as a
    /// `LlamaForCausalLM`; otherwise a `feed_forward` key describes the layers.
    pub fn to_json(&self) -> String {
        let mut config = json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "rms_norm_eps": self.rms_norm_eps,
            "rope_theta": self.rope_theta,
            "rope_scaling": null,
            "max_position_embeddings": self.max_position_embeddings,
            "attention_bias": false,
            "attention_dropout": 0.0,
            "mlp_bias": false,
            "tie_word_embeddings": self.tie_word_embeddings,
            "initializer_range": self.initializer_range,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": self.eos_json(),
            "pad_token_id": self.pad_token_id,
            "torch_dtype": self.dtype.name(),
            "use_cache": true,
        });
        match self.uniform_feed_forward() {
            Some(FeedForwardConfig::SwiGlu) => {}
            Some(layer) => config["feed_forward"] = json!(layer),
            None => config["feed_forward"] = json!(self.feed_forward),
        }
        format!("{config:#}\n")
    }

    /// `eos_token_id` as `transformers` writes it: null, an id, or a list.
    pub(crate) fn eos_json(&self) -> Value {
        match self.eos_token_ids.as_slice() {
            [] => Value::Null,
            [id] => json!(id),
            ids => json!(ids),
        }
    }
}

/// Refuses configurations of computations that this crate does not implement.
fn refuse_other_architectures(keys: &Keys<'_>) -> Result<(), ModelError> {
    keys.only("model_type", json!("llama"))?;
    keys.only("hidden_act", json!("silu"))?;
    keys.only("attention_bias", json!(false))?;
    keys.only("mlp_bias", json!(false))?;
    refuse_partial_rotation(keys)
}

/// `transformers` rotates only this share of every head's channels.
fn refuse_partial_rotation(keys: &Keys<'_>) -> Result<(), ModelError> {
    match keys.number("partial_rotary_factor")? {
        None | Some(1.0) => Ok(()),
        Some(_) => Err(keys.error("partial_rotary_factor", "1")),
    }
}

fn head_dim(keys: &Keys<'_>, hidden_size: usize, heads: usize) -> Result<usize, ModelError> {
    if let Some(head_dim) = keys.size("head_dim")? {
        return Ok(head_dim);
    }
    if heads > 0 && hidden_size.is_multiple_of(heads) {
        return Ok(hidden_size / heads);
    }
    let expected = format!("a divisor of hidden_size = {hidden_size} (there is no head_dim)");
    Err(keys.error("num_attention_heads", &expected))
}

/// `rope_theta`, or the one inside transformers 5's `rope_parameters`; scaled variants are refused.
fn rope_theta(keys: &Keys<'_>) -> Result<f64, ModelError> {
    if keys.get("rope_scaling").is_some() {
        return Err(keys.error("rope_scaling", "null"));
    }
    let outer = keys.number("rope_theta")?;
    let inner = match keys.get("rope_parameters") {
        None => None,
        Some(Value::Object(map)) => {
            let inner = Keys {
                map,
                prefix: "rope_parameters.",
            };
            inner.only("rope_type", json!("default"))?;
            inner.only("type", json!("default"))?; // the older name of rope_type
            refuse_partial_rotation(&inner)?;
            inner.number("rope_theta")?
        }
        Some(_) => return Err(keys.error("rope_parameters", "an object")),
    };
    Ok(inner.or(outer).unwrap_or(10_000.0))
}

fn eos_token_ids(keys: &Keys<'_>) -> Result<Vec<u32>, ModelError> {
    let ids = keys.read(
        "eos_token_id",
        "a token id or a list of token ids",
        |value| match value {
            Value::Array(ids) => ids.iter().map(token).collect(),
            value => token(value).map(|id| vec![id]),
        },
    )?;
    Ok(ids.unwrap_or_default())
}

fn dtype(keys: &Keys<'_>) -> Result<StoredDtype, ModelError> {
    let key = if keys.get("dtype").is_some() {
        "dtype"
    } else {
        "torch_dtype"
    };
    let dtype = keys.read(key, "float32, float16 or bfloat16", |value| {
        StoredDtype::from_name(value.as_str()?)
    })?;
    Ok(dtype.unwrap_or_default())
}

fn feed_forward(keys: &Keys<'_>, layers: usize) -> Result<Vec<FeedForwardConfig>, ModelError> {
    match keys.get("feed_forward") {
        // Bounded before the list is made: a hostile layer count must not allocate.
        _ if layers > 1 << 16 => Err(keys.error("num_hidden_layers", "at most 65536 layers")),
        None => Ok(vec![FeedForwardConfig::SwiGlu; layers]),
        Some(Value::Array(entries)) => {
            let entries = entries.iter().enumerate();
            entries
                .map(|(index, entry)| feed_forward_layer(&format!("feed_forward[{index}]"), entry))
                .collect()
        }
        Some(entry) => Ok(vec![feed_forward_layer("feed_forward", entry)?; layers]),
    }
}

fn feed_forward_layer(key: &str, entry: &Value) -> Result<FeedForwardConfig, ModelError> {
    let name = entry.get("kind").and_then(Value::as_str);
    let Some(kind) = name.and_then(FeedForwardKind::from_name) else {
        let found = entry.get("kind").unwrap_or(entry);
        return Err(ModelError::config(
            format!("{key}.kind"),
            FeedForwardKind::names(),
            found,
        ));
    };
    // A misspelt key would load a different function than intended.
    let known = kind.keys();
    let mut given = entry.as_object().into_iter().flatten();
    if let Some((unknown, value)) = given.find(|(given, _)| !known.contains(&given.as_str())) {
        let expected = format!("one of the keys of {kind}: {}", known.join(", "));
        return Err(ModelError::config(format!("{key}.{unknown}"), expected, value));
    }
    serde_json::from_value(entry.clone()).map_err(|error| ModelError::config(key, "a feed-forward object", error))
}
