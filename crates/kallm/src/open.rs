//! Opens tasks and texts by the names and paths of the command line.

use crate::error::{KallmError, OfPath, Result};
#[cfg(all(feature = "bench", feature = "train"))]
use crate::judge::chat_prompt;
#[cfg(feature = "bench")]
use llm_bench::Task;
#[cfg(feature = "bench")]
use llm_bench::task::{Catalogue, Selection};
#[cfg(all(feature = "bench", feature = "train"))]
use llm_bench::{ChatPrompt, PromptOptions, Turn, check_tasks};
#[cfg(all(feature = "bench", feature = "train"))]
use smollm2_infer::Engine;
#[cfg(all(feature = "bench", feature = "train"))]
use smollm2_model::DecoderBackend;
use smoltalk_data::{ChatTokenizer, Mask, Source, SystemPrompt};
use std::path::Path;
#[cfg(feature = "bench")]
use std::path::PathBuf;

/// Tokens in a row of calibration text.
pub const CALIBRATION_ROW: usize = 512;
/// Tokens that gates are fitted on.
pub const CALIBRATION_TOKENS: usize = 4096;

/// Opens tasks by name, group, tag, pattern or file.
///
/// # Errors
/// When there is no task, or one is unknown or not valid.
#[cfg(feature = "bench")]
pub fn tasks(names: &[String]) -> Result<Vec<Task>> {
    Ok(selection(names, &[])?.tasks)
}

/// As [`tasks`], with the groups that were requested, and with the names of the task files below some folders.
///
/// # Errors
/// When there is no task, or one is unknown or not valid, or a folder cannot be read.
#[cfg(feature = "bench")]
pub fn selection(names: &[String], folders: &[PathBuf]) -> Result<Selection> {
    let mut catalogue = Catalogue::builtin()?;
    for folder in folders {
        catalogue.include(folder)?;
    }
    if names.is_empty() {
        let known: Vec<&str> = catalogue.names().collect();
        let expected = format!("at least one of {}, or a YAML file", known.join(", "));
        return Err(KallmError::unusable("tasks", expected, "none", "name a task"));
    }
    Ok(catalogue.open(names)?)
}

/// Checks tasks and their data, including few-shot splits, so that an error does not surface only after training.
///
/// # Errors
/// When data are missing or a prompt cannot be built.
#[cfg(all(feature = "bench", feature = "train"))]
pub(crate) fn check_tasks_without_model(tasks: &[Task], prompts: &PromptOptions) -> Result<()> {
    // Chat template and longest sequence come from the model, which is not loaded yet.
    let plain = |turns: &[Turn], _: bool| {
        let text = turns.iter().map(|turn| turn.content.as_str()).collect();
        Ok(ChatPrompt { text, special: vec![] })
    };
    check_tasks(tasks, prompts, &plain, usize::MAX)?;
    Ok(())
}

/// Checks tasks again once the model is loaded, with its chat template and its longest sequence.
///
/// # Errors
/// When the template rejects a prompt, or an answer of a task does not fit into the sequence.
#[cfg(all(feature = "bench", feature = "train"))]
pub(crate) fn check_tasks_for<B: DecoderBackend>(
    engine: &Engine<B>,
    tasks: &[Task],
    prompts: &PromptOptions,
) -> Result<()> {
    let chat = |turns: &[Turn], open: bool| chat_prompt(engine.tokenizer(), turns, open);
    check_tasks(tasks, prompts, &chat, engine.max_length())?;
    Ok(())
}

/// Rows of up to `length` token ids, `tokens` in all, from a text file.
///
/// # Errors
/// When the file cannot be read or holds too little.
pub fn text_rows(path: &Path, tokenizer: &ChatTokenizer, length: usize, tokens: usize) -> Result<Vec<Vec<u32>>> {
    let text = std::fs::read_to_string(path).of_path("read", path)?;
    // The longest token has far fewer than 64 bytes, so this much text is always enough.
    let enough = text.char_indices().nth(tokens * 64).map_or(text.len(), |(end, _)| end);
    cut(tokenizer.encode(&text[..enough])?, length, tokens)
}

/// As [`text_rows`], from conversations, with the system turn they are trained with.
///
/// # Errors
/// When they cannot be read or hold too little.
pub fn conversation_rows(
    source: &Source,
    tokenizer: &ChatTokenizer,
    system_prompt: SystemPrompt,
    length: usize,
    tokens: usize,
) -> Result<Vec<Vec<u32>>> {
    let mut ids = Vec::new();
    for conversation in source.conversations() {
        let encoded = conversation.and_then(|found| tokenizer.encode_conversation(&found, Mask::All, system_prompt));
        match encoded {
            Ok(encoded) => ids.extend(encoded.ids),
            // Training skips it too, and counts it.
            Err(error) if error.is_bad_record() => {}
            Err(error) => return Err(error.into()),
        }
        if ids.len() >= tokens {
            break;
        }
    }
    cut(ids, length, tokens)
}

fn cut(mut ids: Vec<u32>, length: usize, tokens: usize) -> Result<Vec<Vec<u32>>> {
    ids.truncate(tokens);
    if ids.len() < 2 {
        let found = ids.len().to_string();
        return Err(KallmError::unusable(
            "text",
            "at least 2 tokens",
            found,
            "give more text",
        ));
    }
    let rows = ids.chunks(length).filter(|row| row.len() > 1);
    Ok(rows.map(<[u32]>::to_vec).collect())
}
