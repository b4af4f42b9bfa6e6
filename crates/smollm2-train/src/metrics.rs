//! The record of a run: one JSON object per line.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{EvalRecord, StepRecord, TrainError, files};

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MetricRecord {
    /// An optimiser step.
    Train(StepRecord),
    /// An evaluation on held-out rows.
    Eval(EvalRecord),
}

impl MetricRecord {
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
pub struct MetricsFile {
    file: File,
    path: PathBuf,
}

/// What [`MetricsFile::open`] could not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedMetrics {
    /// How many complete lines were no record, and were left out.
    pub lines: usize,
    /// The first of them, counted from 1.
    pub first: usize,
    /// Why the first was refused.
    pub reason: String,
    /// A copy of the file as it was.
    pub copy: PathBuf,
}

impl MetricsFile {
    /// Opens `path` to continue after `step`: later records, and a line cut off by a crash, are dropped, so that no step
    /// is recorded twice. Step 0 starts an empty file, and renames one with content to the first unused
    /// `NAME.earlier-1.jsonl`, `NAME.earlier-2.jsonl`, .. next to it.
    ///
    /// A complete line that is no record, as a power loss can leave, is left out too: it must not keep an intact
    /// checkpoint from being resumed. The file as it was is then copied to `NAME.damaged-STEP.jsonl` next to it.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn open(path: &Path, step: usize) -> Result<(Self, Option<DamagedMetrics>), TrainError> {
        let mut kept = String::new();
        let mut damaged = None;
        if step > 0 && path.exists() {
            let bytes = fs::read(path).map_err(TrainError::io("read", path))?;
            let (records, refused) = records(&bytes);
            for record in records.iter().filter(|record| record.step() <= step) {
                kept.push_str(&line(record));
            }
            damaged = refused
                .map(|refused| set_aside(path, &bytes, step, refused))
                .transpose()?;
        }
        if step == 0 {
            keep_earlier(path)?;
        }
        files::replace(path, kept.as_bytes())?;
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(TrainError::io("open", path))?;
        let path = path.to_owned();
        Ok((Self { file, path }, damaged))
    }

    /// Appends a record; it is in the file when this returns.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn append(&mut self, metric: &MetricRecord) -> Result<(), TrainError> {
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

fn line(metric: &MetricRecord) -> String {
    let mut text = serde_json::to_string(metric).expect("a record is numbers and names");
    text.push('\n');
    text
}

/// The complete lines that are no records: how many, the number of the first, and what is wrong with it.
type Refused = (usize, usize, String);

/// The records among the complete lines, and the lines that are none. A last line without its newline is the mark of a
/// crash and left out.
fn records(bytes: &[u8]) -> (Vec<MetricRecord>, Option<Refused>) {
    let mut records = Vec::new();
    let mut refused: Option<Refused> = None;
    let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
        return (records, refused);
    };
    for (index, line) in bytes[..end].split(|byte| *byte == b'\n').enumerate() {
        match serde_json::from_slice(line) {
            Ok(record) => records.push(record),
            Err(error) => {
                let (count, first, reason) = refused.unwrap_or((0, index + 1, error.to_string()));
                refused = Some((count + 1, first, reason));
            }
        }
    }
    (records, refused)
}

/// Renames a file with content, which nothing may replace.
fn keep_earlier(path: &Path) -> Result<(), TrainError> {
    if !fs::metadata(path).is_ok_and(|file| file.len() > 0) {
        return Ok(());
    }
    let mut number = 1;
    let mut earlier = path.with_extension("earlier-1.jsonl");
    while earlier.exists() {
        number += 1;
        earlier = path.with_extension(format!("earlier-{number}.jsonl"));
    }
    fs::rename(path, &earlier).map_err(TrainError::io("rename", path))
}

/// Copies a damaged file before it is replaced.
fn set_aside(path: &Path, bytes: &[u8], step: usize, refused: Refused) -> Result<DamagedMetrics, TrainError> {
    let copy = path.with_extension(format!("damaged-{step:08}.jsonl"));
    files::replace(&copy, bytes)?;
    let (lines, first, reason) = refused;
    Ok(DamagedMetrics {
        lines,
        first,
        reason,
        copy,
    })
}

/// Reads a metrics file; a last line without its newline is the mark of a crash and left out.
///
/// # Errors
/// [`TrainError::Io`]; [`TrainError::Metrics`] for a complete line that is no record.
pub fn read_metrics(path: &Path) -> Result<Vec<MetricRecord>, TrainError> {
    let bytes = fs::read(path).map_err(TrainError::io("read", path))?;
    match records(&bytes) {
        (records, None) => Ok(records),
        (_, Some((_, line, found))) => Err(TrainError::Metrics {
            path: path.to_owned(),
            line,
            found,
        }),
    }
}
