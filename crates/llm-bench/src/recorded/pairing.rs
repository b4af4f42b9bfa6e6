//! The documents that two samples files have in common, and the outcomes of both on them.

use std::collections::HashMap;

use super::line::{Outcomes, RecordedSample, RecordedValue};
use super::{SamplesFile, refused};
use crate::{BenchError, Measure, QuestionOutcomes};

/// How two files are paired.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairOptions {
    /// Compare the documents that both files have; otherwise all of them must be the same.
    pub common: bool,
    /// A field of the documents. Those with the same value share a context and are not independent of each other.
    pub cluster: Option<String>,
}

/// Outcomes of two files on the same documents, metric by metric.
#[derive(Clone, Debug, PartialEq)]
pub struct PairedSamples {
    /// Of the first file.
    pub a: Vec<QuestionOutcomes>,
    /// Of the second file, of the same measures in the same order.
    pub b: Vec<QuestionOutcomes>,
    /// What a reader should know: prompts that differ, metrics that were left out.
    pub notes: Vec<String>,
}

/// Pairs the samples of two files, filter by filter. Documents are told apart by their SHA-256, which both programs write
/// as `doc_hash`; where a file lacks it, by number and target. Their order may differ.
///
/// # Errors
/// When the files do not hold the same documents (unless only common ones are asked for), have no filter or metric in
/// common, or a document lacks the field of its cluster.
pub fn pair_samples(a: &SamplesFile, b: &SamplesFile, options: &PairOptions) -> Result<PairedSamples, BenchError> {
    let hashed = a.samples.iter().chain(&b.samples).all(|sample| sample.hash.is_some());
    let mut paired = PairedSamples {
        a: Vec::new(),
        b: Vec::new(),
        notes: Vec::new(),
    };
    if !hashed {
        paired.notes.push(format!(
            "{}: a file without hashes of its documents; documents were paired by number and target",
            a.task
        ));
    }
    if a.task != b.task {
        paired.notes.push(format!(
            "the files are called after two tasks, {} and {}; their documents are the same",
            a.task, b.task
        ));
    }
    for filter in filters(a) {
        let pairs = Pairs::find([a, b], &filter, hashed, options.common)?;
        if let Some(pairs) = pairs {
            pairs.compare(a, options, &mut paired)?;
        } else {
            let note = format!("{}: only the first file has the filter `{filter}`", a.task);
            paired.notes.push(note);
        }
    }
    if paired.a.is_empty() {
        let found = paired.notes.join("; ");
        return Err(refused(
            &b.path,
            &format!(
                "a metric with one number per document that {} has too",
                a.path.display()
            ),
            if found.is_empty() { "none" } else { &found },
            "compare two files of the same task",
        ));
    }
    Ok(paired)
}

/// In the order of the file.
fn filters(file: &SamplesFile) -> Vec<String> {
    let mut filters: Vec<String> = Vec::new();
    for sample in &file.samples {
        if !filters.contains(&sample.filter) {
            filters.push(sample.filter.clone());
        }
    }
    filters
}

/// What tells a document of a file from the others; the last number counts its repetitions.
type Key = (String, usize);

fn keyed<'a>(file: &'a SamplesFile, filter: &str, hashed: bool) -> Vec<(Key, &'a RecordedSample)> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let samples = file.samples.iter().filter(|sample| sample.filter == filter);
    samples
        .map(|sample| {
            let name = match &sample.hash {
                Some(hash) if hashed => hash.clone(),
                _ => format!("{}: {}", sample.doc_id, sample.target),
            };
            let count = seen.entry(name.clone()).or_default();
            *count += 1;
            ((name, *count), sample)
        })
        .collect()
}

/// Samples of the same documents under one filter.
struct Pairs<'a> {
    filter: String,
    keys: Vec<String>,
    samples: Vec<[&'a RecordedSample; 2]>,
}

