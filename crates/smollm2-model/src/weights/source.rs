//! Where a model comes from: a folder, a GGUF file, or a hub id.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use hub_cache::{HubAccess, HubRepo, RepoKind, is_mistyped_path, parse_id};

use crate::ModelError;

/// Where a model's configuration and weights are.
///
/// The text form (what `--model` takes) is a folder, a `.gguf` file, or a hub id `owner/name` with an optional
/// `@revision`. What exists on disk wins over a hub id. A name below a folder that exists is a hub id only with its
/// revision, so that a mistyped path is an error rather than a request.
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
    /// A folder in the Hugging Face layout: `config.json` next to `model.safetensors` or
    /// `model.safetensors.index.json` and its shards.
    Folder(PathBuf),
    /// A GGUF file of the `llama` architecture, as llama.cpp converts and quantises it.
    Gguf(PathBuf),
    /// A repository of the Hugging Face hub, through a local cache. What the cache lacks needs the crate feature
    /// `hub`.
    Hub(Box<HubModel>),
}

/// A repository of the Hugging Face hub, and how to reach the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubModel {
    /// `owner/name`.
    pub repo: String,
    /// Branch, tag or commit. Default `main`.
    pub revision: String,
    /// Endpoint, cache folder, access token and timeouts.
    pub access: HubAccess,
}

impl HubModel {
    /// The default branch of `repo` at the public hub, anonymously, through the default cache.
    pub fn new(repo: impl Into<String>) -> Self {
        Self {
            repo: repo.into(),
            revision: "main".to_owned(),
            access: HubAccess::default(),
        }
    }

    fn repository(self) -> HubRepo {
        HubRepo {
            kind: RepoKind::Model,
            id: self.repo,
            revision: self.revision,
            access: self.access,
        }
    }
}

impl ModelSource {
    /// Turns a hub id into the folder of its cached snapshot, downloading what the cache lacks; a folder and a file
    /// are returned as they are.
    ///
    /// # Errors
    /// [`ModelError::Hub`] when the cache lacks files and they cannot be fetched.
    pub fn resolve(self) -> Result<Self, ModelError> {
        match self {
            Self::Hub(model) => Ok(Self::Folder(model.repository().model_folder()?)),
            local => Ok(local),
        }
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
        match parse_id(text).filter(|_| !path.exists() && !is_mistyped_path(text)) {
            Some((repo, revision)) => Ok(Self::Hub(Box::new(HubModel {
                revision: revision.to_owned(),
                ..HubModel::new(repo)
            }))),
            None => Err(ModelError::Source { found: text.to_owned() }),
        }
    }
}

impl fmt::Display for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) | Self::Gguf(path) => path.display().fmt(f),
            Self::Hub(model) => write!(f, "{}@{}", model.repo, model.revision),
        }
    }
}
