//! Models by hub id.

use super::access;
use burn::backend::Flex;
use burn::tensor::TensorData;
use fixtures::hub::{Fault, LoopbackHub, folder_files};
use fixtures::shared;
use kallm::KallmError;
use kallm::hub::{HubError, HubModel, ModelSource};
use smollm2_model::weights::{load, named_tensors};
use std::collections::BTreeMap;
use std::path::Path;

const ID: &str = "owner/tiny";

fn model(hub: &LoopbackHub, cache: &Path) -> HubModel {
    HubModel {
        access: access(hub, cache),
        ..HubModel::new(ID)
    }
}

/// A hub with the files of a shared model folder, less those that no repository has.
fn serve(folder: &Path) -> LoopbackHub {
    let mut files = folder_files(folder);
    files.remove("golden.safetensors");
    files.insert("tokenizer.json".to_owned(), b"{}".to_vec());
    files.insert("README.md".to_owned(), b"# A tiny model".to_vec());
    let hub = LoopbackHub::start();
    hub.add("models/owner/tiny", "main", files);
    hub
}

fn tensors(model: &HubModel) -> kallm::Result<BTreeMap<String, TensorData>> {
    Ok(tensors_in(&model.fetch()?))
}

fn tensors_in(folder: &Path) -> BTreeMap<String, TensorData> {
    let loaded = load::<Flex>(folder, &Default::default()).unwrap();
    assert!(loaded.report.is_clean());
    named_tensors(&loaded.model)
}

fn assert_same(left: &BTreeMap<String, TensorData>, right: &BTreeMap<String, TensorData>) {
    assert_eq!(left.keys().collect::<Vec<_>>(), right.keys().collect::<Vec<_>>());
    for (name, data) in left {
        assert!(data.as_bytes() == right[name].as_bytes(), "{name} differs");
    }
}

#[test]
fn a_model_by_its_id_has_the_weights_of_its_folder_with_and_without_the_hub() {
    for name in ["tiny-swiglu", "tiny-swiglu-bf16-sharded"] {
        let Some(folder) = shared(&format!("models/{name}")) else {
            return;
        };
        let expected = tensors_in(&folder);
        let cache = tempfile::tempdir().unwrap();
        let mut hub = serve(&folder);
        let model = model(&hub, cache.path());
        assert_same(&tensors(&model).unwrap(), &expected);
        let asked: Vec<String> = hub.requests().into_iter().map(|request| request.path).collect();
        assert!(asked.iter().any(|path| path.ends_with("/tokenizer.json")), "{asked:?}");
        assert!(!asked.iter().any(|path| path.ends_with("/README.md")), "{asked:?}");
        // A complete snapshot is not asked for again.
        assert_same(&tensors(&model).unwrap(), &expected);
        assert!(hub.requests().is_empty());
        hub.stop();
        assert_same(&tensors(&model).unwrap(), &expected);
        let snapshot = model.fetch().unwrap();
        assert!(snapshot.starts_with(cache.path()) && snapshot.join("tokenizer.json").is_file());
    }
}

#[test]
fn what_a_cut_leaves_behind_is_not_taken_for_a_model() {
    for name in ["tiny-swiglu", "tiny-swiglu-bf16-sharded"] {
        let Some(folder) = shared(&format!("models/{name}")) else {
            return;
        };
        let cache = tempfile::tempdir().unwrap();
        let mut hub = serve(&folder);
        let model = model(&hub, cache.path());
        // Far enough for the configuration and the index, not for the weights.
        hub.fail(Fault::CutAt(100_000));
        let error = tensors(&model).unwrap_err();
        assert!(matches!(error, KallmError::Hub(HubError::Incomplete { .. })), "{error}");
        hub.fail(Fault::Status(503));
        assert!(tensors(&model).unwrap_err().to_string().contains("503"));
        hub.fail(Fault::None);
        let expected = tensors_in(&folder);
        assert_same(&tensors(&model).unwrap(), &expected);
        hub.stop();
        // A snapshot that has lost a file is not complete, and nobody is there to complete it.
        let snapshot = model.fetch().unwrap();
        let weights = folder_files(&snapshot)
            .into_keys()
            .find(|file| file.ends_with(".safetensors"));
        std::fs::remove_file(snapshot.join(weights.unwrap())).unwrap();
        let error = tensors(&model).unwrap_err();
        assert!(
            matches!(error, KallmError::Hub(HubError::Unreachable { .. })),
            "{error}"
        );
    }
}

#[test]
fn every_failure_names_repository_and_revision_and_what_to_do() {
    let Some(folder) = shared("models/tiny-swiglu") else {
        return;
    };
    let hub = serve(&folder);
    let cache = tempfile::tempdir().unwrap();
    let message = |model: &HubModel| model.fetch().unwrap_err().to_string();
    for (fault, words) in [
        (Fault::Status(401), "give a token"),
        (Fault::Silence, "check the network"),
        (Fault::Corruption, "model.safetensors: expected SHA-256"),
        (Fault::Nonsense, "expected JSON"),
    ] {
        hub.fail(fault);
        let text = message(&model(&hub, cache.path()));
        assert!(text.contains("owner/tiny@main") && text.contains(words), "{text}");
    }
    hub.fail(Fault::None);
    let known = model(&hub, cache.path());
    let absent = HubModel {
        repo: "owner/absent".to_owned(),
        ..known.clone()
    };
    let text = message(&absent);
    assert!(
        text.contains("owner/absent@main: not found") && text.contains("check the spelling"),
        "{text}"
    );
    let revision = HubModel {
        revision: "v9".to_owned(),
        ..known
    };
    assert!(message(&revision).contains("owner/tiny@v9: not found"));
    let mut files = folder_files(&folder);
    files.remove("model.safetensors");
    hub.add("models/owner/tiny", "main", files.clone());
    assert!(message(&model(&hub, cache.path())).contains("it has no model.safetensors"));
    files.remove("config.json");
    hub.add("models/owner/tiny", "main", files);
    assert!(message(&model(&hub, cache.path())).contains("it has no config.json"));
}

#[test]
fn sources_are_told_apart() {
    let parse = |text: &str| text.parse::<ModelSource>();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    assert!(matches!(parse(path), Ok(ModelSource::Path(_))));
    assert!(matches!(parse("models/a.Q4_1.gguf"), Ok(ModelSource::Path(_))));
    assert!(matches!(parse("owner/name@v1"), Ok(ModelSource::Hub(hub)) if hub.revision == "v1"));
    assert!(matches!(parse("src/wieghts@main"), Ok(ModelSource::Hub(_))));
    for text in [
        "",
        "name",
        "/no/such/folder",
        "../x",
        "a/b/c",
        "owner/name@",
        "owner/na me",
        // Tests run in the folder of their crate, so this is a mistyped path.
        "src/wieghts",
    ] {
        assert!(matches!(parse(text), Err(KallmError::Unusable { .. })), "{text}");
    }
}
