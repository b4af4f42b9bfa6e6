//! [`Task`]: a benchmark defined in the YAML dialect of lm-evaluation-harness.
//!
//! Every key that this crate supports is a field of [`Task`]. Any other key is an error that names it, because ignoring
//! a key could silently change the score.

mod builtin;
mod catalogue;
mod folder;
mod group;
mod keys;
mod pattern;
mod source;
mod tag;
mod validate;

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_yaml_ng::Mapping;

use crate::{BenchError, OutputType, Processor, metric};

pub use crate::filter::{FilterChain, FilterStep};
pub use crate::metric::MetricConfig;
pub use catalogue::{Catalogue, Selection};
pub use folder::FolderReport;
pub use group::{Group, GroupMetric};
pub use keys::{
    ChoiceField, DatasetKwargs, FewshotConfig, FewshotSampler, GenerationKwargs, Samples, SamplesFile, StringOrList,
    TargetField,
};

fn default_target_delimiter() -> String {
    " ".to_owned()
}

fn default_repeats() -> usize {
    1
}

fn default_fewshot_delimiter() -> String {
    "\n\n".to_owned()
}

/// A benchmark: where its data is, how a document becomes a question, and how an answer is scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// The task's name.
    pub task: String,
    /// The name printed in tables; [`Task::task`] when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_alias: Option<String>,
    /// Tags: names that select this task together with others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<StringOrList>,
    /// Folder of the data set below the data root, as a hub id.
    pub dataset_path: String,
    /// Configuration of the data set; the folder `default` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_name: Option<String>,
    /// Other settings of the data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_kwargs: Option<DatasetKwargs>,
    /// What the task requests from the model; `generate_until` when absent.
    #[serde(default)]
    pub output_type: OutputType,
    /// Split for few-shot examples (after `fewshot_split`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_split: Option<String>,
    /// Split that is evaluated when there is no test split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_split: Option<String>,
    /// Split that is evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_split: Option<String>,
    /// Split the few-shot examples come from; training, then validation, then the evaluated split when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fewshot_split: Option<String>,
    /// A built-in Rust processor that is applied to every document first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_docs: Option<Processor>,
    /// Text before the first example: a template, or the name of a field.
    #[serde(default)]
    pub description: String,
    /// The question. If a multiple-choice task yields an integer here, and a target text that is not a choice, then the
    /// choices are contexts, the integer is the index of the right one, and the target is their common continuation
    /// (WinoGrande's partial scoring). The first document decides.
    pub doc_to_text: String,
    /// The choices; required by `multiple_choice`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc_to_choice: Option<ChoiceField>,
    /// The right choice or the expected text.
    pub doc_to_target: TargetField,
    /// How the answer begins: a template, or the name of a field. The model continues from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gen_prefix: Option<String>,
    /// Between question and answer.
    #[serde(default = "default_target_delimiter")]
    pub target_delimiter: String,
    /// Between examples.
    #[serde(default = "default_fewshot_delimiter")]
    pub fewshot_delimiter: String,
    /// Number of examples shown before the question; 0 when absent. An explicit 0 is part of the task and cannot be
    /// overridden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_fewshot: Option<usize>,
    /// How examples are drawn.
    #[serde(default)]
    pub fewshot_config: FewshotConfig,
    /// How text is generated.
    #[serde(default)]
    pub generation_kwargs: GenerationKwargs,
    /// Filters of the generated text; when absent, one chain named `none` that does not change it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filter_list: Vec<FilterChain>,
    /// The metrics; the default metrics of the form when absent.
    pub metric_list: Vec<MetricConfig>,
    /// How often text is generated for each question.
    #[serde(default = "default_repeats")]
    pub repeats: usize,
    /// Accepted because official task files have it; no effect.
    #[serde(default)]
    pub should_decontaminate: bool,
    /// Accepted because official task files have it; no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc_to_decontamination_query: Option<String>,
    /// Arbitrary metadata; `version` is reported.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

impl Task {
    /// Reads and validates a task from YAML; `origin` names it in errors until its name is known. The YAML cannot
    /// include other files; use [`Task::from_file`] for that.
    ///
    /// # Errors
    /// [`BenchError::TaskSyntax`] names an unknown key; [`BenchError::TaskTag`] a key whose value is tagged, as with
    /// `!function`; the others as [`Task::validate`].
    pub fn from_yaml(yaml: &str, origin: &str) -> Result<Self, BenchError> {
        Self::from_keys(source::keys_of(yaml, origin)?, origin)
    }

