//! Samples files of an earlier evaluation, by this program or lm-evaluation-harness, and the documents that two of them
//! share.
//!
//! `recorded/line.rs` reads one sample, `recorded/pairing.rs` finds the documents of two files that are the same.

mod line;
mod pairing;

use std::path::{Path, PathBuf};

use record_files::Records;
use serde_json::Value;

use crate::{BenchError, Document};
pub(crate) use line::RecordedSample;
pub use pairing::{PairOptions, PairedSamples, pair_samples};

/// The samples of one task.
#[derive(Clone, Debug)]
pub struct SamplesFile {
    path: PathBuf,
    task: String,
    samples: Vec<RecordedSample>,
}

impl SamplesFile {
    /// Reads `samples_<task>_<date>.jsonl`, one JSON object per line, or a JSON file whose field `samples` is a list of
    /// such objects or has one list.
    ///
    /// # Errors
    /// When the file cannot be read, is neither of these, holds no sample, or a sample lacks its document's number or
    /// every metric.
    pub fn read(path: &Path) -> Result<Self, BenchError> {
        let (task, objects) = if path.extension().is_some_and(|extension| extension == "json") {
            of_json(path)?
        } else {
            (None, of_lines(path)?)
        };
        let samples = objects.iter().enumerate();
        let samples = samples.map(|(index, object)| RecordedSample::read(path, index + 1, object));
        let samples = samples.collect::<Result<Vec<_>, _>>()?;
        if samples.is_empty() {
            return Err(refused(
                path,
                "at least one sample",
                "none",
                "evaluate with --log-samples",
            ));
        }
        Ok(Self {
            path: path.to_owned(),
            task: task.unwrap_or_else(|| task_of(path)),
            samples,
        })
    }

    /// Reads one file, or from a folder the newest samples file of every task. They may lie up to three folders below
    /// it, as an evaluation writes them into a folder of the model, but in one folder only.
    ///
    /// # Errors
    /// As [`SamplesFile::read`], and for a folder without samples files or with those of several models.
    pub fn read_all(path: &Path) -> Result<Vec<Self>, BenchError> {
        if !path.is_dir() {
            return Ok(vec![Self::read(path)?]);
        }
        let mut files = Vec::new();
        find(path, 3, &mut files)?;
        let Some(folder) = files.first().and_then(|file| file.parent()) else {
            let expected = "files called samples_<task>_<date>.jsonl";
            return Err(refused(
                path,
                expected,
                "none of them",
                "evaluate with --output-path and --log-samples",
            ));
        };
        if let Some(other) = files.iter().find(|file| file.parent() != Some(folder)) {
            let found = format!("{} and {}", files[0].display(), other.display());
            return Err(refused(
                path,
                "samples files in one folder",
                &found,
                "name the folder of one model",
            ));
        }
        newest_of_each_task(files).iter().map(|file| Self::read(file)).collect()
    }

    /// The task, from the name of the file.
    pub fn task(&self) -> &str {
        &self.task
    }

    /// The path that it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn of_lines(path: &Path) -> Result<Vec<Document>, BenchError> {
    let records = Records::open(path)?;
    let objects = records.map(|record| Ok(record?.fields));
    objects.collect()
}

/// The samples of a JSON file, and the task if the file names one.
fn of_json(path: &Path) -> Result<(Option<String>, Vec<Document>), BenchError> {
    let text = std::fs::read_to_string(path).map_err(|source| not_read(path, source))?;
    let file: Value = serde_json::from_str(&text).map_err(|error| {
        let remedy = "give a samples file, or a JSON file with samples";
        refused(path, "JSON", &error.to_string(), remedy)
    })?;
    match &file["samples"] {
        Value::Array(samples) => Ok((None, objects(path, samples)?)),
        Value::Object(tasks) if tasks.len() == 1 => {
            let (task, samples) = tasks.iter().next().expect("there is one");
            let samples = samples.as_array().map_or(&[][..], Vec::as_slice);
            Ok((Some(task.clone()), objects(path, samples)?))
        }
        Value::Object(tasks) => {
            let found = format!("the samples of {} tasks", tasks.len());
            Err(refused(
                path,
                "the samples of one task",
                &found,
                "give one file for each task",
            ))
        }
        _ => Err(refused(
            path,
            "a list in its field `samples`",
            "none",
            "give a samples file (samples_*.jsonl), which --log-samples writes next to the results",
        )),
    }
}

fn objects(path: &Path, samples: &[Value]) -> Result<Vec<Document>, BenchError> {
    let objects = samples.iter().enumerate().map(|(index, sample)| {
        let object = sample.as_object().cloned();
        object.ok_or_else(|| refused_sample(path, index + 1, "a JSON object", "another value"))
    });
    objects.collect()
}

/// The `<task>` of `samples_<task>_<date>`.
fn task_of(path: &Path) -> String {
    let stem = path
        .file_stem()
        .map_or(String::new(), |stem| stem.to_string_lossy().into_owned());
    let Some(rest) = stem.strip_prefix("samples_") else {
        return stem;
    };
    match rest.rsplit_once('_') {
        Some((task, date)) if date.starts_with(|c: char| c.is_ascii_digit()) && date.contains('T') => task.to_owned(),
        _ => rest.to_owned(),
    }
}

/// Samples files in a folder and in folders up to `levels` levels below it.
fn find(folder: &Path, levels: usize, files: &mut Vec<PathBuf>) -> Result<(), BenchError> {
    for entry in std::fs::read_dir(folder).map_err(|source| not_read(folder, source))? {
        let path = entry.map_err(|source| not_read(folder, source))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        if name.is_some_and(|name| name.starts_with("samples_") && name.ends_with(".jsonl")) {
            files.push(path);
        } else if levels > 0 && path.is_dir() {
            find(&path, levels - 1, files)?;
        }
    }
    Ok(())
}

/// Names end in the date, so that of one task's files the last in the order of names is the newest.
fn newest_of_each_task(mut files: Vec<PathBuf>) -> Vec<PathBuf> {
    files.sort();
    files.reverse();
    let mut newest: Vec<PathBuf> = Vec::new();
    for file in files {
        if !newest.iter().any(|newer| task_of(newer) == task_of(&file)) {
            newest.push(file);
        }
    }
    newest.reverse();
    newest
}

fn not_read(path: &Path, source: std::io::Error) -> BenchError {
    BenchError::Read {
        path: path.to_owned(),
        source,
    }
}

fn refused(path: &Path, expected: &str, found: &str, remedy: &str) -> BenchError {
    BenchError::Samples {
        place: path.display().to_string(),
        expected: expected.to_owned(),
        found: found.to_owned(),
        remedy: remedy.to_owned(),
    }
}

fn refused_sample(path: &Path, number: usize, expected: &str, found: &str) -> BenchError {
    let place = format!("{}, sample {number}", path.display());
    BenchError::Samples {
        place,
        expected: expected.to_owned(),
        found: found.to_owned(),
        remedy: "give a file that --log-samples wrote".to_owned(),
    }
}
