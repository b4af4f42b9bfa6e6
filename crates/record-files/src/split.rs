//! Determines which files of a data set contain a split.

use std::collections::BTreeSet;

use crate::RecordError;

/// How the name of a split is matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitMatch {
    /// The split of exactly this name. Suitable for a benchmark, whose scores belong to one split.
    Exact,
    /// The split of this name or, if there is none, the only one whose name starts with it and an underscore:
    /// `train_sft` for `train`. Suitable for training data, whose splits are often named in this way.
    OrVariant,
}

/// A data file's place in the common layouts.
struct DataFile<'a> {
    name: &'a str,
    parquet: bool,
    configuration: String,
    split: &'a str,
    /// `00000-of-00002`: how many files the split has.
    shards: Option<usize>,
}

/// The files of a data set that hold a split of a configuration, sorted: Parquet files if there are any, else JSONL.
///
/// The known layouts are those that the hub reads by default: `<split>.parquet` and `<split>-00000-of-00002.parquet`,
/// below `data/`, below `<configuration>/` or below both, and `<configuration>/<split>/0000.parquet`. If no
/// configuration is given, it is the only one or the one named `default`.
///
/// # Errors
/// [`RecordError::Split`] names `place`, what was expected and what was found.
pub fn split_files(
    place: &str,
    names: &[impl AsRef<str>],
    configuration: Option<&str>,
    split: &str,
    matching: SplitMatch,
) -> Result<Vec<String>, RecordError> {
    let mut files: Vec<DataFile> = names.iter().filter_map(|name| DataFile::read(name.as_ref())).collect();
    let wanted = match configuration {
        Some(name) => format!("split `{split}` of configuration `{name}`"),
        None => format!("split `{split}`"),
    };
    let expected = format!("{wanted} in .parquet or .jsonl files");
    let chosen = choose_configuration(&files, configuration).map_err(|found| refusal(place, &expected, found))?;
    files.retain(|file| file.configuration == chosen);
    let chosen = choose_split(&files, split, matching).map_err(|found| refusal(place, &expected, found))?;
    files.retain(|file| file.split == chosen);
    let parquet = files.iter().any(|file| file.parquet);
    files.retain(|file| file.parquet == parquet);
    let told = files.iter().filter_map(|file| file.shards);
    if let Some(shards) = told.max().filter(|shards| *shards != files.len()) {
        let found = format!("{} files", files.len());
        return Err(refusal(place, &format!("{wanted} in {shards} files"), found));
    }
    let mut names: Vec<String> = files.iter().map(|file| file.name.to_owned()).collect();
    names.sort();
    Ok(names)
}

fn refusal(place: &str, expected: &str, found: String) -> RecordError {
    RecordError::Split {
        place: place.to_owned(),
        expected: expected.to_owned(),
        found,
    }
}

fn choose_configuration(files: &[DataFile], wanted: Option<&str>) -> Result<String, String> {
    let known: BTreeSet<&str> = files.iter().map(|file| file.configuration.as_str()).collect();
    let chosen = match wanted {
        Some(name) => known
            .iter()
            .find(|known| **known == name || is_default(name) && known.is_empty()),
        None if known.len() == 1 => known.first(),
        None => known.iter().find(|known| is_default(known)),
    };
    let chosen = chosen.map(|name| (*name).to_owned());
    chosen.ok_or_else(|| list("the configurations", known))
}

fn is_default(configuration: &str) -> bool {
    matches!(configuration, "" | "default")
}

fn choose_split<'a>(files: &[DataFile<'a>], wanted: &str, matching: SplitMatch) -> Result<&'a str, String> {
    let known: BTreeSet<&str> = files.iter().map(|file| file.split).collect();
    if let Some(exact) = known.get(wanted) {
        return Ok(*exact);
    }
    let mut variants = known.iter().filter(|name| is_variant(name, wanted));
    match (matching, variants.next(), variants.next()) {
        (SplitMatch::OrVariant, Some(only), None) => Ok(*only),
        _ => Err(list("the splits", known)),
    }
}

fn is_variant(name: &str, split: &str) -> bool {
    name.strip_prefix(split).is_some_and(|rest| rest.starts_with('_'))
}

fn list(what: &str, names: BTreeSet<&str>) -> String {
    if names.is_empty() {
        return "no such file".to_owned();
    }
    format!("{what} {}", names.into_iter().collect::<Vec<_>>().join(", "))
}

impl<'a> DataFile<'a> {
    fn read(name: &'a str) -> Option<Self> {
        let (path, parquet) = match name.strip_suffix(".parquet") {
            Some(path) => (path, true),
            None => (name.strip_suffix(".jsonl")?, false),
        };
        let mut folders: Vec<&str> = path.split('/').collect();
        let stem = folders.pop()?;
        if folders.first() == Some(&"data") {
            folders.remove(0);
        }
        let numbered = !stem.is_empty() && stem.bytes().all(|byte| byte.is_ascii_digit());
        let (split, shards) = match (numbered, folders.last()) {
            (true, Some(_)) => (folders.pop()?, None),
            _ => shard(stem),
        };
        Some(Self {
            name,
            parquet,
            configuration: folders.join("/"),
            split,
            shards,
        })
    }
}

/// `train-00000-of-00002`, with a hash after it in old data sets.
fn shard(stem: &str) -> (&str, Option<usize>) {
    let Some((before, after)) = stem.split_once("-of-") else {
        return (stem, None);
    };
    let count = after.split_once('-').map_or(after, |(count, _)| count);
    match before.rsplit_once('-') {
        Some((split, index)) if is_number(index) && is_number(count) => (split, count.parse().ok()),
        _ => (stem, None),
    }
}

/// Four digits or more: `00000` of a shard, not the year of a name.
fn is_number(text: &str) -> bool {
    text.len() >= 4 && text.bytes().all(|byte| byte.is_ascii_digit())
}
