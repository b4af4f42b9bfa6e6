//! Fetches task data by the hub ids in the task files.

use super::fetch_split;
use crate::error::{KallmError, Result};
use hub_cache::{HubAccess, HubError, HubRepo, RepoKind};
use llm_bench::{BenchError, PromptOptions, Task};
use record_files::{RecordError, SplitMatch};
use std::path::PathBuf;

/// Branch on which the hub keeps every data set as Parquet, whatever its authors uploaded.
const CONVERTED: &str = "refs/convert/parquet";

/// Fetches the splits that the tasks read and that are missing from `prompts`, and places them in its
/// [`data`](PromptOptions::data). A split that is complete in the cache needs no network.
///
/// # Errors
/// [`KallmError::Hub`] when neither the hub nor the cache has a split's files; [`KallmError::Records`] when the data
/// set has no such split.
pub fn fetch_task_data(tasks: &[Task], prompts: &mut PromptOptions, access: &HubAccess) -> Result<()> {
    for task in tasks {
        for split in prompts.splits(task) {
            if let Err(BenchError::MissingData { .. }) = prompts.data.files(task, split) {
                prompts.data.place(task, split, fetch(task, split, access)?);
            }
        }
    }
    Ok(())
}

/// The files of a split as its authors uploaded it, or else as the hub converted it.
fn fetch(task: &Task, split: &str, access: &HubAccess) -> Result<Vec<PathBuf>> {
    let configuration = task.dataset_name.as_deref();
    let uploaded = HubRepo::new(RepoKind::Dataset, &task.dataset_path, access.clone());
    match fetch_split(&uploaded, configuration, split, SplitMatch::Exact) {
        Err(error) if may_be_converted(&error) => {
            let converted = HubRepo {
                revision: CONVERTED.to_owned(),
                ..uploaded
            };
            fetch_split(&converted, configuration, split, SplitMatch::Exact).or(Err(error))
        }
        other => other,
    }
}

/// Whether to try the converted form of the split. Without a network it may still be in the cache.
fn may_be_converted(error: &KallmError) -> bool {
    matches!(
        error,
        KallmError::Records(RecordError::Split { .. })
            | KallmError::Hub(HubError::Unreachable { .. } | HubError::Unavailable { .. } | HubError::NoNetwork { .. })
    )
}
