//! Bringing a model of the Hugging Face hub into the local cache.

use std::path::PathBuf;

use hub_cache::{HubError, HubRepo, Remote, RepoKind, Snapshot};

use super::{
    folder::{CONFIG, GENERATION_CONFIG, INDEX, ShardIndex, WEIGHTS},
    source::HubModel,
};
use crate::ModelError;

/// Files a snapshot may hold beside configuration and weights, fetched when the repository has them so that the
/// snapshot folder is complete for whoever reads tokens next.
const COMPANIONS: [&str; 5] = [
    GENERATION_CONFIG,
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
];

impl HubModel {
    /// Folder of the cached snapshot, after downloading what it lacks.
    pub(super) fn resolve(self) -> Result<PathBuf, ModelError> {
        let repo = HubRepo {
            kind: RepoKind::Model,
            id: self.repo,
            revision: self.revision,
            access: self.access,
        };
        match repo.cached()?.filter(is_complete) {
            Some(snapshot) => Ok(snapshot.folder),
            None => download(&repo.remote()?, &repo),
        }
    }
}

fn download(remote: &Remote, repo: &HubRepo) -> Result<PathBuf, ModelError> {
    refuse_gguf_alone(remote, repo)?;
    let config = remote.fetch(CONFIG)?;
    for file in COMPANIONS.into_iter().filter(|file| remote.has(file)) {
        remote.fetch(file)?;
    }
    // The order of a local folder: a whole file goes before shards.
    if remote.has(WEIGHTS) {
        remote.fetch(WEIGHTS)?;
    } else if remote.has(INDEX) {
        for shard in ShardIndex::read(&remote.fetch(INDEX)?)?.shards() {
            remote.fetch(shard)?;
        }
    } else {
        return Err(ModelError::Hub(HubError::NoFile {
            repo: repo.to_string(),
            file: format!("{WEIGHTS} or {INDEX}"),
        }));
    }
    remote.finish()?;
    let folder = config.parent().map(PathBuf::from);
    folder.ok_or_else(|| ModelError::Source {
        found: config.display().to_string(),
    })
}

/// A repository of GGUF files has no folder to load, and which of its files is meant cannot be guessed.
fn refuse_gguf_alone(remote: &Remote, repo: &HubRepo) -> Result<(), ModelError> {
    let files: Vec<&str> = remote.names().filter(|name| name.ends_with(".gguf")).collect();
    if files.is_empty() || remote.has(WEIGHTS) || remote.has(INDEX) {
        return Ok(());
    }
    Err(ModelError::OnlyGguf {
        repo: repo.to_string(),
        files: files.join(", "),
    })
}

/// Whether configuration, every weight file, and every companion known to exist are in the cache.
fn is_complete(snapshot: &Snapshot) -> bool {
    let weights = snapshot.file(WEIGHTS).is_some()
        || snapshot
            .file(INDEX)
            .and_then(|index| ShardIndex::read(&index).ok())
            .is_some_and(|index| index.shards().all(|shard| snapshot.file(shard).is_some()));
    let listed = |file: &str| snapshot.listing.iter().flatten().any(|name| name == file);
    let companions = COMPANIONS
        .iter()
        .all(|file| !listed(file) || snapshot.file(file).is_some());
    snapshot.file(CONFIG).is_some() && weights && companions
}
