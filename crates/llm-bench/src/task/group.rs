//! [`Group`]: tasks whose scores are put together.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use serde_yaml_ng::{Mapping, Value};

use super::catalogue::text;
use super::keys::StringOrList;
use crate::BenchError;

/// Tasks under one name, and the scores made of theirs.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The group's name.
    pub group: String,
    /// The name printed in tables.
    pub alias: Option<String>,
    /// Names of the tasks and groups in it.
    pub members: Vec<String>,
    /// Names of all tasks in it and in its groups.
    pub tasks: Vec<String>,
    /// The scores that are made of those of the tasks.
    pub aggregate_metric_list: Vec<GroupMetric>,
    /// `metadata.version`, as in [`Task::version`](super::Task::version).
    pub version: Json,
}

/// A score of a group: the mean of a metric over its tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupMetric {
    /// The metric's name.
    pub metric: String,
    /// Names of filters; those under which any task has the metric when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_list: Option<StringOrList>,
    /// `mean` is the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregation: Option<String>,
    /// Whether a task counts by its documents.
    #[serde(default = "counted_by_documents")]
    pub weight_by_size: bool,
}

fn counted_by_documents() -> bool {
    true
}

/// Keys of a group that are not passed on to its members.
const GROUP_KEYS: [&str; 5] = ["group", "group_alias", "task", "aggregate_metric_list", "metadata"];

/// A group's file, or a group within another.
pub(super) struct GroupKeys {
    pub(super) alias: Option<String>,
    pub(super) members: Vec<Member>,
    pub(super) aggregate_metric_list: Vec<GroupMetric>,
    pub(super) version: Json,
    /// Keys of tasks that replace the members' own.
    pub(super) overrides: Mapping,
}

/// An entry of a group's `task`.
pub(super) enum Member {
    /// A task, group or tag of this name; the keys replace its own.
    Named(String, Mapping),
    /// A group of this name, or one written out here.
    Group(String, Mapping),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(GroupMetric),
    Many(Vec<GroupMetric>),
}

impl GroupKeys {
    pub(super) fn read(name: &str, keys: Mapping) -> Result<Self, BenchError> {
        let alias = match keys.get("group_alias") {
            None | Some(Value::Null) => None,
            Some(Value::String(alias)) => Some(alias.clone()),
            Some(_) => return Err(group_error(name, "group_alias", "a text is expected")),
        };
        let Some(Value::Sequence(entries)) = keys.get("task") else {
            return Err(group_error(name, "task", "a list of members is expected"));
        };
        let members = entries.iter().map(|entry| member(name, entry));
        let version = keys.get("metadata").and_then(|metadata| metadata.get("version"));
        let version = version.and_then(|version| serde_json::to_value(version).ok());
        Ok(Self {
            alias,
            members: members.collect::<Result<_, _>>()?,
            aggregate_metric_list: metrics(name, keys.get("aggregate_metric_list"))?,
            version: version.unwrap_or_else(|| Json::from("N/A")),
            overrides: without(keys, &GROUP_KEYS),
        })
    }
}

/// A mapping without some keys. A group's tag says nothing about its members.
pub(super) fn without(keys: Mapping, left_out: &[&str]) -> Mapping {
    let kept = keys
        .into_iter()
        .filter(|(key, _)| key.as_str().is_none_or(|key| key != "tag" && !left_out.contains(&key)));
    kept.collect()
}

pub(super) fn group_error(group: &str, field: &'static str, problem: impl Into<String>) -> BenchError {
    BenchError::TaskField {
        task: group.to_owned(),
        field,
        problem: problem.into(),
    }
}

fn member(group: &str, entry: &Value) -> Result<Member, BenchError> {
    match entry {
        Value::String(name) => Ok(Member::Named(name.clone(), Mapping::new())),
        Value::Mapping(keys) => {
            if let Some(name) = text(keys, "group") {
                return Ok(Member::Group(name, keys.clone()));
            }
            match text(keys, "task") {
                Some(name) => Ok(Member::Named(name, without(keys.clone(), &["task"]))),
                None => Err(group_error(group, "task", "a member needs a `task` or a `group`")),
            }
        }
        _ => Err(group_error(
            group,
            "task",
            "a member is a name, or keys with `task` or `group`",
        )),
    }
}

fn metrics(group: &str, value: Option<&Value>) -> Result<Vec<GroupMetric>, BenchError> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Ok(Vec::new());
    };
    let read: Result<OneOrMany, _> = serde_yaml_ng::from_value(value.clone());
    let metrics = match read {
        Ok(OneOrMany::One(metric)) => vec![metric],
        Ok(OneOrMany::Many(metrics)) => metrics,
        Err(_) => {
            let problem = "an entry has `metric` and, if need be, `filter_list`, `aggregation` and `weight_by_size`";
            return Err(group_error(group, "aggregate_metric_list", problem));
        }
    };
    for metric in &metrics {
        if let Some(other) = metric.aggregation.as_ref().filter(|name| *name != "mean") {
            let problem = format!("`aggregation: mean` is the only one, found `{other}`");
            return Err(group_error(group, "aggregate_metric_list", problem));
        }
    }
    Ok(metrics)
}
