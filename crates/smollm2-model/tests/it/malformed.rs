//! Broken files, one a row: each lands in its error variant with the field named, without a panic and without memory
//! for what it only claims to hold.

use burn::backend::Flex;
use serde_json::{Value, json};
use smollm2_model::weights::{load, save};
use smollm2_model::{FeedForwardKind, ModelError, SmolLm2Config};
use std::path::{Path, PathBuf};

/// A folder with a sound model of one block.
struct Sound(tempfile::TempDir);

impl Sound {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = crate::weights::tiny_config(FeedForwardKind::GatedRational);
        let model = config.init::<Flex>(&Default::default()).expect("a model");
        save(&model, folder.path()).expect("saved");
        load_error(folder.path()).expect_err("a saved model loads");
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn weights(&self) -> (Value, Vec<u8>) {
        let bytes = std::fs::read(self.path("model.safetensors")).expect("weights");
        let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
        let header = serde_json::from_slice(&bytes[8..8 + length]).expect("a header");
        (header, bytes[8 + length..].to_vec())
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        std::fs::write(self.path(name), bytes).expect("written");
        self
    }

    /// The weights with an edited header.
    fn edited(&self, edit: impl FnOnce(&mut Value)) -> &Self {
        let (mut header, data) = self.weights();
        edit(&mut header);
        self.write("model.safetensors", safetensors(&header.to_string(), &data))
    }

    fn error(&self) -> ModelError {
        load_error(self.0.path()).expect("a broken folder is refused")
    }
}

/// `Ok(error)` when loading fails, `Err(())` when it succeeds.
fn load_error(folder: &Path) -> Result<ModelError, ()> {
    load::<Flex>(folder, &Default::default()).map_or_else(Ok, |_| Err(()))
}

fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

const UP: &str = "model.layers.0.mlp.up_proj.weight";
const NORM: &str = "model.norm.weight";

fn assert_safetensors(error: &ModelError, wanted: &str) {
    let ModelError::Safetensors { field, .. } = error else {
        panic!("{wanted}: {error}")
    };
    assert!(field.contains(wanted), "expected `{wanted}` in `{field}`: {error}");
}

#[test]
fn safetensors_files_that_are_cut_or_lie_are_refused() {
    let long_header = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
    let beyond_file = [&1000u64.to_le_bytes()[..], b"{}"].concat();
    let not_text = safetensors_bytes(b"\xff\xfe\xff");
    for (bytes, field) in [
        (Vec::new(), "file"),
        (b"1234567".to_vec(), "file"),
        (long_header, "header length"),
        (beyond_file, "header length"),
        (not_text, "header"),
        (safetensors("{\"a\":", &[]), "header"),
        (safetensors("[1, 2]", &[]), "header"),
        (
            safetensors(
                r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
                &[0; 8],
            ),
            "a",
        ),
    ] {
        let sound = Sound::new();
        sound.write("model.safetensors", bytes);
        match sound.error() {
            // An empty file cannot be mapped on every system.
            ModelError::Io { .. } if field == "file" => {}
            error => assert_safetensors(&error, field),
        }
    }
}

fn safetensors_bytes(header: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header].concat()
}

