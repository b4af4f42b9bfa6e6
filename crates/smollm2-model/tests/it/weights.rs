//! Loading and saving: against PyTorch's and llama.cpp's files, and round trips bit for bit.

use std::{collections::BTreeMap, fs, path::Path};

use burn::{
    backend::Flex,
    tensor::{DType, Int, Tensor, TensorData, activation::log_softmax},
};
use fixtures::{shared, tolerance};
use smollm2_model::{
    FeedForwardConfig, FeedForwardKind, ModelError, SequenceLayout, SmolLm2, SmolLm2Config, StoredDtype,
    weights::{
        LoadDtype, LoadOptions, from_named_tensors, load, load_with, named_tensors, read_safetensors, save, save_as,
    },
};

type B = Flex;

const KINDS: [&str; 4] = ["swiglu", "gated_rational_a", "gated_rational_b", "group_kan_a"];

/// A one-block model small enough to make in every test.
pub(crate) fn tiny_config(kind: FeedForwardKind) -> SmolLm2Config {
    let mut config = SmolLm2Config::smollm2_135m().with_instruct_tokens();
    (config.vocab_size, config.hidden_size, config.intermediate_size) = (64, 16, 32);
    (config.num_attention_heads, config.num_key_value_heads, config.head_dim) = (2, 1, 8);
    (config.num_hidden_layers, config.max_position_embeddings) = (1, 32);
    config.feed_forward.truncate(1);
    config.with_feed_forward(kind)
}

/// Same names, shapes, element types and bits.
fn assert_same(left: &BTreeMap<String, TensorData>, right: &BTreeMap<String, TensorData>) {
    assert_eq!(left.keys().collect::<Vec<_>>(), right.keys().collect::<Vec<_>>());
    for (name, data) in left {
        assert_eq!(
            (&data.shape, data.dtype),
            (&right[name].shape, right[name].dtype),
            "{name}"
        );
        assert!(data.as_bytes() == right[name].as_bytes(), "{name} differs");
    }
}

fn logits(model: &SmolLm2<B>, ids: &[u32]) -> Tensor<B, 2> {
    let ids: Vec<i64> = ids.iter().map(|id| i64::from(*id)).collect();
    let ids = Tensor::<B, 1, Int>::from_data(TensorData::from(ids.as_slice()), &Default::default()).unsqueeze();
    model.forward(ids, &SequenceLayout::default()).squeeze_dim::<2>(0)
}

#[test]
fn tiny_folders_give_pytorch_logits_and_round_trip_to_the_same_bits() {
    for kind in KINDS {
        let Some(folder) = shared(&format!("models/tiny-{kind}")) else {
            return;
        };
        let loaded = load::<B>(&folder, &Default::default()).unwrap();
        assert!(loaded.report.is_clean());
        let golden = read_safetensors(&folder.join("golden.safetensors")).unwrap();
        let ids: Vec<u32> = golden["ids"].iter::<i32>().map(|id| id as u32).collect();
        let (row, expected) = (ids.len() / 2, golden["logits"].to_vec::<f32>().unwrap());
        let computed = logits(&loaded.model, &ids[..row]).into_data().to_vec::<f32>().unwrap();
        let error = computed
            .iter()
            .zip(&expected)
            .map(|(a, b)| f64::from((a - b).abs()))
            .fold(0.0, |max: f64, e| if max.is_nan() || e <= max { max } else { e });
        assert!(error <= tolerance::TINY_LOGITS, "{kind}: {error}");

        let out = tempfile::tempdir().unwrap();
        let saved = out.path().join("new/model");
        save(&loaded.model, &saved).unwrap();
        // Exactly PyTorch's names, shapes and bits.
        let written = read_safetensors(&saved.join("model.safetensors")).unwrap();
        assert_same(&written, &read_safetensors(&folder.join("model.safetensors")).unwrap());
        let again = load::<B>(&saved, &Default::default()).unwrap();
        assert_eq!(again.model.config(), loaded.model.config());
        assert_same(&named_tensors(&again.model), &written);
        // Saving over a folder replaces it.
        save(&again.model, &saved).unwrap();
        let files: Vec<_> = fs::read_dir(&saved)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(files.len(), 3, "{files:?}");
    }
}

#[test]
fn every_configuration_comes_back_from_its_folder() {
    let mut configurations = crate::golden::every_configuration();
    let residuals: Vec<_> = configurations
        .iter()
        .filter_map(|(name, config)| {
            let mut config = config.clone();
            for layer in &mut config.feed_forward {
                let FeedForwardConfig::GatedRational(layer) = layer else {
                    return None;
                };
                layer.keep_silu = true;
            }
            Some((format!("{name}, beside SiLU"), config))
        })
        .collect();
    assert_eq!(residuals.len(), 8);
    configurations.extend(residuals);
    for (name, config) in configurations {
        let model = config.init::<B>(&Default::default()).unwrap();
        let room = tempfile::tempdir().unwrap();
        save(&model, room.path()).unwrap();
        let again = load::<B>(room.path(), &Default::default()).unwrap();
        assert!(again.report.is_clean(), "{name}");
        assert_eq!(*again.model.config(), config, "{name}");
        assert_same(&named_tensors(&again.model), &named_tensors(&model));
        let same = |model| logits(model, &[1, 2, 3]).into_data();
        assert_eq!(same(&again.model), same(&model), "{name}");
    }
}

