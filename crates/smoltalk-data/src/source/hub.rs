//! Data sets on the Hugging Face hub.

use super::{Kind, Source, is};
use crate::DataError;
use hf_hub::api::sync::ApiBuilder;
use hf_hub::{Cache, Repo, RepoType};
use std::path::PathBuf;

/// A data set on the hub: which, and through which door.
#[derive(Clone, Debug)]
pub struct HubDataset {
    /// `organisation/name`.
    pub id: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// Only files whose names hold this, `train` or `test`.
    pub split: String,
    /// Address of the hub.
    pub endpoint: String,
    /// The cache folder, shared with Python's huggingface_hub; files in it are not fetched again.
    pub cache: PathBuf,
}

impl HubDataset {
    /// The data set's main revision from the public hub through the user's usual cache folder.
    pub fn new(id: &str, split: &str) -> Self {
        Self {
            id: id.to_string(),
            revision: "main".to_string(),
            split: split.to_string(),
            endpoint: "https://huggingface.co".to_string(),
            cache: Cache::default().path().clone(),
        }
    }

    /// Fetches what the cache lacks. Without a network the cache alone answers.
    ///
    /// # Errors
    /// [`DataError::Hub`] when neither the hub nor the cache gives the split's files.
    pub fn fetch(&self) -> Result<Source, DataError> {
        let wrong = |reason: String| DataError::Hub {
            id: self.id.clone(),
            reason,
        };
        let api = ApiBuilder::new()
            .with_endpoint(self.endpoint.clone())
            .with_cache_dir(self.cache.clone())
            .with_progress(false)
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        let repo = Repo::with_revision(self.id.clone(), RepoType::Dataset, self.revision.clone());
        let remote = api.repo(repo.clone());
        let files = match remote.info() {
            Ok(info) => {
                let names = info
                    .siblings
                    .into_iter()
                    .map(|file| file.rfilename)
                    .filter(|name| self.wanted(name));
                names
                    .map(|name| remote.get(&name).map_err(|error| wrong(error.to_string())))
                    .collect::<Result<_, _>>()?
            }
            Err(error) => self.cached(&repo).ok_or_else(|| wrong(error.to_string()))?,
        };
        let mut files: Vec<PathBuf> = files;
        files.sort();
        if files.is_empty() {
            return Err(wrong(format!(
                "expected .parquet or .jsonl files of the split `{}`, found none",
                self.split
            )));
        }
        Ok(Source {
            kind: Kind::Files(files),
            parts: Vec::new(),
        })
    }

    fn wanted(&self, name: &str) -> bool {
        let path = std::path::Path::new(name);
        (is(path, "parquet") || is(path, "jsonl")) && name.contains(&self.split)
    }

    /// The split's files in the cache's snapshot of the revision.
    fn cached(&self, repo: &Repo) -> Option<Vec<PathBuf>> {
        let folder = self.cache.join(repo.folder_name());
        let commit = std::fs::read_to_string(folder.join("refs").join(&self.revision)).ok()?;
        let snapshot = folder.join("snapshots").join(commit.trim());
        let mut files = Vec::new();
        for below in [snapshot.clone(), snapshot.join("data")] {
            let Ok(entries) = std::fs::read_dir(below) else {
                continue;
            };
            files.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
        }
        files.retain(|file| {
            file.strip_prefix(&snapshot)
                .is_ok_and(|name| self.wanted(&name.to_string_lossy()))
        });
        (!files.is_empty()).then_some(files)
    }
}
