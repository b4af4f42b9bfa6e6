//! The three sizes, and `config.json` as transformers 4 and 5 write it.

use fixtures::shared;
use serde_json::{Value, json};
use smollm2_model::{FeedForwardConfig, FeedForwardKind, SmolLm2Config, StoredDtype};

#[test]
fn presets_have_the_published_sizes() {
    for (config, parameters, heads, theta) in [
        (SmolLm2Config::smollm2_135m(), 134_515_008, (9, 3), 100_000.0),
        (SmolLm2Config::smollm2_360m(), 361_821_120, (15, 5), 100_000.0),
        (SmolLm2Config::smollm2_1_7b(), 1_711_376_384, (32, 32), 130_000.0),
    ] {
        config.validate().unwrap();
        assert_eq!(config.num_parameters(), parameters);
        // What the number of parameters does not tell.
        assert_eq!((config.num_attention_heads, config.num_key_value_heads), heads);
        assert_eq!((config.head_dim, config.rope_theta), (64, theta));
        assert_eq!(SmolLm2Config::from_json(&config.to_json()).unwrap(), config);
    }
}

#[test]
fn presets_are_the_published_configurations() {
    for (name, preset) in [
        ("config.json", SmolLm2Config::smollm2_135m()),
        ("360M-Instruct/config.json", SmolLm2Config::smollm2_360m()),
    ] {
        let Some(path) = shared(&format!("models/tokenizer/{name}")) else {
            return;
        };
        let mut expected = preset.with_instruct_tokens();
        expected.dtype = StoredDtype::Bfloat16;
        let published = SmolLm2Config::from_json(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(published, expected, "{name}");
    }
}

/// Every size is possible; together they are a model whose parameters overflow 64 bits.
#[test]
fn a_model_too_large_to_count_is_refused() {
    let config = json!({
        "vocab_size": 1 << 28, "hidden_size": 1 << 28, "intermediate_size": 1 << 28, "num_hidden_layers": 1 << 16,
        "num_attention_heads": 1 << 28, "head_dim": 2
    });
    let error = SmolLm2Config::from_json(&config.to_string()).expect_err("a model of more than 2^64 parameters");
    assert!(error.to_string().contains("at most 2^48 parameters"), "{error}");
}

#[test]
fn both_dialects_say_the_same() {
    let mut four: Value = serde_json::from_str(&SmolLm2Config::smollm2_135m().to_json()).unwrap();
    four["torch_dtype"] = json!("float16");
    four["eos_token_id"] = json!([0, 2]);
    let mut five = four.clone();
    for key in ["rope_theta", "rope_scaling", "torch_dtype"] {
        five.as_object_mut().unwrap().remove(key);
    }
    five["dtype"] = json!("float16");
    five["rope_parameters"] = json!({ "rope_theta": 100_000.0, "rope_type": "default" });
    let [four, five] = [four, five].map(|value| SmolLm2Config::from_json(&value.to_string()).unwrap());
    assert_eq!(four, five);
    assert_eq!((five.rope_theta, five.dtype), (100_000.0, StoredDtype::Float16));
    assert_eq!(five.eos_token_ids, [0, 2]);
}

/// The error of the small preset with one key changed.
fn refused(key: &str, value: Value) -> String {
    let mut config: Value = serde_json::from_str(&SmolLm2Config::smollm2_135m().to_json()).unwrap();
    config[key] = value;
    SmolLm2Config::from_json(&config.to_string()).unwrap_err().to_string()
}

#[test]
fn a_rotation_of_some_channels_is_refused() {
    for place in ["partial_rotary_factor", "rope_parameters"] {
        let factor = |factor: Value| match place {
            "rope_parameters" => json!({ "rope_type": "default", "partial_rotary_factor": factor }),
            _ => factor,
        };
        let error = refused(place, factor(json!(0.5)));
        assert!(
            error.contains("partial_rotary_factor") && error.contains("0.5"),
            "{error}"
        );
        let mut whole: Value = serde_json::from_str(&SmolLm2Config::smollm2_135m().to_json()).unwrap();
        whole[place] = factor(json!(1));
        SmolLm2Config::from_json(&whole.to_string()).unwrap();
    }
}

#[test]
fn unknown_keys_of_a_feed_forward_are_refused_by_name() {
    for (entry, key) in [
        (
            json!({ "kind": "gated_rational", "keepsilu": true }),
            "feed_forward.keepsilu",
        ),
        (
            json!({ "kind": "gated_rational", "hidden_size": 8 }),
            "feed_forward.hidden_size",
        ),
        (
            json!({ "kind": "group_kan", "hidden_size": 8, "keep_silu": true }),
            "feed_forward.keep_silu",
        ),
        (
            json!({ "kind": "silu_mlp", "hidden_size": 8, "groups": 4 }),
            "feed_forward.groups",
        ),
        (json!({ "kind": "swiglu", "groups": 4 }), "feed_forward.groups"),
    ] {
        let error = refused("feed_forward", entry);
        assert!(error.contains(key), "{error}");
    }
    let error = refused(
        "feed_forward",
        json!([{ "kind": "swiglu" }, { "kind": "gated_rational", "group": 4 }]),
    );
    assert!(
        error.contains("feed_forward[1].group") && error.contains("groups"),
        "{error}"
    );
}

/// Every key that is written is known when it is read.
#[test]
fn every_feed_forward_round_trips_with_all_its_keys() {
    for kind in FeedForwardKind::ALL {
        let mut config = SmolLm2Config::smollm2_135m().with_feed_forward(kind);
        for layer in &mut config.feed_forward {
            match layer {
                FeedForwardConfig::GatedRational(gate) => {
                    (gate.rational.share_numerator, gate.rational.share_denominator) = (true, true);
                    gate.keep_silu = true;
                }
                FeedForwardConfig::GroupKan(kan) => {
                    (kan.rational.share_numerator, kan.rational.share_denominator) = (true, true);
                }
                FeedForwardConfig::SwiGlu | FeedForwardConfig::SiluMlp { .. } => {}
            }
        }
        assert_eq!(SmolLm2Config::from_json(&config.to_json()).unwrap(), config);
    }
}

#[test]
fn a_model_changes_its_special_tokens_within_its_vocabulary() {
    let config = crate::weights::tiny_config(FeedForwardKind::SwiGlu);
    let model = config.init::<burn::backend::Flex>(&Default::default()).unwrap();
    let changed = model.clone().with_special_tokens(None, vec![5, 6], Some(63)).unwrap();
    let expected = SmolLm2Config {
        bos_token_id: None,
        eos_token_ids: vec![5, 6],
        pad_token_id: Some(63),
        ..config
    };
    assert_eq!(*changed.config(), expected);
    let error = model
        .with_special_tokens(Some(1), vec![64], None)
        .unwrap_err()
        .to_string();
    assert!(error.contains("`eos_token_id`") && error.contains("64"), "{error}");
}

/// A configuration asks for no type of its own: the model has the device's, and says so.
#[test]
fn a_drawn_model_says_which_type_it_has() {
    let mut config = crate::weights::tiny_config(FeedForwardKind::GatedRational);
    config.dtype = StoredDtype::Bfloat16;
    let model = config.init::<burn::backend::Flex>(&Default::default()).unwrap();
    assert_eq!(
        (model.dtype(), model.config().dtype),
        (StoredDtype::Float32, StoredDtype::Float32)
    );
}
