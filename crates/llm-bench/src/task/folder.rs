//! [`FolderReport`]: which files of a folder load, and why the others do not.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_yaml_ng::Mapping;

use super::Task;
use super::catalogue::{Catalogue, Leaf, Resolved, text, yaml_files};
use super::group::group_error;
use super::source::{self, Place};
use crate::BenchError;

/// Files named for each reason.
const EXAMPLES: usize = 3;

/// What every `.yaml` file below a folder is worth.
#[derive(Debug, Default)]
pub struct FolderReport {
    /// Files that are a task which loads.
    pub tasks: usize,
    /// Files that are a group which loads.
    pub groups: usize,
    /// Groups among them of which a task is refused, so that they cannot be evaluated as a whole.
    pub incomplete_groups: usize,
    /// The refused files and why, in the order of their paths.
    pub refused: Vec<(PathBuf, BenchError)>,
}

impl FolderReport {
    /// Loads every file. A group loads if all its members are known, none of them by way of itself, and take the keys
    /// it gives them.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn of(folder: &Path) -> Result<Self, BenchError> {
        let mut catalogue = Catalogue::builtin()?;
        catalogue.include(folder)?;
        let mut report = Self::default();
        let mut loaded = BTreeMap::new();
        let mut groups = Vec::new();
        for path in yaml_files(folder)? {
            match load(&path) {
                Ok(Loaded::Task(name)) => {
                    report.tasks += 1;
                    loaded.insert(name, true);
                }
                Ok(Loaded::Group(name, keys)) => groups.push((path, name, keys)),
                Err(error) => report.refused.push((path, error)),
            }
        }
        for (path, name, keys) in groups {
            match complete(&catalogue, &name, keys, &mut loaded) {
                Ok(complete) => {
                    report.groups += 1;
                    report.incomplete_groups += usize::from(!complete);
                }
                Err(error) => report.refused.push((path, error)),
            }
        }
        report.refused.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(report)
    }

    /// Files that load.
    pub fn accepted(&self) -> usize {
        self.tasks + self.groups
    }

    /// The refused files by reason, the most frequent first.
    pub fn reasons(&self) -> Vec<(String, Vec<&Path>)> {
        let mut reasons: BTreeMap<String, Vec<&Path>> = BTreeMap::new();
        for (path, error) in &self.refused {
            reasons.entry(reason(error)).or_default().push(path);
        }
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_by_key(|(_, paths)| std::cmp::Reverse(paths.len()));
        reasons
    }
}

/// As a table of reasons. The last line is the sum.
impl fmt::Display for FolderReport {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{:>6}  tasks load", self.tasks)?;
        write!(f, "{:>6}  groups load", self.groups)?;
        if self.incomplete_groups > 0 {
            write!(f, ", {} of them with tasks that do not", self.incomplete_groups)?;
        }
        writeln!(f)?;
        for (reason, paths) in self.reasons() {
            writeln!(f, "{:>6}  refused: {reason}", paths.len())?;
            for path in paths.iter().take(EXAMPLES) {
                writeln!(f, "          {}", path.display())?;
            }
        }
        let (accepted, refused) = (self.accepted(), self.refused.len());
        write!(
            f,
            "accepted {accepted} of {} files; refused {refused}",
            accepted + refused
        )
    }
}

enum Loaded {
    Task(String),
    Group(String, Mapping),
}

fn load(path: &Path) -> Result<Loaded, BenchError> {
    let place = Place::File(path.to_owned());
    let keys = source::keys(&place)?;
    if let Some(name) = text(&keys, "group") {
        return Ok(Loaded::Group(name, keys));
    }
    if !keys.contains_key("task") {
        let problem = "the file names neither a task nor a group: others may include it";
        return Err(group_error(&place.to_string(), "task", problem));
    }
    Task::from_keys(keys, &place.to_string()).map(|task| Loaded::Task(task.task))
}

/// Whether all tasks of a group load. `loaded` knows the tasks that were tried without a group's keys.
fn complete(
    catalogue: &Catalogue,
    name: &str,
    keys: Mapping,
    loaded: &mut BTreeMap<String, bool>,
) -> Result<bool, BenchError> {
    let mut resolved = Resolved::default();
    catalogue.group(name, keys, Mapping::new(), &mut Vec::new(), &mut resolved)?;
    let mut complete = true;
    for leaf in &resolved.leaves {
        let alone = *loaded.entry(leaf.name.clone()).or_insert_with(|| loads_alone(leaf));
        if alone && !leaf.overrides.is_empty() {
            // What is wrong now is what the group says.
            leaf.open()?;
        }
        complete &= alone;
    }
    Ok(complete)
}

/// Whether a member loads with its own keys; one that the group spells out has no other.
fn loads_alone(leaf: &Leaf) -> bool {
    leaf.place.is_none() || leaf.with_own_keys().is_ok()
}

/// What errors of one kind have in common.
fn reason(error: &BenchError) -> String {
    match error {
        BenchError::TaskTag { tag, key, .. } => {
            let key = key.split('.').next().unwrap_or(key);
            format!("{tag} in `{key}`: Python functions cannot be called")
        }
        BenchError::TaskSyntax { source, .. } => {
            let message = source.to_string();
            message.split(" at line").next().unwrap_or(&message).to_owned()
        }
        BenchError::TaskField { field, problem, .. } => format!("`{field}`: {problem}"),
        BenchError::Include { problem, .. } => format!("`include`: {problem}"),
        BenchError::Read { source, .. } => format!("cannot be read: {source}"),
        BenchError::Template { field, source, .. } => format!("`{field}`: {source}"),
        other => other.to_string(),
    }
}
