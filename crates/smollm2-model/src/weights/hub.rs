//! Fetching a repository of the Hugging Face hub into a local cache.

use std::path::{Path, PathBuf};

use hf_hub::{
    Cache, CacheRepo, Repo, RepoType,
    api::sync::{ApiBuilder, ApiRepo},
};

use super::{
    folder::{CONFIG, INDEX, ShardIndex, WEIGHTS},
    source::HubModel,
};
use crate::ModelError;

/// Files a snapshot may hold beside configuration and weights, fetched when the repository has them so that the
/// snapshot folder is complete for whoever reads tokens next.
const COMPANIONS: [&str; 5] = [
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
];

impl HubModel {
    /// Folder of the cached snapshot, after downloading what it lacks.
    pub(super) fn resolve(self) -> Result<PathBuf, ModelError> {
        let cache = Cache::new(self.cache_folder()?);
        let repo = Repo::with_revision(self.repo.clone(), RepoType::Model, self.revision.clone());
        if let Some(folder) = complete_snapshot(&cache.repo(repo.clone())) {
            return Ok(folder);
        }
        let api = ApiBuilder::from_cache(cache)
            .with_endpoint(self.endpoint.clone())
            .with_token(self.token.clone())
            .with_progress(false)
            .build()
            .map_err(|error| self.error(error))?;
        self.download(&api.repo(repo))
    }

    fn cache_folder(&self) -> Result<PathBuf, ModelError> {
        let default = || std::env::home_dir().map(|home| home.join(".cache/huggingface/hub"));
        let folder = self.cache_dir.clone().or_else(default);
        folder.ok_or_else(|| self.error("there is no home directory: give a cache folder"))
    }

    fn download(&self, api: &ApiRepo) -> Result<PathBuf, ModelError> {
        let listing = api.info().map_err(|error| self.error(error))?;
        let has = |file: &str| listing.siblings.iter().any(|sibling| sibling.rfilename == file);
        let fetch = |file: &str| api.get(file).map_err(|error| self.error(format!("{file}: {error}")));
        let require = |file: &str| match has(file) {
            true => fetch(file),
            false => Err(self.error(format!("the repository has no {file}"))),
        };
        let config = require(CONFIG)?;
        for file in COMPANIONS.into_iter().filter(|file| has(file)) {
            fetch(file)?;
        }
        if has(WEIGHTS) {
            fetch(WEIGHTS)?;
        } else {
            for shard in ShardIndex::read(&require(INDEX)?)?.shards() {
                require(shard)?;
            }
        }
        config
            .parent()
            .map(Path::to_owned)
            .ok_or_else(|| self.error("the cache has no snapshot folder"))
    }

    fn error(&self, reason: impl ToString) -> ModelError {
        ModelError::Hub {
            repo: format!("{}@{}", self.repo, self.revision),
            reason: reason.to_string(),
        }
    }
}

/// The snapshot folder when configuration and every weight file are in the cache.
fn complete_snapshot(cache: &CacheRepo) -> Option<PathBuf> {
    let config = cache.get(CONFIG)?;
    if cache.get(WEIGHTS).is_none() {
        let index = ShardIndex::read(&cache.get(INDEX)?).ok()?;
        index.shards().all(|shard| cache.get(shard).is_some()).then_some(())?;
    }
    config.parent().map(Path::to_owned)
}