#[test]
fn saved_folder_is_what_transformers_expects() {
    let config = tiny_config(FeedForwardKind::SwiGlu);
    let model = config.init::<B>(&Default::default()).unwrap();
    let out = tempfile::tempdir().unwrap();
    save(&model, out.path()).unwrap();
    let bytes = fs::read(out.path().join("model.safetensors")).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    assert_eq!(header["__metadata__"]["format"], "pt");
    assert!(
        header.get("lm_head.weight").is_none(),
        "a tied projection is written once"
    );
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(out.path().join(name)).unwrap()).unwrap()
    };
    assert_eq!(read("config.json")["architectures"][0], "LlamaForCausalLM");
    assert!(read("config.json").get("feed_forward").is_none());
    assert_eq!(read("generation_config.json")["eos_token_id"], 2);
}

#[test]
fn every_kind_and_an_untied_head_round_trip() {
    for kind in FeedForwardKind::ALL {
        for tied in [true, false] {
            let mut config = tiny_config(kind);
            config.tie_word_embeddings = tied;
            let model = config.init::<B>(&Default::default()).unwrap();
            let out = tempfile::tempdir().unwrap();
            save(&model, out.path()).unwrap();
            let loaded = load::<B>(out.path(), &Default::default()).unwrap();
            let tensors = named_tensors(&model);
            assert_eq!(tensors.contains_key("lm_head.weight"), !tied);
            assert_same(&tensors, &named_tensors(&loaded.model));
            let rebuilt = from_named_tensors::<B>(&config, tensors.clone(), &Default::default()).unwrap();
            assert_same(&tensors, &named_tensors(&rebuilt));
            assert_eq!(*loaded.model.config(), config);
        }
    }
}

#[test]
fn half_precision_is_written_rounded_and_kept_on_request() {
    for (stored, dtype) in [(StoredDtype::Bfloat16, DType::BF16), (StoredDtype::Float16, DType::F16)] {
        check_half_precision(stored, dtype);
    }
}

fn check_half_precision(stored_as: StoredDtype, half: DType) {
    let config = tiny_config(FeedForwardKind::GatedRational);
    let model = config.init::<B>(&Default::default()).unwrap();
    let out = tempfile::tempdir().unwrap();
    save_as(&model, stored_as, out.path()).unwrap();
    let stored = read_safetensors(&out.path().join("model.safetensors")).unwrap();
    for (name, data) in named_tensors(&model) {
        let coefficients = name.contains("gate_rational");
        let dtype = if coefficients { DType::F32 } else { half };
        assert_eq!(stored[&name].dtype, dtype, "{name}");
        assert!(
            stored[&name].as_bytes() == data.convert_dtype(dtype).as_bytes(),
            "{name}"
        );
    }
    let wide = load::<B>(out.path(), &Default::default()).unwrap();
    assert_eq!(wide.model.config().dtype, StoredDtype::Float32);
    let widened = stored
        .iter()
        .map(|(name, data)| (name.clone(), data.clone().convert_dtype(DType::F32)));
    assert_same(&named_tensors(&wide.model), &widened.collect());
    let options = LoadOptions {
        dtype: LoadDtype::Stored,
        ..Default::default()
    };
    let kept = load_with::<B>(out.path(), &options, &Default::default()).unwrap();
    assert_eq!(kept.model.config().dtype, stored_as);
    assert_same(&named_tensors(&kept.model), &stored);
}

#[test]
fn sharded_bf16_folder_equals_the_rounded_whole_one() {
    let (Some(sharded), Some(whole)) = (shared("models/tiny-swiglu-bf16-sharded"), shared("models/tiny-swiglu")) else {
        return;
    };
    let sharded = load::<B>(&sharded, &Default::default()).unwrap();
    let whole = load::<B>(&whole, &Default::default()).unwrap();
    let rounded = named_tensors(&whole.model).into_iter();
    let rounded = rounded.map(|(name, data)| (name, data.convert_dtype(DType::BF16).convert_dtype(DType::F32)));
    assert_same(&named_tensors(&sharded.model), &rounded.collect());
}

