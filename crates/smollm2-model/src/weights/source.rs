//! Where a model comes from: a folder, a GGUF file, or a hub id.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::ModelError;

/// Where a model's configuration and weights are.
///
/// The text form (what `--model` takes) is a folder, a `.gguf` file, or a hub id `owner/name` with an optional
/// `@revision`. What exists on disk wins over a hub id.
///
/// ```
/// use smollm2_model::weights::ModelSource;
///
/// let source: ModelSource = "HuggingFaceTB/SmolLM2-135M-Instruct@main".parse()?;
/// let ModelSource::Hub(model) = &source else { panic!("not a path") };
/// assert_eq!((model.repo.as_str(), model.revision.as_str()), ("HuggingFaceTB/SmolLM2-135M-Instruct", "main"));
/// # Ok::<(), smollm2_model::ModelError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// A folder in the Hugging Face layout: `config.json` beside `model.safetensors` or
    /// `model.safetensors.index.json` and its shards.
    Folder(PathBuf),
    /// A GGUF file of the `llama` architecture, as llama.cpp converts and quantises it.
    Gguf(PathBuf),
    /// A repository of the Hugging Face hub, through a local cache. Needs the crate feature `hub`.
    Hub(HubModel),
}

/// A repository of the Hugging Face hub. Every setting is here: no environment variable is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubModel {
    /// `owner/name`.
    pub repo: String,
    /// Branch, tag or commit. Default `main`.
    pub revision: String,
    /// Address of the hub. Default `https://huggingface.co`.
    pub endpoint: String,
    /// Cache folder, laid out as `huggingface_hub` does (`models--owner--name/snapshots/..`).
    /// Default `None`: `.cache/huggingface/hub` in the home directory.
    pub cache_dir: Option<PathBuf>,
    /// Access token for private repositories. Default `None`: anonymous.
    pub token: Option<String>,
}

impl HubModel {
    /// The default branch of `repo` at the public hub, anonymously, through the default cache.
    pub fn new(repo: impl Into<String>) -> Self {
        Self {
            repo: repo.into(),
            revision: "main".to_owned(),
            endpoint: "https://huggingface.co".to_owned(),
            cache_dir: None,
            token: None,
        }
    }
}

impl ModelSource {
    /// Turns a hub id into the folder of its cached snapshot, downloading what the cache lacks; a folder and a file
    /// are returned as they are.
    ///
    /// A complete snapshot in the cache is used without touching the network.
    ///
    /// # Errors
    /// [`ModelError::Hub`] when the repository cannot be fetched, or the crate was built without the feature `hub`.
    pub fn resolve(self) -> Result<Self, ModelError> {
        match self {
            Self::Hub(model) => model.resolve().map(Self::Folder),
            local => Ok(local),
        }
    }
}

#[cfg(not(feature = "hub"))]
impl HubModel {
    fn resolve(self) -> Result<PathBuf, ModelError> {
        Err(ModelError::Hub {
            repo: self.repo,
            reason: "this program was built without the feature `hub` of smollm2-model".to_owned(),
        })
    }
}

impl FromStr for ModelSource {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let path = Path::new(text);
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        if path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
        {
            return Ok(Self::Gguf(path.to_owned()));
        }
        let (repo, revision) = text.split_once('@').unwrap_or((text, "main"));
        if path.exists() || !is_hub_id(repo) || revision.is_empty() {
            return Err(ModelError::Source { found: text.to_owned() });
        }
        Ok(Self::Hub(HubModel {
            revision: revision.to_owned(),
            ..HubModel::new(repo)
        }))
    }
}

/// `owner/name`, each part of the characters the hub allows.
fn is_hub_id(text: &str) -> bool {
    let part = |part: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        !part.is_empty() && !part.starts_with('.') && part.chars().all(allowed)
    };
    text.split_once('/')
        .is_some_and(|(owner, name)| part(owner) && part(name))
}

impl fmt::Display for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) | Self::Gguf(path) => path.display().fmt(f),
            Self::Hub(model) => write!(f, "{}@{}", model.repo, model.revision),
        }
    }
}
