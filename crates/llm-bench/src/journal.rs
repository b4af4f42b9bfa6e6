//! A journal of answers: an interrupted evaluation goes on after the last document that was answered.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Answer, BenchError, Prompt, Requests};

/// Answers by the hash of model and requests, and the file they are appended to.
pub(crate) struct Journal {
    /// Fingerprint of the model.
    model: String,
    known: HashMap<String, Answer>,
    file: Option<(PathBuf, File)>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    task: String,
    doc_id: usize,
    key: String,
    answer: Answer,
}

impl Journal {
    /// Opens a journal, or one that forgets everything if there is no path. A last line cut short by an
    /// interruption is removed; its document is asked again.
    pub(crate) fn open(path: Option<&Path>, fingerprint: impl FnOnce() -> String) -> Result<Self, BenchError> {
        let mut journal = Self {
            model: String::new(),
            known: HashMap::new(),
            file: None,
        };
        let Some(path) = path else {
            return Ok(journal);
        };
        if path.exists() {
            journal.known = read(path)?;
        }
        journal.model = fingerprint();
        let file = OpenOptions::new().create(true).append(true).open(path);
        journal.file = Some((path.to_owned(), file.map_err(not_written(path))?));
        Ok(journal)
    }

    /// The answer to these requests, if the journal has it.
    pub(crate) fn answer(&self, requests: &Requests) -> Option<Answer> {
        if self.known.is_empty() {
            return None;
        }
        self.known.get(&self.key(requests)).cloned()
    }

    /// Appends answers and hands them to the operating system.
    pub(crate) fn append<'a>(
        &mut self,
        task: &str,
        answers: impl Iterator<Item = (&'a Prompt, &'a Answer)>,
    ) -> Result<(), BenchError> {
        if self.file.is_none() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        for (prompt, answer) in answers {
            let line = Line {
                task: task.to_owned(),
                doc_id: prompt.doc_id,
                key: self.key(&prompt.requests),
                answer: answer.clone(),
            };
            serde_json::to_writer(&mut bytes, &line)?;
            bytes.push(b'\n');
        }
        match &mut self.file {
            Some((path, file)) => file.write_all(&bytes).map_err(not_written(path)),
            None => Ok(()),
        }
    }

    fn key(&self, requests: &Requests) -> String {
        // Serialising strings and numbers into memory cannot fail; an empty key would only be asked again.
        let requests = serde_json::to_string(requests).unwrap_or_default();
        sha256(&format!("{}\n{requests}", self.model))
    }
}

fn not_written(path: &Path) -> impl FnOnce(std::io::Error) -> BenchError {
    let path = path.to_owned();
    |source| BenchError::Write { path, source }
}

/// The answers of a journal. What follows the last newline is cut off the file.
fn read(path: &Path) -> Result<HashMap<String, Answer>, BenchError> {
    let text = std::fs::read(path).map_err(|source| BenchError::Read {
        path: path.to_owned(),
        source,
    })?;
    let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let mut known = HashMap::new();
    for (index, line) in text[..whole].split_inclusive(|&byte| byte == b'\n').enumerate() {
        let line: Line = serde_json::from_slice(line).map_err(|error| BenchError::DataLine {
            path: path.to_owned(),
            line: index + 1,
            problem: format!("an answer of a journal is expected: {error}"),
        })?;
        known.insert(line.key, line.answer);
    }
    if whole < text.len() {
        let file = OpenOptions::new().write(true).open(path);
        let cut = file.and_then(|file| file.set_len(whole as u64));
        cut.map_err(not_written(path))?;
    }
    Ok(known)
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