/// A bad entry is refused as soon as it is read: nothing after it is read.
#[test]
fn a_header_of_other_things_is_refused_at_the_first_of_them() {
    let sound = r#""a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
    for (header, field) in [
        (r#"{"a":[[],[],"#.to_owned(), "a"),
        (format!(r#"{{{sound},"b":{{"dtype":"F32","shape":[[],[],"#), "b.shape"),
        (
            format!(r#"{{{sound},"b":{{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,"#),
            "b.shape",
        ),
        (format!(r#"{{{sound},"b":{{"data_offsets":[0,-4,"#), "b.data_offsets"),
        (format!(r#"{{{sound},"b":{{"dtype":{{"x":"#), "b.dtype"),
        (format!(r#"{{{sound},{sound},"b":["#), "a"),
    ] {
        // No end, no closing bracket: reading further fails there, and the error names the header.
        let error = Sound::new()
            .write("model.safetensors", safetensors(&header, &[0; 4]))
            .error();
        let ModelError::Safetensors { field: found, .. } = &error else {
            panic!("{header}: {error}")
        };
        assert_eq!(found, field, "{error}");
    }
}

#[test]
fn tensors_that_contradict_their_bytes_are_refused() {
    type Edit = fn(&mut Value);
    let edits: [(Edit, &str); 9] = [
        (|header| header[UP]["dtype"] = json!("F7"), "up_proj.weight.dtype"),
        (|header| header[UP]["dtype"] = Value::Null, "up_proj.weight.dtype"),
        (|header| header[UP]["shape"] = json!([4, 4]), "up_proj.weight.shape"),
        (
            |header| header[UP]["shape"] = json!([u64::MAX, u64::MAX]),
            "up_proj.weight.shape",
        ),
        (|header| header[UP]["shape"] = json!([-1, 4]), "up_proj.weight.shape"),
        (
            |header| header[UP]["shape"] = json!([1, 1, 1, 1, 1, 1, 1, 1, 32, 16]),
            "up_proj.weight.shape",
        ),
        (
            |header| header[UP]["data_offsets"] = json!([0, u64::MAX]),
            "up_proj.weight.data_offsets",
        ),
        (
            |header| header[UP]["data_offsets"] = json!([8, 4]),
            "up_proj.weight.data_offsets",
        ),
        // The place of another tensor of the same size: two names for the same bytes.
        (
            |header| header[UP]["data_offsets"] = header["model.layers.0.mlp.gate_proj.weight"]["data_offsets"].clone(),
            "data_offsets",
        ),
    ];
    for (edit, field) in edits {
        assert_safetensors(&Sound::new().edited(edit).error(), field);
    }
}

#[test]
fn bytes_cut_off_or_left_over_are_refused() {
    let sound = Sound::new();
    let whole = std::fs::read(sound.path("model.safetensors")).expect("weights");
    assert_safetensors(
        &sound.write("model.safetensors", &whole[..whole.len() - 4]).error(),
        "data_offsets",
    );
    assert_safetensors(
        &sound.write("model.safetensors", [&whole[..], b"more"].concat()).error(),
        "file",
    );
}

#[test]
fn missing_unused_and_misshaped_tensors_are_named_with_the_nearest_name() {
    let rename = |from: &'static str, to: &'static str| {
        move |header: &mut Value| {
            let tensor = header[from].take();
            let map = header.as_object_mut().expect("an object");
            map.remove(from);
            map.insert(to.to_string(), tensor);
        }
    };
    let error = Sound::new()
        .edited(rename(UP, "model.layers.0.mlp.up_porj.weight"))
        .error();
    assert!(matches!(error, ModelError::Tensors { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(UP) && text.contains("up_porj"), "{text}");

    let error = Sound::new()
        .edited(|header| header[NORM]["shape"] = json!([4, 4]))
        .error();
    assert!(matches!(error, ModelError::Tensors { .. }), "{error}");
    assert!(error.to_string().contains(NORM), "{error}");
}

/// All tensors of the model and one that it has no place for.
#[test]
fn an_unused_tensor_is_named_with_the_nearest_name_though_that_one_is_there() {
    const BIAS: &str = "model.layers.0.self_attn.q_proj.bias";
    let error = Sound::new()
        .edited(|header| {
            let end = |tensor: &Value| tensor["data_offsets"][1].as_u64();
            let end = header.as_object().expect("an object").values().filter_map(end).max();
            header[BIAS] = json!({ "dtype": "F32", "shape": [0], "data_offsets": [end, end] });
        })
        .error();
    let ModelError::Tensors { report } = error else {
        panic!("{error}")
    };
    assert!(report.missing.is_empty(), "{report}");
    assert_eq!(report.unused[0].name, BIAS);
    assert_eq!(
        report.unused[0].nearest.as_deref(),
        Some("model.layers.0.self_attn.q_proj.weight")
    );
}

#[test]
fn a_vocabulary_or_depth_that_the_weights_do_not_have_is_refused() {
    let edited = |edit: &dyn Fn(&mut Value)| {
        let sound = Sound::new();
        let text = std::fs::read_to_string(sound.path("config.json")).expect("a configuration");
        let mut config = serde_json::from_str(&text).expect("JSON");
        edit(&mut config);
        sound.write("config.json", config.to_string());
        sound.error()
    };
    let error = edited(&|config| config["vocab_size"] = json!(65));
    assert!(
        matches!(error, ModelError::Vocabulary { config: 65, tensor: 64 }),
        "{error}"
    );
    // A model of a billion layers must be refused before room is made for them.
    for (key, value) in [
        ("num_hidden_layers", json!(0)),
        ("num_hidden_layers", json!(1_000_000_000)),
        ("num_key_value_heads", json!(7)),
        ("hidden_size", json!(0)),
        ("head_dim", json!(7)),
        ("max_position_embeddings", json!(1 << 28)),
        ("rms_norm_eps", json!(-1.0)),
        ("rope_theta", json!(0.0)),
        ("hidden_act", json!("gelu")),
        ("rope_scaling", json!({ "type": "linear", "factor": 2.0 })),
        ("vocab_size", json!("many")),
        ("feed_forward", json!({ "kind": "unheard" })),
        ("feed_forward", json!({ "kind": "gated_rational", "groups": 5 })),
        (
            "feed_forward",
            json!({ "kind": "gated_rational", "numerator_degree": 99 }),
        ),
        ("model_type", json!("mamba")),
    ] {
        let error = edited(&|config| config[key] = value.clone());
        let is_config = matches!(error, ModelError::ConfigFile { .. } | ModelError::Config { .. });
        assert!(is_config && error.to_string().contains(key), "{key} = {value}: {error}");
    }
    // Sound in itself, but not the shape of the weights.
    let error = edited(&|config| config["num_attention_heads"] = json!(3));
    assert!(matches!(error, ModelError::Tensors { .. }), "{error}");
    assert!(error.to_string().contains("self_attn.q_proj.weight"), "{error}");
    for text in ["", "{", "[]", "null"] {
        let error = Sound::new().write("config.json", text).error();
        assert!(matches!(error, ModelError::ConfigFile { .. }), "{text}: {error}");
    }
    let sound = Sound::new();
    std::fs::remove_file(sound.path("config.json")).expect("removed");
    assert!(matches!(sound.error(), ModelError::Io { .. }));
}

/// As many names as a file can claim on both sides: comparing each with each would take hours.
#[test]
fn a_file_of_foreign_names_is_refused_soon() {
    const LAYERS: usize = 20_000;
    let sound = Sound::new();
    let text = std::fs::read_to_string(sound.path("config.json")).expect("a configuration");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    config["num_hidden_layers"] = json!(LAYERS);
    let empty = json!({ "dtype": "F32", "shape": [0], "data_offsets": [0, 0] });
    let names = (0..LAYERS).map(|index| (format!("transformer.h.{index}.mlp.c_fc.weight"), empty.clone()));
    let header: serde_json::Map<String, Value> = names.collect();
    sound.write("config.json", config.to_string());
    sound.write(
        "model.safetensors",
        safetensors(&Value::Object(header).to_string(), &[]),
    );
    let ModelError::Tensors { report } = sound.error() else {
        panic!("another error")
    };
    assert_eq!(report.unused.len(), LAYERS);
    assert!(report.missing.len() > 9 * LAYERS);
}

#[test]
fn a_configuration_too_large_to_read_is_not_called_malformed() {
    let sound = Sound::new();
    let file = std::fs::File::create(sound.path("config.json")).expect("created");
    file.set_len((128 << 20) + 1).expect("a sparse file");
    let error = sound.error();
    assert!(matches!(error, ModelError::Io { .. }), "{error}");
    assert!(error.to_string().contains("134217728 bytes"), "{error}");
}

#[test]
fn a_broken_index_is_refused() {
    let shards = || {
        let sound = Sound::new();
        std::fs::rename(
            sound.path("model.safetensors"),
            sound.path("model-00001-of-00001.safetensors"),
        )
        .expect("renamed");
        sound
    };
    let names: Vec<String> = Sound::new()
        .weights()
        .0
        .as_object()
        .expect("an object")
        .keys()
        .filter(|name| *name != "__metadata__")
        .cloned()
        .collect();
    let map = |shard: &str| -> serde_json::Map<String, Value> {
        names.iter().map(|name| (name.clone(), json!(shard))).collect()
    };
    const SHARD: &str = "model-00001-of-00001.safetensors";
    const INDEX: &str = "model.safetensors.index.json";
    let good = shards();
    good.write(INDEX, json!({ "weight_map": map(SHARD) }).to_string());
    load_error(good.0.path()).expect_err("a sound index loads");
    let mut one_more = map(SHARD);
    one_more.insert("model.extra.weight".to_string(), json!(SHARD));
    let mut one_less = map(SHARD);
    one_less.remove(UP);
    for index in [
        "{".to_string(),
        "{}".to_string(),
        json!({ "weight_map": [] }).to_string(),
        json!({ "weight_map": {} }).to_string(),
        json!({ "weight_map": { UP: 7 } }).to_string(),
        json!({ "weight_map": map("../model.safetensors") }).to_string(),
        json!({ "weight_map": map("/etc/passwd") }).to_string(),
        json!({ "weight_map": one_more }).to_string(),
        json!({ "weight_map": one_less }).to_string(),
    ] {
        let sound = shards();
        let error = sound.write(INDEX, &index).error();
        assert!(matches!(error, ModelError::ShardIndex { .. }), "{index}: {error}");
    }
    // Every disagreement is named, not the first alone.
    let mut both = map(SHARD);
    both.remove(UP);
    both.remove(NORM);
    both.insert("model.extra.weight".to_string(), json!(SHARD));
    let sound = shards();
    let error = sound.write(INDEX, json!({ "weight_map": both }).to_string()).error();
    for words in [
        format!("{UP}: not listed, found in {SHARD}"),
        format!("{NORM}: not listed, found in {SHARD}"),
        format!("model.extra.weight: listed in {SHARD}, found in no shard"),
    ] {
        assert!(error.to_string().contains(&words), "{error}");
    }
    let sound = shards();
    let error = sound
        .write(INDEX, json!({ "weight_map": map("absent.safetensors") }).to_string())
        .error();
    assert!(matches!(error, ModelError::Io { .. }), "{error}");
}

/// A folder whose tied model has an output projection as well, of type `dtype`, made from the bytes of the embedding.
fn with_head(dtype: &str, make: impl FnOnce(&[u8]) -> Vec<u8>) -> Sound {
    let sound = Sound::new();
    let (mut header, mut data) = sound.weights();
    let embedding = header["model.embed_tokens.weight"].clone();
    let [begin, end] = [0, 1].map(|side| embedding["data_offsets"][side].as_u64().expect("an offset") as usize);
    let (head, start) = (make(&data[begin..end]), data.len());
    data.extend(&head);
    header["lm_head.weight"] =
        json!({ "dtype": dtype, "shape": embedding["shape"], "data_offsets": [start, start + head.len()] });
    sound.write("model.safetensors", safetensors(&header.to_string(), &data));
    sound
}

#[test]
fn a_tied_head_that_differs_from_the_embedding_is_refused() {
    let error = with_head("F32", |embedding| vec![0; embedding.len()]).error();
    assert!(matches!(error, ModelError::TiedWeights { .. }), "{error}");
    let error = with_head("F64", |embedding| vec![0; 2 * embedding.len()]).error();
    assert!(matches!(error, ModelError::TiedWeights { .. }), "{error}");
}

#[test]
fn a_tied_head_of_equal_numbers_in_another_type_is_the_embedding() {
    let same = with_head("F32", <[u8]>::to_vec);
    load_error(same.0.path()).expect_err("equal bytes load");
    let wide = |embedding: &[u8]| {
        let numbers = embedding
            .chunks_exact(4)
            .map(|four| f32::from_le_bytes(four.try_into().expect("four bytes")));
        numbers.flat_map(|number| f64::from(number).to_le_bytes()).collect()
    };
    load_error(with_head("F64", wide).0.path()).expect_err("equal numbers load");
}

#[test]
fn configurations_name_the_key() {
    let complete: serde_json::Value = serde_json::from_str(
        r#"{"vocab_size": 64, "hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 3, "num_key_value_heads": 1, "max_position_embeddings": 32,
            "rms_norm_eps": 1e-5, "rope_theta": 1e4, "tie_word_embeddings": true}"#,
    )
    .unwrap();
    SmolLm2Config::from_json(&complete.to_string()).expect("the configuration without a fault");
    for (key, value) in [
        ("vocab_size", serde_json::json!(-1)),
        ("vocab_size", serde_json::json!(0)),
        ("hidden_size", serde_json::json!("many")),
        ("num_attention_heads", serde_json::json!(0)),
        ("num_key_value_heads", serde_json::json!(2)),
        ("rms_norm_eps", serde_json::json!(-1.0)),
        (
            "rope_parameters",
            serde_json::json!({"rope_type": "yarn", "rope_theta": 1e4}),
        ),
        (
            "rope_parameters",
            serde_json::json!({"type": "linear", "factor": 2.0, "rope_theta": 1e4}),
        ),
        ("max_position_embeddings", serde_json::json!(1 << 28)),
    ] {
        let mut faulty = complete.clone();
        faulty[key] = value.clone();
        let error = SmolLm2Config::from_json(&faulty.to_string()).expect_err(&format!("{key} = {value}"));
        assert!(error.to_string().contains(key), "{key} = {value}: {error}");
    }
}
