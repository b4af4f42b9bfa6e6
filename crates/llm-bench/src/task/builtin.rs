//! The task files that ship with the crate, compiled into it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Task;
use super::catalogue::Catalogue;
use crate::BenchError;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../tasks/", $name, ".yaml")))),*]
    };
}

/// Files that are a task or a group, or that others include.
static FILES: &[(&str, &str)] = &files![
    "_mmlu",
    "_mmlu_continuation",
    "_mmlu_generative",
    "_mmlu_subject",
    "arc_challenge",
    "arc_easy",
    "commonsense_qa",
    "gsm8k",
    "gsm8k_cot",
    "hellaswag",
    "ifeval",
    "lambada_openai",
    "mmlu",
    "mmlu_continuation",
    "mmlu_generative",
    "mmlu_humanities",
    "mmlu_other",
    "mmlu_social_sciences",
    "mmlu_stem",
    "openbookqa",
    "piqa",
    "truthfulqa_mc1",
    "truthfulqa_mc2",
    "winogrande",
];

/// Files that stand for one task per member.
#[derive(Deserialize)]
struct Family {
    files: Vec<String>,
    /// Names of the members by group.
    members: BTreeMap<String, Vec<String>>,
}

impl Family {
    fn texts(&self) -> impl Iterator<Item = (String, String)> {
        let members = self.members.iter();
        let members = members.flat_map(|(group, names)| names.iter().map(move |name| (group, name)));
        members.flat_map(|(group, name)| self.files.iter().map(move |file| member(file, group, name)))
    }
}

/// The text of a member and its name, which is that of the task.
fn member(file: &str, group: &str, name: &str) -> (String, String) {
    let (_, text) = FILES
        .iter()
        .find(|(known, _)| *known == file)
        .expect("families.yaml names files of the table");
    let text = text.replace("<title>", &name.replace('_', " "));
    let text = text.replace("<name>", name).replace("<group>", group);
    let task = text.lines().find_map(|line| line.strip_prefix("task: "));
    (task.expect("the file of a family names its task").to_owned(), text)
}

/// Every file and its text, those of families written out.
pub(super) fn files() -> Vec<(String, String)> {
    let families: Vec<Family> =
        serde_yaml_ng::from_str(include_str!("../../tasks/families.yaml")).expect("a file of this crate is valid");
    let files = FILES.iter().map(|&(name, text)| (name.to_owned(), text.to_owned()));
    // Files that others include begin with an underscore.
    let files = files.filter(|(name, _)| !name.starts_with('_'));
    files.chain(families.iter().flat_map(Family::texts)).collect()
}

/// A file that another one includes.
pub(super) fn included(name: &str) -> Result<String, BenchError> {
    let name = name.strip_suffix(".yaml").unwrap_or(name);
    let found = FILES.iter().find(|(known, _)| *known == name);
    found
        .map(|(_, text)| (*text).to_owned())
        .ok_or_else(|| BenchError::Include {
            path: name.to_owned(),
            problem: "no built-in file has this name".to_owned(),
        })
}

pub(super) fn names() -> Vec<String> {
    let tasks = files()
        .into_iter()
        .filter(|(_, text)| !text.lines().any(|line| line.starts_with("group: ")));
    let mut names: Vec<String> = tasks.map(|(name, _)| name).collect();
    names.sort();
    names
}

pub(super) fn load(name: &str) -> Result<Task, BenchError> {
    let selection = Catalogue::builtin()?.open(&[name.to_owned()])?;
    match <[Task; 1]>::try_from(selection.tasks) {
        Ok([task]) if task.task == name => Ok(task),
        _ => Err(BenchError::UnknownTask {
            name: name.to_owned(),
            known: names().join(", "),
        }),
    }
}
