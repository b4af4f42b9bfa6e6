//! Models by folder, GGUF file or hub id.

use crate::error::{KallmError, Result};
use hub_cache::{HubAccess, HubRepo, RepoKind, is_mistyped_path, parse_id};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where a model is.
///
/// The text form (what `--model` takes) is a folder, a `.gguf` file, or a hub id `owner/name` with an optional
/// `@revision`. What exists on disk wins over a hub id. A name below a folder that exists is a hub id only with its
/// revision, so that a mistyped path is an error rather than a request.
///
/// ```
/// use kallm::hub::ModelSource;
///
/// let source: ModelSource = "HuggingFaceTB/SmolLM2-135M-Instruct@main".parse()?;
/// let ModelSource::Hub(model) = &source else { panic!("not a path") };
/// assert_eq!((model.repo.as_str(), model.revision.as_str()), ("HuggingFaceTB/SmolLM2-135M-Instruct", "main"));
/// # Ok::<(), kallm::KallmError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// A folder in the Hugging Face layout, or a GGUF file.
    Path(PathBuf),
    /// A repository of the hub.
    Hub(Box<HubModel>),
}

/// A model on the hub, and how to reach the hub.
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

    /// The folder of its snapshot in the cache. Missing files are fetched.
    ///
    /// # Errors
    /// [`KallmError::Hub`] when neither the hub nor the cache has the files.
    pub fn fetch(&self) -> Result<PathBuf> {
        let repo = HubRepo {
            revision: self.revision.clone(),
            ..HubRepo::new(RepoKind::Model, &self.repo, self.access.clone())
        };
        Ok(repo.model_folder()?)
    }
}

impl ModelSource {
    /// The folder or file to open. A path is returned as it is.
    ///
    /// # Errors
    /// As [`HubModel::fetch`].
    pub fn fetch(&self) -> Result<PathBuf> {
        match self {
            Self::Path(path) => Ok(path.clone()),
            Self::Hub(model) => model.fetch(),
        }
    }
}

impl FromStr for ModelSource {
    type Err = KallmError;

    fn from_str(text: &str) -> Result<Self> {
        let path = Path::new(text);
        let is_gguf = path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
        if path.is_dir() || is_gguf {
            return Ok(Self::Path(path.to_owned()));
        }
        match parse_id(text).filter(|_| !path.exists() && !is_mistyped_path(text)) {
            Some((repo, revision)) => Ok(Self::Hub(Box::new(HubModel {
                revision: revision.to_owned(),
                ..HubModel::new(repo)
            }))),
            None => Err(KallmError::unusable(
                format!("`{text}`"),
                "a folder, a .gguf file or a hub id (owner/name)",
                "none of these",
                "check the spelling (if there is a folder `owner` here, a hub id is owner/name@main)",
            )),
        }
    }
}

impl fmt::Display for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Hub(model) => write!(f, "{}@{}", model.repo, model.revision),
        }
    }
}
