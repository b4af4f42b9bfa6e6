//! The Hugging Face hub. This is the only place in the libraries where a hub id is resolved to files; all others take
//! paths.
//!
//! [`ModelSource`] is resolved to a model's folder, and [`HubDataset`] and [`conversations`] to a source of
//! conversations. `fetch_task_data` finds the data of tasks, with the feature `bench`. Files missing from the cache are
//! downloaded with the feature `hub`; without it they are an error.

mod dataset;
mod model;
#[cfg(feature = "bench")]
mod task_data;

pub use dataset::{HubDataset, conversations};
pub use hub_cache::{HubAccess, HubError, Retry, TransferEvent, TransferProgress};
pub use model::{HubModel, ModelSource};
#[cfg(feature = "bench")]
pub use task_data::fetch_task_data;

use crate::error::Result;
use hub_cache::HubRepo;
use record_files::{SplitMatch, split_files};
use std::path::PathBuf;

/// The cached files of one split of a data set.
fn fetch_split(repo: &HubRepo, configuration: Option<&str>, split: &str, matching: SplitMatch) -> Result<Vec<PathBuf>> {
    let place = format!("hub repository {repo}");
    repo.files(|names| Ok(split_files(&place, names, configuration, split, matching)?))
}
