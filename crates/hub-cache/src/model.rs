//! Determines which files belong to the folder of a model.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{HubError, HubRepo, Remote, Snapshot};

/// The configuration, which every model has.
const CONFIG: &str = "config.json";
/// Weights in one file.
const WEIGHTS: &str = "model.safetensors";
/// The index of the weights, if they are in several files.
const INDEX: &str = "model.safetensors.index.json";

/// Downloaded if the repository has them, so that the folder is complete for programs that need the tokenizer.
const COMPANIONS: [&str; 5] = [
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
];

impl HubRepo {
    /// The folder of a model in the cache: configuration, safetensors weights (one file or shards) and the files of the
    /// tokenizer. Missing files are downloaded.
    ///
    /// If the snapshot in the cache is complete, the network is not used. A new commit on a branch is therefore noticed
    /// only if the cache's `refs` entry is removed or another revision is requested.
    ///
    /// # Errors
    /// [`HubError::OnlyGguf`] if the repository has GGUF files and no other weights, and [`HubError`] if its files are
    /// not available.
    pub fn model_folder(&self) -> Result<PathBuf, HubError> {
        match self.cached()?.filter(|snapshot| self.is_complete(snapshot)) {
            Some(snapshot) => Ok(snapshot.folder),
            None => self.download_model(&self.remote()?),
        }
    }

    fn download_model(&self, remote: &Remote) -> Result<PathBuf, HubError> {
        self.refuse_gguf_alone(remote)?;
        let config = remote.fetch(CONFIG)?;
        for file in COMPANIONS.into_iter().filter(|file| remote.has(file)) {
            remote.fetch(file)?;
        }
        // The same order as when a folder is read: a single file takes precedence over shards.
        if remote.has(WEIGHTS) {
            remote.fetch(WEIGHTS)?;
        } else if remote.has(INDEX) {
            for shard in self.shards(&remote.fetch(INDEX)?)? {
                remote.fetch(&shard)?;
            }
        } else {
            return Err(HubError::NoFile {
                repo: self.to_string(),
                file: format!("{WEIGHTS} or {INDEX}"),
            });
        }
        remote.finish()?;
        let folder = config.parent().expect("a file of a snapshot is in its folder");
        Ok(folder.to_owned())
    }

    /// A repository of GGUF files has no folder to load, and the wanted file cannot be guessed.
    fn refuse_gguf_alone(&self, remote: &Remote) -> Result<(), HubError> {
        let files: Vec<&str> = remote.names().filter(|name| name.ends_with(".gguf")).collect();
        if files.is_empty() || remote.has(WEIGHTS) || remote.has(INDEX) {
            return Ok(());
        }
        Err(HubError::OnlyGguf {
            repo: self.to_string(),
            files: files.join(", "),
        })
    }

    /// Whether the configuration, all weight files, and all companions known to exist are in the cache.
    fn is_complete(&self, snapshot: &Snapshot) -> bool {
        let listed = snapshot.listing.iter().flatten();
        let mut companions = listed.filter(|name| COMPANIONS.contains(&name.as_str()));
        snapshot.file(CONFIG).is_some()
            && (snapshot.file(WEIGHTS).is_some() || self.has_shards(snapshot))
            && companions.all(|file| snapshot.file(file).is_some())
    }

    /// Whether the index and every file that it names are in the cache.
    fn has_shards(&self, snapshot: &Snapshot) -> bool {
        let index = snapshot.file(INDEX);
        let shards = index.and_then(|index| self.shards(&index).ok());
        shards.is_some_and(|shards| shards.iter().all(|shard| snapshot.file(shard).is_some()))
    }

    /// The files that an index names. Whether they are files of the repository is checked when they are fetched.
    fn shards(&self, index: &Path) -> Result<BTreeSet<String>, HubError> {
        let text = std::fs::read(index).map_err(self.cache_error("read", index))?;
        let value: Value =
            serde_json::from_slice(&text).map_err(|error| self.answer_error(INDEX, "JSON", error.to_string()))?;
        let files = value.get("weight_map").and_then(Value::as_object).into_iter();
        let files = files
            .flat_map(|map| map.values())
            .map(|file| file.as_str().map(str::to_owned));
        let files: Option<BTreeSet<String>> = files.collect();
        files.filter(|files| !files.is_empty()).ok_or_else(|| {
            let expected = "`weight_map`, an object of file names";
            self.answer_error(INDEX, expected, "nothing of that kind")
        })
    }
}
