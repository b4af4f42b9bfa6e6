//! Models by hub id, from a hub on the loopback address.

use std::{collections::BTreeMap, path::Path, time::Duration};

use burn::{backend::Flex, tensor::TensorData};
use fixtures::{
    hub::{Fault, LoopbackHub, folder_files},
    shared,
};
use smollm2_model::{
    ModelError,
    weights::{HubAccess, HubError, HubModel, ModelSource, Retry, load, named_tensors},
};

type B = Flex;

const ID: &str = "owner/tiny";

fn source(hub: &LoopbackHub, cache: &Path) -> ModelSource {
    ModelSource::Hub(Box::new(HubModel {
        access: HubAccess {
            endpoint: hub.endpoint(),
            cache_dir: Some(cache.to_owned()),
            timeout: Duration::from_millis(1500),
            retry: Retry {
                attempts: 2,
                first_wait: Duration::ZERO,
                ..Retry::default()
            },
            ..HubAccess::default()
        },
        ..HubModel::new(ID)
    }))
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

fn tensors(source: &ModelSource) -> Result<BTreeMap<String, TensorData>, ModelError> {
    let loaded = load::<B>(source, &Default::default())?;
    assert!(loaded.report.is_clean());
    Ok(named_tensors(&loaded.model))
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
        let expected = tensors(&ModelSource::Folder(folder.clone())).unwrap();
        let cache = tempfile::tempdir().unwrap();
        let mut hub = serve(&folder);
        let source = source(&hub, cache.path());
        assert_same(&tensors(&source).unwrap(), &expected);
        let asked: Vec<String> = hub.requests().into_iter().map(|request| request.path).collect();
        assert!(asked.iter().any(|path| path.ends_with("/tokenizer.json")), "{asked:?}");
        assert!(!asked.iter().any(|path| path.ends_with("/README.md")), "{asked:?}");
        // A complete snapshot is not asked for again.
        assert_same(&tensors(&source).unwrap(), &expected);
        assert!(hub.requests().is_empty());
        hub.stop();
        assert_same(&tensors(&source).unwrap(), &expected);
        let ModelSource::Folder(snapshot) = source.resolve().unwrap() else {
            panic!("a folder is expected")
        };
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
        let source = source(&hub, cache.path());
        // Far enough for the configuration and the index, not for the weights.
        hub.fail(Fault::CutAt(100_000));
        let error = tensors(&source).unwrap_err();
        assert!(matches!(error, ModelError::Hub(HubError::Incomplete { .. })), "{error}");
        hub.fail(Fault::Status(503));
        assert!(tensors(&source).unwrap_err().to_string().contains("503"));
        hub.fail(Fault::None);
        let expected = tensors(&ModelSource::Folder(folder)).unwrap();
        assert_same(&tensors(&source).unwrap(), &expected);
        hub.stop();
        // A snapshot that has lost a file is not complete, and nobody is there to complete it.
        let ModelSource::Folder(snapshot) = source.clone().resolve().unwrap() else {
            panic!("a folder is expected")
        };
        let weights = folder_files(&snapshot)
            .into_keys()
            .find(|file| file.ends_with(".safetensors"));
        std::fs::remove_file(snapshot.join(weights.unwrap())).unwrap();
        let error = tensors(&source).unwrap_err();
        assert!(
            matches!(error, ModelError::Hub(HubError::Unreachable { .. })),
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
    let message = |source: &ModelSource| tensors(source).unwrap_err().to_string();
    for (fault, words) in [
        (Fault::Status(401), "give a token"),
        (Fault::Silence, "check the network"),
        (Fault::Corruption, "model.safetensors: expected SHA-256"),
        (Fault::Nonsense, "expected JSON"),
    ] {
        hub.fail(fault);
        let text = message(&source(&hub, cache.path()));
        assert!(text.contains("owner/tiny@main") && text.contains(words), "{text}");
    }
    hub.fail(Fault::None);
    let ModelSource::Hub(known) = source(&hub, cache.path()) else {
        panic!("a hub source")
    };
    let absent = HubModel {
        repo: "owner/absent".to_owned(),
        ..HubModel::clone(&known)
    };
    let text = message(&ModelSource::Hub(Box::new(absent)));
    assert!(
        text.contains("owner/absent@main: not found") && text.contains("check the spelling"),
        "{text}"
    );
    let revision = HubModel {
        revision: "v9".to_owned(),
        ..*known
    };
    assert!(message(&ModelSource::Hub(Box::new(revision))).contains("owner/tiny@v9: not found"));
    let mut files = folder_files(&folder);
    files.remove("model.safetensors");
    hub.add("models/owner/tiny", "main", files.clone());
    assert!(message(&source(&hub, cache.path())).contains("it has no model.safetensors"));
    files.remove("config.json");
    hub.add("models/owner/tiny", "main", files);
    assert!(message(&source(&hub, cache.path())).contains("it has no config.json"));
}
