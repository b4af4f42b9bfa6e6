//! Data sets on the Hugging Face hub. This is the only place in the libraries where a data set id is resolved to files.

use crate::error::{KallmError, Result};
use hub_cache::{HubRepo, RepoKind, SplitMatch, parse_id};
use smoltalk_data::Source;
use std::fmt;
use std::str::FromStr;

pub use hub_cache::HubAccess;

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

    /// Fetches what the cache lacks. A split complete in the cache is used without touching the network.
    ///
    /// # Errors
    /// [`KallmError::Hub`] when neither the hub nor the cache gives the split's files.
    pub fn fetch(&self) -> Result<Source> {
        let repo = HubRepo {
            revision: self.revision.clone(),
            ..HubRepo::new(RepoKind::Dataset, &self.id, self.access.clone())
        };
        let files = repo.split(self.configuration.as_deref(), &self.split, SplitMatch::OrVariant)?;
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
