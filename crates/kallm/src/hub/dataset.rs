//! Conversations by path or hub id.

use super::fetch_split;
use crate::error::{KallmError, Result};
use hub_cache::{HubAccess, HubRepo, RepoKind, is_mistyped_path, parse_id};
use record_files::SplitMatch;
use smoltalk_data::Source;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A split of a data set on the hub, and how to reach the hub.
///
/// The text form is `owner/name`, with `@revision`, then `:configuration`, then `:split` where they are not the
/// default: `owner/name@v1:all:test`, or `owner/name::test`.
///
/// ```
/// use kallm::hub::HubDataset;
///
/// let data: HubDataset = "HuggingFaceTB/smoltalk:all".parse()?;
/// assert_eq!((data.id.as_str(), data.revision.as_str(), data.split.as_str()), ("HuggingFaceTB/smoltalk", "main", "train"));
/// assert_eq!(data.configuration.as_deref(), Some("all"));
/// # Ok::<(), kallm::KallmError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubDataset {
    /// `owner/name`.
    pub id: String,
    /// Branch, tag or commit. Default `main`.
    pub revision: String,
    /// One of the data set's configurations. Default `None`: the only one, or the one named `default`.
    pub configuration: Option<String>,
    /// Default `train`. A split `train` is also found as `train_sft` if no other name begins with `train_`.
    pub split: String,
    /// Endpoint, cache folder, access token and timeouts.
    pub access: HubAccess,
}

impl HubDataset {
    /// The training split of the data set's default branch and configuration, from the public hub.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            revision: "main".to_owned(),
            configuration: None,
            split: "train".to_owned(),
            access: HubAccess::default(),
        }
    }

    /// Fetches missing files into the cache. A split that is complete in the cache needs no network.
    ///
    /// # Errors
    /// [`KallmError::Hub`] when neither the hub nor the cache has the split's files; [`KallmError::Records`] when the
    /// data set has no such split.
    pub fn fetch(&self) -> Result<Source> {
        let repo = HubRepo {
            revision: self.revision.clone(),
            ..HubRepo::new(RepoKind::Dataset, &self.id, self.access.clone())
        };
        let files = fetch_split(&repo, self.configuration.as_deref(), &self.split, SplitMatch::OrVariant)?;
        Ok(Source::from_files(files))
    }
}

impl FromStr for HubDataset {
    type Err = KallmError;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.split(':');
        let id = parts.next().and_then(parse_id);
        let (configuration, split, rest) = (parts.next(), parts.next(), parts.next());
        match id.filter(|_| rest.is_none()) {
            Some((id, revision)) => Ok(Self {
                revision: revision.to_owned(),
                configuration: configuration.filter(|name| !name.is_empty()).map(str::to_owned),
                split: split.filter(|name| !name.is_empty()).unwrap_or("train").to_owned(),
                ..Self::new(id)
            }),
            None => {
                let expected = "owner/name[@revision][:configuration[:split]]";
                Err(KallmError::unusable("hub id", expected, text, "correct the id"))
            }
        }
    }
}

impl fmt::Display for HubDataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let configuration = self.configuration.as_deref().unwrap_or_default();
        write!(f, "{}@{}:{configuration}:{}", self.id, self.revision, self.split)
    }
}

/// Conversations from a file, a folder, or, if there is neither, a hub id.
///
/// # Errors
/// When there are none, and for a text that is more likely a mistyped path than a hub id.
pub fn conversations(name: &Path, access: &HubAccess) -> Result<Source> {
    let source = match hub_id(name) {
        Some(id) if is_mistyped_path(id) => {
            return Err(KallmError::unusable(
                id,
                "a file, a folder or a hub id",
                "no such file or folder, in a folder that exists",
                "correct the path; if a repository on the hub is meant, add its revision (@main)",
            ));
        }
        Some(id) => match id.parse::<HubDataset>() {
            Ok(dataset) => HubDataset {
                access: access.clone(),
                ..dataset
            }
            .fetch()?,
            Err(_) => Source::open(name)?,
        },
        None => Source::open(name)?,
    };
    check_first(&source, name)?;
    Ok(source)
}

/// Whether this may be a hub id: it is neither an existing path nor named like a data file.
fn hub_id(name: &Path) -> Option<&str> {
    let is_data_file = name
        .extension()
        .is_some_and(|extension| ["json", "jsonl", "parquet"].iter().any(|known| extension == *known));
    name.to_str().filter(|_| !name.exists() && !is_data_file)
}

/// Refuses a source without a conversation early, before a model is loaded and converted.
fn check_first(source: &Source, name: &Path) -> Result<()> {
    let mut bad = None;
    for found in source.conversations() {
        match found {
            Ok(_) => return Ok(()),
            Err(error) if error.is_bad_record() => {
                bad.get_or_insert(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    match bad {
        Some(error) => Err(error.into()),
        None => Err(KallmError::unusable(
            name.display(),
            "conversations",
            "none",
            "check whether the file is empty",
        )),
    }
}