    /// Reads and validates a task from the keys of its file and of those it includes.
    pub(crate) fn from_keys(keys: Mapping, origin: &str) -> Result<Self, BenchError> {
        tag::refuse(origin, &keys)?;
        let mut keys: Mapping = keys.into_iter().filter(|(_, value)| !value.is_null()).collect();
        let without_metrics = !keys.contains_key("metric_list");
        if without_metrics {
            keys.insert("metric_list".into(), serde_yaml_ng::Value::Sequence(Vec::new()));
        }
        let read: Result<Self, _> = serde_yaml_ng::from_value(keys.into());
        let mut task = read.map_err(|source| BenchError::TaskSyntax {
            task: origin.to_owned(),
            source,
        })?;
        if without_metrics {
            let names = task.output_type.form().default_metrics().iter();
            task.metric_list = names.map(|name| MetricConfig::named(name)).collect();
        }
        task.validate_name()?;
        task.validate()?;
        let opened = task.metric_list.iter().map(|entry| metric::open(&task, entry));
        let opened = opened.collect::<Result<Vec<_>, _>>()?;
        for (entry, (_, metric)) in task.metric_list.iter_mut().zip(&opened) {
            entry.resolve(metric.as_ref());
        }
        Ok(task)
    }

    /// Reads a task from a file and those it includes.
    ///
    /// # Errors
    /// As [`Task::from_yaml`]; also if a file cannot be read, and [`BenchError::Include`] if a file includes itself.
    pub fn from_file(path: &Path) -> Result<Self, BenchError> {
        let place = source::Place::File(path.to_owned());
        Self::from_keys(source::keys(&place)?, &place.to_string())
    }

    /// The built-in task with this name.
    ///
    /// # Errors
    /// [`BenchError::UnknownTask`] lists the names that exist.
    pub fn builtin(name: &str) -> Result<Self, BenchError> {
        builtin::load(name)
    }

    /// Names of all built-in tasks.
    pub fn builtin_names() -> Vec<String> {
        builtin::names()
    }

    /// A built-in task by name, or a task file by path (anything that ends in `.yaml` or `.yml`).
    ///
    /// # Errors
    /// As [`Task::builtin`] and [`Task::from_file`].
    pub fn open(name_or_path: &str) -> Result<Self, BenchError> {
        if name_or_path.ends_with(".yaml") || name_or_path.ends_with(".yml") {
            return Self::from_file(Path::new(name_or_path));
        }
        Self::builtin(name_or_path)
    }

    /// Overrides settings of text generation, as `key: value`. Tasks of other forms have no such settings.
    ///
    /// # Errors
    /// [`BenchError::TaskField`] for a setting that is unknown or invalid.
    pub fn set_generation(&mut self, settings: &Map<String, Value>) -> Result<(), BenchError> {
        if self.output_type.form().longest_answer(self).is_none() {
            return Ok(());
        }
        match self.generation_kwargs.updated(settings) {
            Ok(kwargs) => self.generation_kwargs = kwargs,
            Err(error) => return self.refuse("generation_kwargs", error.to_string()),
        }
        self.validate()
    }

    /// The split that is evaluated: test, else validation.
    pub fn evaluated_split(&self) -> &str {
        self.test_split
            .as_deref()
            .or(self.validation_split.as_deref())
            .unwrap_or("test")
    }

    /// The split the task itself names for few-shot examples.
    pub(crate) fn named_examples_split(&self) -> Option<&str> {
        self.fewshot_config.split.as_deref().or(self.fewshot_split.as_deref())
    }

    /// The split few-shot examples come from.
    pub fn examples_split(&self) -> &str {
        self.named_examples_split()
            .or(self.training_split.as_deref())
            .or(self.validation_split.as_deref())
            .unwrap_or_else(|| self.evaluated_split())
    }

    /// The source of few-shot examples, as named in messages and results.
    pub(crate) fn examples_source(&self) -> &str {
        match (&self.fewshot_config.samples, self.named_examples_split()) {
            (Some(_), None) => "fewshot_config.samples",
            _ => self.examples_split(),
        }
    }

    /// The task as it reads and shows examples.
    pub(crate) fn for_examples(&self) -> Self {
        let (mut task, config) = (self.clone(), &self.fewshot_config);
        let texts = [
            (&mut task.doc_to_text, &config.doc_to_text),
            (&mut task.target_delimiter, &config.target_delimiter),
            (&mut task.fewshot_delimiter, &config.fewshot_delimiter),
        ];
        for (key, own) in texts {
            if let Some(own) = own {
                key.clone_from(own);
            }
        }
        task.doc_to_choice = config.doc_to_choice.clone().or(task.doc_to_choice);
        task.gen_prefix = config.gen_prefix.clone().or(task.gen_prefix);
        task.doc_to_target = config.doc_to_target.clone().unwrap_or(task.doc_to_target);
        task
    }

    /// The strings that end generated text.
    pub(crate) fn stop_strings(&self) -> Vec<String> {
        match &self.generation_kwargs.until {
            Some(until) => until.to_vec(),
            None => vec![self.fewshot_delimiter.clone()],
        }
    }

    /// The filter chains, the default one included.
    pub(crate) fn filters(&self) -> Vec<FilterChain> {
        if !self.filter_list.is_empty() {
            return self.filter_list.clone();
        }
        vec![FilterChain {
            name: "none".to_owned(),
            filter: vec![FilterStep::TakeFirst {}],
        }]
    }

    /// `metadata.version`; `Yaml` when absent, as the original says.
    pub fn version(&self) -> Value {
        let version = self.metadata.get("version");
        version.cloned().unwrap_or_else(|| Value::from("Yaml"))
    }
}
