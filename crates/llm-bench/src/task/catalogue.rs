//! [`Catalogue`]: tasks, groups and tags by their names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_yaml_ng::{Mapping, Value};

use super::group::{Group, GroupKeys, Member, group_error, without};
use super::pattern::{self, is_pattern};
use super::source::{self, Place};
use super::{Task, builtin, tag};
use crate::BenchError;

/// Tasks and groups of one selection, those counted that a group names twice.
const MAX_MEMBERS: usize = 20_000;

/// Tasks, groups and tags that can be asked for by name.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug)]
pub(super) enum Entry {
    Task(Place),
    Group(Place),
    /// Names of the tasks with this tag.
    Tag(BTreeSet<String>),
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// The tasks, each once.
    pub tasks: Vec<Task>,
    /// The groups they were asked for by, and the groups within those.
    pub groups: Vec<Group>,
}

/// A task before it is read.
pub(super) struct Leaf {
    pub(super) name: String,
    /// Where its keys are; `None` for a task that a group spells out.
    pub(super) place: Option<Place>,
    /// Keys that replace its own.
    pub(super) overrides: Mapping,
}

impl Leaf {
    pub(super) fn open(&self) -> Result<Task, BenchError> {
        self.opened(&self.overrides)
    }

    /// The task without the keys of its groups.
    pub(super) fn with_own_keys(&self) -> Result<Task, BenchError> {
        self.opened(&Mapping::new())
    }

    fn opened(&self, overrides: &Mapping) -> Result<Task, BenchError> {
        let mut keys = match &self.place {
            Some(place) => source::keys(place)?,
            None => Mapping::new(),
        };
        keys.extend(overrides.clone());
        let origin = self.place.as_ref().map_or_else(|| self.name.clone(), Place::to_string);
        Task::from_keys(keys, &origin)
    }
}

#[derive(Default)]
pub(super) struct Resolved {
    pub(super) leaves: Vec<Leaf>,
    groups: Vec<Group>,
    members: usize,
}

impl Catalogue {
    /// The tasks that ship with the crate.
    ///
    /// # Errors
    /// Never, save for a mistake in this crate.
    pub fn builtin() -> Result<Self, BenchError> {
        let mut catalogue = Self::default();
        for (name, text) in builtin::files() {
            let place = Place::Builtin(name, text);
            let keys = source::keys(&place)?;
            catalogue.add(&keys, place)?;
        }
        Ok(catalogue)
    }

