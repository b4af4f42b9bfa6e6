//! The record of a run: one JSON object per line.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{EvalRecord, StepRecord, TrainError};

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Metric {
    /// An optimiser step.
    Train(StepRecord),
    /// An evaluation on held-out rows.
    Eval(EvalRecord),
}

impl Metric {
    /// Steps made when it was recorded.
    pub fn step(&self) -> usize {
        match self {
            Self::Train(record) => record.step,
            Self::Eval(record) => record.step,
        }
    }
}

/// The file of a run's metrics, open for appending.
#[derive(Debug)]
pub struct Metrics {
    file: File,
    path: PathBuf,
}

impl Metrics {
    /// Opens `path` to go on after `step`: later records, and a line cut off by a crash, are dropped, so that no step
    /// is recorded twice. Step 0 starts an empty file.
    ///
    /// # Errors
    /// [`TrainError::Io`]; [`TrainError::Metrics`] for a complete line that is no record.
    pub fn open(path: &Path, step: usize) -> Result<Self, TrainError> {
        let kept: Vec<Metric> = match step {
            0 => Vec::new(),
            _ if path.exists() => read_metrics(path)?
                .into_iter()
                .filter(|metric| metric.step() <= step)
                .collect(),
            _ => Vec::new(),
        };
        let text: String = kept.iter().map(line).collect();
        let staging = path.with_extension("jsonl.partial");
        let written = File::create(&staging).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written.map_err(TrainError::io("write", &staging))?;
        fs::rename(&staging, path).map_err(TrainError::io("replace", path))?;
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(TrainError::io("open", path))?;
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// Appends a record; it is in the file when this returns.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn append(&mut self, metric: &Metric) -> Result<(), TrainError> {
        let written = self
            .file
            .write_all(line(metric).as_bytes())
            .and_then(|()| self.file.flush());
        written.map_err(TrainError::io("write", &self.path))
    }

    /// Waits until every record is on the disk: a checkpoint must not outlive the records of its steps.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn sync(&self) -> Result<(), TrainError> {
        self.file.sync_data().map_err(TrainError::io("flush", &self.path))
    }
}

fn line(metric: &Metric) -> String {
    let mut text = serde_json::to_string(metric).unwrap_or_default();
    text.push('\n');
    text
}

/// Reads a metrics file; a last line without its newline is the mark of a crash and left out.
///
/// # Errors
/// [`TrainError::Io`]; [`TrainError::Metrics`] for a complete line that is no record.
pub fn read_metrics(path: &Path) -> Result<Vec<Metric>, TrainError> {
    let text = fs::read_to_string(path).map_err(TrainError::io("read", path))?;
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    let parse = |(index, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| TrainError::Metrics {
            path: path.to_owned(),
            line: index + 1,
            found: error.to_string(),
        })
    };
    complete.lines().enumerate().map(parse).collect()
}
