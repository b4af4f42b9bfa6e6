//! What would be asked, written without a model.

use std::path::{Path, PathBuf};

use super::prepare::prepare;
use crate::journal::not_written;
use crate::output::{request_json, sanitized};
use crate::task::Task;
use crate::{BenchError, FormatChat, PromptOptions};

/// Writes `samples_{task}.jsonl` into a folder, which is created: a line per document with its arguments and hashes, as
/// an evaluation writes it but for what depends on the answers. Returns the files in the tasks' order.
///
/// # Errors
/// As [`check_tasks`](crate::check_tasks), and when a file cannot be written.
pub fn write_requests(
    tasks: &[Task],
    prompts: &PromptOptions,
    chat: &FormatChat,
    folder: &Path,
) -> Result<Vec<PathBuf>, BenchError> {
    let prepared = prepare(tasks, prompts, chat, usize::MAX)?;
    std::fs::create_dir_all(folder).map_err(not_written(folder))?;
    let mut files = Vec::new();
    for task in prepared {
        let path = folder.join(format!("samples_{}.jsonl", sanitized(&task.task.task)));
        let mut lines = String::new();
        for prompt in &task.set.prompts {
            lines.push_str(&serde_json::to_string(&request_json(task.task, prompt))?);
            lines.push('\n');
        }
        std::fs::write(&path, lines).map_err(not_written(&path))?;
        files.push(path);
    }
    Ok(files)
}