    /// Adds every `.yaml` file below a folder; its names go before those known. Returns the files that name neither a
    /// task nor a group, or cannot be read, and why: bases that others include are among them.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn include(&mut self, folder: &Path) -> Result<Vec<(PathBuf, BenchError)>, BenchError> {
        let (mut added, mut left_out) = (Self::default(), Vec::new());
        for path in yaml_files(folder)? {
            let place = Place::File(path.clone());
            let read = source::keys(&place).and_then(|keys| added.add(&keys, place));
            left_out.extend(read.err().map(|error| (path, error)));
        }
        for (name, entry) in added.entries {
            match (self.entries.get_mut(&name), entry) {
                (Some(Entry::Tag(known)), Entry::Tag(more)) => known.extend(more),
                (_, entry) => drop(self.entries.insert(name, entry)),
            }
        }
        Ok(left_out)
    }

    /// The first file of a name keeps it.
    fn add(&mut self, keys: &Mapping, place: Place) -> Result<(), BenchError> {
        let origin = place.to_string();
        if let Some(name) = text(keys, "group") {
            self.entries.entry(name).or_insert(Entry::Group(place));
            return Ok(());
        }
        let Some(name) = text(keys, "task") else {
            return Err(group_error(
                &origin,
                "task",
                "the file names neither a task nor a group",
            ));
        };
        for tag in tags(keys) {
            let entry = self.entries.entry(tag).or_insert_with(|| Entry::Tag(BTreeSet::new()));
            if let Entry::Tag(tasks) = entry {
                tasks.insert(name.clone());
            }
        }
        self.entries.entry(name).or_insert(Entry::Task(place));
        Ok(())
    }

    /// Every name, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Opens what the names stand for: a task, a group, a tag, a pattern with `*`, `?` or `[..]` over all names, or the
    /// path of a `.yaml` file.
    ///
    /// # Errors
    /// [`BenchError::UnknownTask`] for a name that is none of these; [`BenchError::TaskField`] for a group that contains
    /// itself or a member that is unknown; [`BenchError::DuplicateTask`] for two tasks of one name that differ; otherwise
    /// as [`Task::from_yaml`].
    pub fn open(&self, names: &[String]) -> Result<Selection, BenchError> {
        let mut resolved = Resolved::default();
        for name in self.expanded(names)? {
            self.resolve(&name, &mut resolved)?;
        }
        let mut selection = Selection::default();
        for leaf in &resolved.leaves {
            let task = leaf.open()?;
            match selection.tasks.iter().find(|known| known.task == task.task) {
                None => selection.tasks.push(task),
                Some(known) if *known == task => {}
                Some(_) => return Err(BenchError::DuplicateTask { task: task.task }),
            }
        }
        for group in resolved.groups {
            if !selection.groups.iter().any(|known| known.group == group.group) {
                selection.groups.push(group);
            }
        }
        Ok(selection)
    }

    /// Names for patterns.
    fn expanded(&self, names: &[String]) -> Result<Vec<String>, BenchError> {
        let mut expanded = Vec::new();
        for name in names {
            if self.entries.contains_key(name) || is_path(name) || !is_pattern(name) {
                expanded.push(name.clone());
                continue;
            }
            let matching = self.names().filter(|known| pattern::matches(name, known));
            let before = expanded.len();
            expanded.extend(matching.map(str::to_owned));
            if expanded.len() == before {
                return Err(self.unknown(name));
            }
        }
        Ok(expanded)
    }

    fn resolve(&self, name: &str, resolved: &mut Resolved) -> Result<(), BenchError> {
        if self.entries.contains_key(name) {
            return self.member(name, Mapping::new(), &mut Vec::new(), resolved).map(drop);
        }
        if !is_path(name) {
            return Err(self.unknown(name));
        }
        let place = Place::File(PathBuf::from(name));
        let keys = source::keys(&place)?;
        match text(&keys, "group") {
            Some(group) => self.group(&group, keys, Mapping::new(), &mut Vec::new(), resolved),
            None => {
                resolved.leaves.push(Leaf {
                    name: name.to_owned(),
                    place: Some(place),
                    overrides: Mapping::new(),
                });
                Ok(())
            }
        }
    }

    fn unknown(&self, name: &str) -> BenchError {
        BenchError::UnknownTask {
            name: name.to_owned(),
            known: self.names().collect::<Vec<_>>().join(", "),
        }
    }

    /// A task, group or tag of this catalogue: the names of the tasks and groups it stands for.
    fn member(
        &self,
        name: &str,
        overrides: Mapping,
        stack: &mut Vec<String>,
        resolved: &mut Resolved,
    ) -> Result<Vec<String>, BenchError> {
        match self.entries.get(name) {
            Some(Entry::Task(place)) => {
                resolved.leaves.push(Leaf {
                    name: name.to_owned(),
                    place: Some(place.clone()),
                    overrides,
                });
                Ok(vec![name.to_owned()])
            }
            Some(Entry::Group(place)) => {
                self.group(name, source::keys(place)?, overrides, stack, resolved)?;
                Ok(vec![name.to_owned()])
            }
            Some(Entry::Tag(tasks)) => {
                for task in tasks {
                    self.member(task, overrides.clone(), stack, resolved)?;
                }
                Ok(tasks.iter().cloned().collect())
            }
            None => Err(self.unknown(name)),
        }
    }

    /// The tasks and groups in a group. `stack` holds the groups it is in.
    pub(super) fn group(
        &self,
        name: &str,
        keys: Mapping,
        overrides: Mapping,
        stack: &mut Vec<String>,
        resolved: &mut Resolved,
    ) -> Result<(), BenchError> {
        if stack.iter().any(|outer| outer == name) {
            let problem = format!("the group contains itself, by way of {}", stack.join(", "));
            return Err(group_error(name, "task", problem));
        }
        tag::refuse(name, &keys)?;
        let keys = GroupKeys::read(name, keys)?;
        let mut passed = keys.overrides;
        passed.extend(overrides);
        let (leaves, at) = (resolved.leaves.len(), resolved.groups.len());
        stack.push(name.to_owned());
        let mut members = Vec::new();
        for member in keys.members {
            resolved.members += 1;
            if resolved.members > MAX_MEMBERS {
                let problem = format!("more than {MAX_MEMBERS} members, those of its groups counted each time");
                return Err(group_error(name, "task", problem));
            }
            members.extend(self.group_member(name, member, &passed, stack, resolved)?);
        }
        stack.pop();
        let mut tasks: Vec<String> = Vec::new();
        for leaf in &resolved.leaves[leaves..] {
            if !tasks.contains(&leaf.name) {
                tasks.push(leaf.name.clone());
            }
        }
        let group = Group {
            group: name.to_owned(),
            alias: keys.alias,
            members,
            tasks,
            aggregate_metric_list: keys.aggregate_metric_list,
            version: keys.version,
        };
        resolved.groups.insert(at, group);
        Ok(())
    }

    fn group_member(
        &self,
        group: &str,
        member: Member,
        passed: &Mapping,
        stack: &mut Vec<String>,
        resolved: &mut Resolved,
    ) -> Result<Vec<String>, BenchError> {
        let mut overrides = passed.clone();
        match member {
            Member::Group(name, keys) if self.entries.contains_key(&name) => {
                overrides.extend(without(
                    keys,
                    &["group", "group_alias", "task", "aggregate_metric_list"],
                ));
                self.member(&name, overrides, stack, resolved)
            }
            Member::Group(name, keys) => {
                let name = format!("{group}::{name}");
                self.group(&name, keys, overrides, stack, resolved)?;
                Ok(vec![name])
            }
            Member::Named(name, keys) if self.entries.contains_key(&name) => {
                overrides.extend(keys);
                self.member(&name, overrides, stack, resolved)
            }
            Member::Named(name, keys) if keys.is_empty() => {
                let problem = format!("the member `{name}` is no known task, group or tag");
                Err(group_error(group, "task", problem))
            }
            Member::Named(name, keys) => {
                let name = format!("{group}::{name}");
                overrides.extend(keys);
                overrides.insert("task".into(), name.clone().into());
                let leaf = Leaf {
                    name: name.clone(),
                    place: None,
                    overrides,
                };
                resolved.leaves.push(leaf);
                Ok(vec![name])
            }
        }
    }
}

fn is_path(name: &str) -> bool {
    name.ends_with(".yaml") || name.ends_with(".yml")
}

/// A key's value, if it is text.
pub(super) fn text(keys: &Mapping, key: &str) -> Option<String> {
    keys.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn tags(keys: &Mapping) -> Vec<String> {
    match keys.get("tag") {
        Some(Value::String(tag)) => vec![tag.clone()],
        Some(Value::Sequence(tags)) => tags.iter().filter_map(|tag| tag.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

/// The `.yaml` files below a folder in the order of their paths; links to folders are not followed.
pub(super) fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>, BenchError> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>());
        for entry in entries.map_err(|source| unreadable(&folder, source))? {
            let kind = entry.file_type().map_err(|source| unreadable(&folder, source))?;
            let path = entry.path();
            if kind.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn unreadable(folder: &Path, source: std::io::Error) -> BenchError {
    BenchError::Read {
        path: folder.to_owned(),
        source,
    }
}
