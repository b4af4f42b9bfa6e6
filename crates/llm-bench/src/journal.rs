//! A journal of answers, so that an interrupted evaluation resumes after the last answered document.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Answer, BenchError, Prompt, Requests};

/// Answers keyed by the hash of model and requests, and the file to which they are appended.
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

/// How every line begins.
const START: &[u8] = b"{\"task\":";

impl Journal {
    /// Opens a journal; without a path nothing is stored. A last line damaged by an interruption is removed, and its
    /// document is asked again. No other evaluation may use the file until this one is dropped.
    pub(crate) fn open(path: Option<&Path>, model: &str) -> Result<Self, BenchError> {
        let mut journal = Self {
            model: model.to_owned(),
            known: HashMap::new(),
            file: None,
        };
        let Some(path) = path else {
            return Ok(journal);
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        let mut file = file.map_err(not_written(path))?;
        lock(&file, path)?;
        journal.known = read(&mut file, path)?;
        journal.file = Some((path.to_owned(), file));
        Ok(journal)
    }

    /// The answer to these requests, if the journal has it.
    pub(crate) fn answer(&self, requests: &Requests) -> Option<Answer> {
        if self.known.is_empty() {
            return None;
        }
        self.known.get(&self.key(requests)).cloned()
    }

    /// Appends answers and flushes them to the operating system.
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
            Some((path, file)) => {
                let written = file.seek(SeekFrom::End(0)).and_then(|_| file.write_all(&bytes));
                written.map_err(not_written(path))
            }
            None => Ok(()),
        }
    }

    fn key(&self, requests: &Requests) -> String {
        let requests = serde_json::to_string(requests).expect("texts and numbers are JSON");
        sha256(&format!("{}\n{requests}", self.model))
    }
}

pub(crate) fn not_written(path: &Path) -> impl FnOnce(std::io::Error) -> BenchError {
    let path = path.to_owned();
    |source| BenchError::Write { path, source }
}

/// The operating system releases the lock when the file is closed or the process ends, however it ends.
fn lock(file: &File, path: &Path) -> Result<(), BenchError> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(BenchError::JournalInUse { path: path.to_owned() }),
        // Some network file systems have no locks; a journal is still useful there.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

/// The answers of a journal. An unreadable last line is removed from the file if it follows answers or begins like
/// one. Any other unreadable line is an error, and the file, which may not be a journal, is not changed.
fn read(file: &mut File, path: &Path) -> Result<HashMap<String, Answer>, BenchError> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|source| BenchError::Read {
        path: path.to_owned(),
        source,
    })?;
    let (mut known, mut whole) = (HashMap::new(), 0);
    for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let is_last = whole + line.len() == bytes.len();
        match serde_json::from_slice::<Line>(line) {
            Ok(read) if line.ends_with(b"\n") => {
                known.insert(read.key, read.answer);
            }
            _ if is_last && (!known.is_empty() || line.starts_with(START) || START.starts_with(line)) => {
                file.set_len(whole as u64).map_err(not_written(path))?;
                break;
            }
            read => {
                return Err(BenchError::JournalLine {
                    path: path.to_owned(),
                    line: index + 1,
                    source: read.err(),
                });
            }
        }
        whole += line.len();
    }
    Ok(known)
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(text: &str) -> String {
    hexadecimal(&Sha256::digest(text.as_bytes()))
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Gold, Loglikelihood, LoglikelihoodRequest};
    use proptest::prelude::*;

    fn answer() -> impl Strategy<Value = Answer> {
        let sum = prop_oneof![
            any::<f64>().prop_filter("never answered", |sum| !sum.is_nan()),
            Just(f64::NEG_INFINITY)
        ];
        let score = (sum, any::<bool>()).prop_map(|(sum, is_greedy)| Loglikelihood { sum, is_greedy });
        prop_oneof![
            prop::collection::vec(score, 0..4).prop_map(Answer::Choices),
            any::<String>().prop_map(Answer::Text),
            any::<f64>()
                .prop_filter("never answered", |sum| sum.is_finite())
                .prop_map(Answer::Rolling)
        ]
    }

    fn prompt(doc_id: usize, text: &str) -> Prompt {
        let request = LoglikelihoodRequest {
            context: text.into(),
            special: vec![],
            continuation: doc_id.to_string(),
        };
        Prompt {
            doc_id,
            document: Default::default(),
            requests: Requests::Choices(vec![request]),
            choices: vec![],
            gold: Gold::Choice(None),
            target: String::new(),
        }
    }

    #[test]
    fn a_journal_in_use_is_refused_until_it_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let open = || Journal::open(Some(&path), "model");
        let mut first = open().unwrap();
        let prompt = prompt(0, "text");
        let answer = Answer::Text("yes".to_owned());
        first.append("task", [(&prompt, &answer)].into_iter()).unwrap();
        let refused = open().err().unwrap();
        assert!(
            matches!(&refused, BenchError::JournalInUse { path: used } if *used == path),
            "{refused}"
        );
        // An answer that is appended after the refusal is there too.
        let later = self::prompt(1, "text");
        first.append("task", [(&later, &answer)].into_iter()).unwrap();
        drop(first);
        let second = open().unwrap();
        assert_eq!(second.answer(&prompt.requests), Some(answer.clone()));
        assert_eq!(second.answer(&later.requests), Some(answer));
    }

    proptest! {
        /// What is written is read, and all but a last line that is cut anywhere.
        #[test]
        fn answers_survive(
            answers in prop::collection::vec((any::<String>(), answer()), 1..6),
            task in any::<String>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("journal");
            let prompts: Vec<Prompt> = answers.iter().enumerate().map(|(i, (text, _))| prompt(i, text)).collect();
            let mut journal = Journal::open(Some(&path), "model").unwrap();
            let all = || prompts.iter().zip(answers.iter().map(|(_, answer)| answer));
            journal.append(&task, all()).unwrap();
            drop(journal);
            let read = Journal::open(Some(&path), "model").unwrap();
            for (prompt, answer) in all() {
                prop_assert_eq!(read.answer(&prompt.requests), Some(answer.clone()));
            }
            drop(read);
            let bytes = std::fs::read(&path).unwrap();
            let last = bytes[..bytes.len() - 1].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
            std::fs::write(&path, &bytes[..last + cut.index(bytes.len() - last)]).unwrap();
            let read = Journal::open(Some(&path), "model").unwrap();
            for (index, (prompt, answer)) in all().enumerate() {
                let known = (index + 1 < prompts.len()).then(|| answer.clone());
                prop_assert_eq!(read.answer(&prompt.requests), known);
            }
            prop_assert_eq!(std::fs::read(&path).unwrap(), &bytes[..last]);
        }
    }
}