#[test]
fn a_lenient_load_reports_what_a_strict_one_refuses() {
    let config = tiny_config(FeedForwardKind::SwiGlu);
    let mut tensors = named_tensors(&config.init::<B>(&Default::default()).unwrap());
    let up = tensors.remove("model.layers.0.mlp.up_proj.weight").unwrap();
    tensors.insert("model.layers.0.mlp.up_projection.weight".to_owned(), up);
    let out = tempfile::tempdir().unwrap();
    smollm2_model::weights::write_safetensors(&tensors, &out.path().join("model.safetensors")).unwrap();
    fs::write(out.path().join("config.json"), config.to_json()).unwrap();
    let Err(ModelError::Tensors { report }) = load::<B>(out.path(), &Default::default()) else {
        panic!("loaded")
    };
    assert_eq!(
        report.missing[0].nearest.as_deref(),
        Some("model.layers.0.mlp.up_projection.weight")
    );
    assert_eq!(
        report.unused[0].nearest.as_deref(),
        Some("model.layers.0.mlp.up_proj.weight")
    );
    assert!(
        report.to_string().contains("is it model.layers.0.mlp.up_proj.weight?"),
        "{report}"
    );
    let options = LoadOptions {
        strict: false,
        ..Default::default()
    };
    let lenient = load_with::<B>(out.path(), &options, &Default::default()).unwrap();
    assert_eq!(lenient.report, *report);
    // Tensors missing from the file are initialised once, not again by every clone.
    let clone = lenient.model.clone();
    assert_same(&named_tensors(&clone), &named_tensors(&lenient.model));
}

/// A folder may be a link to another file system, as `/dev/shm` is on Linux: nothing is renamed across its border.
#[cfg(unix)]
#[test]
fn saving_follows_links_and_gives_the_usual_permissions() {
    use std::os::unix::fs::{MetadataExt, symlink};
    let config = tiny_config(FeedForwardKind::SwiGlu);
    let model = config.init::<B>(&Default::default()).unwrap();
    let out = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    let (target, link) = (other.path().join("target"), out.path().join("link"));
    fs::create_dir(&target).unwrap();
    symlink(&target, &link).unwrap();
    save(&model, &link).unwrap();
    assert!(link.is_symlink() && target.join("model.safetensors").is_file());
    assert_eq!(fs::read_dir(&target).unwrap().count(), 3);
    assert_eq!(
        fs::read_dir(out.path()).unwrap().count(),
        1,
        "nothing was left beside the link"
    );

    let mode = |path: &Path| fs::metadata(path).unwrap().mode();
    let usual = out.path().join("usual");
    fs::write(&usual, "").unwrap();
    let new = out.path().join("new");
    save(&model, &new).unwrap();
    assert_eq!(mode(&new), mode(&target));
    for folder in [&target, &new] {
        assert_eq!(mode(&folder.join("model.safetensors")), mode(&usual));
        assert_eq!(mode(&folder.join("config.json")), mode(&usual));
    }
}

#[test]
fn a_path_that_leads_nowhere_is_named() {
    for path in ["", "owner/name", "/no/such/folder", "src/wieghts.gguf"] {
        let error = load::<B>(Path::new(path), &Default::default()).unwrap_err();
        assert!(matches!(error, ModelError::Path { .. }), "{error}");
        assert!(
            error
                .to_string()
                .starts_with(&format!("{path}: expected a model's folder")),
            "{error}"
        );
    }
}

/// Natural log-probabilities of `ids[i + 1]` given `ids[..=i]`.
fn log_probabilities(model: &SmolLm2<B>, ids: &[u32]) -> Vec<f64> {
    let rows = log_softmax(logits(model, ids), 1).into_data();
    let (values, vocab) = (rows.to_vec::<f32>().unwrap(), rows.shape[1]);
    ids[1..]
        .iter()
        .enumerate()
        .map(|(row, id)| f64::from(values[row * vocab + *id as usize]))
        .collect()
}

fn check_golden(model: &SmolLm2<B>, golden: &Path) {
    let golden: serde_json::Value = serde_json::from_str(&fs::read_to_string(golden).unwrap()).unwrap();
    for (name, case) in golden.as_object().unwrap() {
        let ids: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
        let expected: Vec<f64> = serde_json::from_value(case["next_token_logprobs"].clone()).unwrap();
        let computed = log_probabilities(model, &ids);
        let error = computed
            .iter()
            .zip(&expected)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, |max: f64, e| if max.is_nan() || e <= max { max } else { e });
        eprintln!("{name}: {} tokens, largest difference {error:.1e}", ids.len());
        assert!(
            computed.len() == expected.len() && error <= tolerance::LOGPROB_135M,
            "{name}: {error}"
        );
    }
}

#[test]
fn the_real_gguf_gives_the_log_probabilities_of_transformers() {
    let (Some(file), Some(golden)) = (
        shared("models/SmolLM2-135M-Instruct.Q4_1.gguf"),
        shared("reference/golden_135m_instruct_q4_1.json"),
    ) else {
        return;
    };
    let loaded = load::<B>(&file, &Default::default()).unwrap();
    let mut expected = SmolLm2Config::smollm2_135m().with_instruct_tokens();
    expected.initializer_range = loaded.model.config().initializer_range; // GGUF has no such key
    assert_eq!(*loaded.model.config(), expected);
    check_golden(&loaded.model, &golden);
}