impl<'a> Pairs<'a> {
    /// `None` where the second file has nothing under this filter.
    fn find(files: [&'a SamplesFile; 2], filter: &str, hashed: bool, common: bool) -> Result<Option<Self>, BenchError> {
        let [first, second] = files.map(|file| keyed(file, filter, hashed));
        if second.is_empty() {
            return Ok(None);
        }
        let theirs: HashMap<&Key, &RecordedSample> = second.iter().map(|(key, sample)| (key, *sample)).collect();
        let ours: HashMap<&Key, &RecordedSample> = first.iter().map(|(key, sample)| (key, *sample)).collect();
        let only_first: Vec<u64> = missing(&first, &theirs);
        let only_second: Vec<u64> = missing(&second, &ours);
        let both = first
            .iter()
            .filter_map(|(key, sample)| Some((key, [*sample, *theirs.get(key)?])));
        let (keys, samples): (Vec<_>, Vec<_>) = both.map(|(key, samples)| (key.0.clone(), samples)).unzip();
        let differ = !only_first.is_empty() || !only_second.is_empty();
        if samples.is_empty() || (differ && !common) {
            return Err(BenchError::DifferentDocuments {
                first: files[0].path.clone(),
                second: files[1].path.clone(),
                common: samples.len(),
                only_first: counted(&only_first),
                only_second: counted(&only_second),
            });
        }
        Ok(Some(Self {
            filter: filter.to_owned(),
            keys,
            samples,
        }))
    }

    /// Adds the outcomes of every metric that is a number for each document in both files.
    fn compare(&self, file: &SamplesFile, options: &PairOptions, paired: &mut PairedSamples) -> Result<(), BenchError> {
        self.note_prompts(file, paired);
        let clusters = self.clusters(file, options.cluster.as_deref())?;
        let first = self.samples[0][0];
        for (metric, _) in &first.metrics {
            let values = [0, 1].map(|side| self.values(metric, side));
            let [Some(a), Some(b)] = values else {
                let note = format!(
                    "{}: `{metric}` is not a number for each document in both files",
                    file.task
                );
                paired.notes.push(note);
                continue;
            };
            let share = a.iter().chain(&b).all(|value| value.is_share());
            let [a, b] =
                [a, b].map(|values| self.outcomes(file, metric, &clusters, Outcomes::of(metric, &values, share)));
            paired.a.push(a);
            paired.b.push(b);
        }
        for metric in &first.left_out {
            let note = format!(
                "{}: `{metric}` has no single number per document and is left out",
                file.task
            );
            paired.notes.push(note);
        }
        Ok(())
    }

    fn note_prompts(&self, file: &SamplesFile, paired: &mut PairedSamples) {
        let differ = self.samples.iter().filter(|[a, b]| match (&a.prompt, &b.prompt) {
            (Some(a), Some(b)) => a != b,
            _ => false,
        });
        let count = differ.count();
        if count > 0 {
            paired.notes.push(format!(
                "{}: the prompts of {count} of {} documents differ, so that prompts are compared along with models",
                file.task,
                self.samples.len()
            ));
        }
    }

    fn values(&self, metric: &str, side: usize) -> Option<Vec<RecordedValue>> {
        self.samples.iter().map(|samples| samples[side].value(metric)).collect()
    }

    /// The cluster of each document; none where no field is named.
    fn clusters(&self, file: &SamplesFile, field: Option<&str>) -> Result<Vec<String>, BenchError> {
        let Some(field) = field else {
            return Ok(Vec::new());
        };
        let clusters = self.samples.iter().map(|[a, b]| {
            let value = a.fields.get(field).or_else(|| b.fields.get(field));
            value.map(ToString::to_string).ok_or_else(|| {
                refused(
                    &file.path,
                    &format!("a field `{field}` in every document, to form clusters"),
                    &format!("none in that of doc_id {}", a.doc_id),
                    "name a field that the documents have",
                )
            })
        });
        clusters.collect()
    }

    fn outcomes(&self, file: &SamplesFile, metric: &str, clusters: &[String], of: Outcomes) -> QuestionOutcomes {
        let metric = match self.filter.as_str() {
            "none" => metric.to_owned(),
            filter => format!("{metric},{filter}"),
        };
        QuestionOutcomes {
            measure: Measure {
                task: file.task.clone(),
                metric,
                higher_is_better: of.higher_is_better,
                scale: of.scale,
                chance: None,
            },
            score: of.score,
            questions: self.keys.clone(),
            values: of.values,
            clusters: clusters.to_vec(),
        }
    }
}

/// Numbers of the documents that the other file does not have.
fn missing(samples: &[(Key, &RecordedSample)], other: &HashMap<&Key, &RecordedSample>) -> Vec<u64> {
    let missing = samples.iter().filter(|(key, _)| !other.contains_key(key));
    missing.map(|(_, sample)| sample.doc_id).collect()
}

/// For instance `75 (doc_id 25, 26, 27, ..)`.
fn counted(numbers: &[u64]) -> String {
    if numbers.is_empty() {
        return "0".to_owned();
    }
    let first: Vec<String> = numbers.iter().take(5).map(u64::to_string).collect();
    let more = if numbers.len() > 5 { ", .." } else { "" };
    format!("{} (doc_id {}{more})", numbers.len(), first.join(", "))
}
