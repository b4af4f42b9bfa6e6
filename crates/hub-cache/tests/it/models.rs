//! Folders of models: what is fetched, what is left, and what is refused.

use std::collections::BTreeMap;
use std::fs;

use hub_cache::HubError;

use crate::setting::{Setting, setting};

const INDEX: &str = "model.safetensors.index.json";

/// The setting with a repository of these files, whose content is their name.
fn serving(names: &[&str]) -> Setting {
    let setting = setting();
    let mut files: BTreeMap<String, Vec<u8>> = names
        .iter()
        .map(|name| ((*name).to_owned(), name.as_bytes().to_vec()))
        .collect();
    if let Some(index) = files.get_mut(INDEX) {
        *index = br#"{ "weight_map": { "a": "b.safetensors", "c": "d.safetensors", "e": "b.safetensors" } }"#.to_vec();
    }
    setting.hub.add("models/owner/name", "main", files);
    setting
}

#[test]
fn a_folder_has_configuration_weights_and_tokenizer_and_nothing_else() {
    let whole = ["config.json", "tokenizer.json", "model.safetensors"];
    let sharded = ["config.json", INDEX, "b.safetensors", "d.safetensors"];
    for names in [&whole[..], &sharded[..]] {
        let all = [names, &["README.md", "pytorch_model.bin", "z.safetensors"]].concat();
        let mut setting = serving(&all);
        let folder = setting.repo.model_folder().unwrap();
        let found = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut found: Vec<String> = found.map(|name| name.into_string().unwrap()).collect();
        found.sort();
        let mut expected = names.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected);
        setting.hub.stop();
        // Complete, so nobody is asked.
        assert_eq!(setting.repo.model_folder().unwrap(), folder);
        fs::remove_file(folder.join(expected[0])).unwrap();
        let error = setting.repo.model_folder().unwrap_err();
        assert!(matches!(error, HubError::Unreachable { .. }), "{error}");
    }
}

#[test]
fn a_shard_outside_the_repository_is_refused() {
    let setting = setting();
    let index = br#"{ "weight_map": { "a": "../../../escaped.safetensors" } }"#;
    let files = [("config.json", &b"{}"[..]), (INDEX, &index[..])];
    let files = files.map(|(name, content)| (name.to_owned(), content.to_vec()));
    setting.hub.add("models/owner/name", "main", files.into());
    let error = setting.repo.model_folder().unwrap_err().to_string();
    assert!(error.contains("it has no ../../../escaped.safetensors"), "{error}");
}

#[test]
fn an_index_without_files_is_named() {
    let setting = setting();
    for index in [&b"no JSON"[..], b"{}", br#"{ "weight_map": { "a": 1 } }"#] {
        let files = [("config.json", &b"{}"[..]), (INDEX, index)];
        let files = files.map(|(name, content)| (name.to_owned(), content.to_vec()));
        setting.hub.add("models/owner/name", "main", files.into());
        let error = setting.repo.model_folder().unwrap_err();
        assert!(
            matches!(&error, HubError::Answer { what, .. } if what == INDEX),
            "{error}"
        );
    }
}

/// Which of several quantised files is meant cannot be guessed: the files are named, and what to do with one.
#[test]
fn a_repository_of_gguf_files_alone_is_refused_by_name() {
    let setting = serving(&["tiny-Q4_K_M.gguf", "tiny-Q8_0.gguf", "README.md"]);
    let error = setting.repo.model_folder().unwrap_err();
    assert!(matches!(error, HubError::OnlyGguf { .. }), "{error}");
    let text = error.to_string();
    for words in ["owner/name@main", "tiny-Q4_K_M.gguf, tiny-Q8_0.gguf", "give its path"] {
        assert!(text.contains(words), "{text}");
    }
}
