//! [`Task`]: a benchmark as data, in the YAML dialect of lm-evaluation-harness.
//!
//! Every key this crate understands is a field of [`Task`]; any other key is an error that names it, because a key
//! silently ignored is a score silently different.

mod builtin;
mod tag;

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{BenchError, Processor};

/// What a task asks of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputType {
    /// The log-likelihood of every choice after the question; the largest one is the answer.
    MultipleChoice,
    /// Text generated after the question, until a stop string.
    GenerateUntil,
}

/// `doc_to_choice`: a template that yields a list, or the list itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "doc_to_choice: a template or a list of texts is expected")]
pub enum ChoiceField {
    /// One template whose value is a list of strings.
    Template(String),
    /// The choices, which are not templates.
    List(Vec<String>),
}

/// `doc_to_target`: a template, or the index of the right choice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "doc_to_target: an index or a template is expected; several right answers are a template that yields a list"
)]
pub enum TargetField {
    /// The same index for every document.
    Index(usize),
    /// A template that yields an index, one of the choices, or the expected text or texts.
    Template(String),
}

/// How few-shot examples are drawn from their pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampler {
    /// At random, by CPython's `random.Random(1234).sample`, one state running over all documents.
    #[default]
    Default,
    /// The first rows of the pool, the same for every document.
    FirstN,
}

/// `fewshot_config`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FewshotConfig {
    /// How examples are drawn.
    #[serde(default)]
    pub sampler: Sampler,
    /// Replaces the task's `fewshot_split`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
}

/// A string, or a list of strings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum StringOrList {
    /// One string.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl StringOrList {
    /// The strings.
    pub fn to_vec(&self) -> Vec<String> {
        match self {
            Self::One(s) => vec![s.clone()],
            Self::Many(list) => list.clone(),
        }
    }
}

/// `generation_kwargs`. Decoding is greedy: a task that asks for sampling is refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerationKwargs {
    /// Strings that end the text; the few-shot delimiter when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<StringOrList>,
    /// Must be false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub do_sample: Option<bool>,
    /// Must be 0 when present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Tokens generated at most; 256 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_gen_toks: Option<usize>,
}

/// One step of a filter, applied to the text a model generated. Steps without settings have braces because serde would
/// ignore further keys of a bare name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "function", rename_all = "snake_case", deny_unknown_fields)]
pub enum FilterStep {
    /// All matches of a regular expression, one of them selected.
    Regex {
        /// The expression, in Python's syntax.
        #[serde(default = "default_regex")]
        regex_pattern: String,
        /// Which match: 0 the first, -1 the last.
        #[serde(default)]
        group_select: i64,
        /// The value when nothing matches.
        #[serde(default = "default_fallback")]
        fallback: String,
    },
    /// The first response (there is only one).
    TakeFirst {},
    /// Lower case.
    Lowercase {},
    /// Upper case.
    Uppercase {},
    /// White space at both ends removed.
    RemoveWhitespace {},
}

fn default_regex() -> String {
    r"#### (\-?[0-9\.\,]+)".to_owned()
}

fn default_fallback() -> String {
    "[invalid]".to_owned()
}

/// A named chain of filter steps; every metric is reported once per chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterChain {
    /// The second half of the metric's key, as in `exact_match,strict-match`.
    pub name: String,
    /// The steps, in order.
    pub filter: Vec<FilterStep>,
}

/// The metrics this crate computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The choice of largest log-likelihood is the right one.
    Acc,
    /// The same after dividing by the choice's length in Unicode code points (Python's `len`).
    AccNorm,
    /// The same after dividing by the choice's length in UTF-8 bytes.
    AccBytes,
    /// The text equals the expected text after normalisation.
    ExactMatch,
}

impl Metric {
    /// The name in task files and results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Acc => "acc",
            Self::AccNorm => "acc_norm",
            Self::AccBytes => "acc_bytes",
            Self::ExactMatch => "exact_match",
        }
    }
}

/// One entry of `metric_list`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricConfig {
    /// The metric.
    pub metric: Metric,
    /// Must be `mean`.
    #[serde(default = "default_aggregation")]
    pub aggregation: String,
    /// Must be true: every metric here is an accuracy.
    #[serde(default = "default_true")]
    pub higher_is_better: bool,
    /// `exact_match`: compare in lower case.
    #[serde(default)]
    pub ignore_case: bool,
    /// `exact_match`: compare without ASCII punctuation.
    #[serde(default)]
    pub ignore_punctuation: bool,
    /// `exact_match`: compare without decimal digits.
    #[serde(default)]
    pub ignore_numbers: bool,
    /// `exact_match`: regular expressions deleted from both sides first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regexes_to_ignore: Vec<String>,
}

fn default_aggregation() -> String {
    "mean".to_owned()
}

fn default_true() -> bool {
    true
}

fn default_target_delimiter() -> String {
    " ".to_owned()
}

fn default_repeats() -> usize {
    1
}

fn default_fewshot_delimiter() -> String {
    "\n\n".to_owned()
}

/// A benchmark: where its data lies, how a document becomes a question, how an answer is scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// The task's name.
    pub task: String,
    /// The name printed in tables; [`Task::task`] when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_alias: Option<String>,
    /// Groups the task belongs to; carried into the results, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<StringOrList>,
    /// Folder of the data set below the data root, as a hub id.
    pub dataset_path: String,
    /// Configuration of the data set; the folder `default` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_name: Option<String>,
    /// What the task asks of the model.
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
    /// A built-in Rust processor that rewrites every document first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_docs: Option<Processor>,
    /// Text before the first example, verbatim; a template is refused.
    #[serde(default)]
    pub description: String,
    /// The question. For a multiple-choice task that yields an integer here, and as its target a text that is no
    /// choice, the choices are contexts, the integer is the right one, and the target is the one continuation
    /// (WinoGrande's partial scoring). The first document decides.
    pub doc_to_text: String,
    /// The choices; required by `multiple_choice`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc_to_choice: Option<ChoiceField>,
    /// The right choice or the expected text.
    pub doc_to_target: TargetField,
    /// Between question and answer.
    #[serde(default = "default_target_delimiter")]
    pub target_delimiter: String,
    /// Between examples.
    #[serde(default = "default_fewshot_delimiter")]
    pub fewshot_delimiter: String,
    /// Examples shown before the question; 0 when absent. A 0 written out is part of the task and cannot be
    /// overridden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_fewshot: Option<usize>,
    /// How examples are drawn.
    #[serde(default)]
    pub fewshot_config: FewshotConfig,
    /// How text is generated.
    #[serde(default)]
    pub generation_kwargs: GenerationKwargs,
    /// Filters of the generated text; one chain named `none` that takes it unchanged when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filter_list: Vec<FilterChain>,
    /// The metrics.
    pub metric_list: Vec<MetricConfig>,
    /// How often each question is asked: 1.
    #[serde(default = "default_repeats")]
    pub repeats: usize,
    /// Read for the sake of official task files; no effect.
    #[serde(default)]
    pub should_decontaminate: bool,
    /// Read for the sake of official task files; no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc_to_decontamination_query: Option<String>,
    /// Anything; `version` is reported.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

impl Task {
    /// Reads and validates a task from YAML; `origin` names it in an error before its own name is known.
    ///
    /// # Errors
    /// [`BenchError::TaskSyntax`] names an unknown key; [`BenchError::TaskTag`] a key whose value is tagged, as with
    /// `!function`; [`BenchError::TaskField`] a contradiction.
    pub fn from_yaml(yaml: &str, origin: &str) -> Result<Self, BenchError> {
        let syntax = |source| BenchError::TaskSyntax {
            task: origin.to_owned(),
            source,
        };
        tag::refuse(yaml, origin, &serde_yaml_ng::from_str(yaml).map_err(syntax)?)?;
        let task: Self = serde_yaml_ng::from_str(yaml).map_err(syntax)?;
        task.validate()?;
        Ok(task)
    }

    /// Reads a task from a file.
    ///
    /// # Errors
    /// As [`Task::from_yaml`], and when the file cannot be read.
    pub fn from_file(path: &Path) -> Result<Self, BenchError> {
        let yaml = std::fs::read_to_string(path).map_err(|source| BenchError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::from_yaml(&yaml, &path.display().to_string())
    }

    /// The built-in task of this name.
    ///
    /// # Errors
    /// [`BenchError::UnknownTask`] lists the names that exist.
    pub fn builtin(name: &str) -> Result<Self, BenchError> {
        builtin::load(name)
    }

    /// Names of all built-in tasks.
    pub fn builtin_names() -> Vec<&'static str> {
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

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// [`BenchError::TaskField`] with the key and what it should be.
    pub fn validate(&self) -> Result<(), BenchError> {
        self.validate_splits_and_choices()?;
        self.validate_prompt()?;
        self.validate_generation()?;
        self.validate_metrics()
    }

    fn field<T>(&self, field: &'static str, problem: impl Into<String>) -> Result<T, BenchError> {
        Err(BenchError::TaskField {
            task: self.task.clone(),
            field,
            problem: problem.into(),
        })
    }

    fn validate_splits_and_choices(&self) -> Result<(), BenchError> {
        if self.test_split.is_none() && self.validation_split.is_none() {
            return self.field("test_split", "neither a test split nor a validation split is given");
        }
        if self.output_type == OutputType::MultipleChoice && self.doc_to_choice.is_none() {
            return self.field("doc_to_choice", "required by output_type multiple_choice");
        }
        if self.output_type == OutputType::MultipleChoice && !self.filter_list.is_empty() {
            return self.field("filter_list", "filters apply to generated text, not to multiple_choice");
        }
        if self.output_type == OutputType::GenerateUntil && self.doc_to_choice.is_some() {
            return self.field("doc_to_choice", "generated text has no choices");
        }
        Ok(())
    }

    fn validate_prompt(&self) -> Result<(), BenchError> {
        if ["{{", "{%", "{#"].iter().any(|mark| self.description.contains(mark)) {
            return self.field(
                "description",
                "plain text is expected, templates are not supported here",
            );
        }
        if self.repeats != 1 {
            return self.field("repeats", format!("only 1 is supported, found {}", self.repeats));
        }
        Ok(())
    }

    fn validate_generation(&self) -> Result<(), BenchError> {
        let kwargs = &self.generation_kwargs;
        if kwargs.do_sample == Some(true) || kwargs.temperature.is_some_and(|t| t != 0.0) {
            return self.field(
                "generation_kwargs",
                "only greedy decoding is supported: do_sample false, temperature 0",
            );
        }
        if kwargs.max_gen_toks == Some(0) {
            return self.field("generation_kwargs", "max_gen_toks must be at least 1");
        }
        Ok(())
    }

    fn validate_metrics(&self) -> Result<(), BenchError> {
        if self.metric_list.is_empty() {
            return self.field("metric_list", "at least one metric is needed");
        }
        for entry in &self.metric_list {
            let generates = self.output_type == OutputType::GenerateUntil;
            if (entry.metric == Metric::ExactMatch) != generates {
                return self.field(
                    "metric_list",
                    format!("{} does not fit this output_type", entry.metric.name()),
                );
            }
            if entry.aggregation != "mean" || !entry.higher_is_better {
                return self.field(
                    "metric_list",
                    "only `aggregation: mean`, `higher_is_better: true` is supported",
                );
            }
        }
        Ok(())
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

    /// The strings that end generated text.
    pub fn stop_strings(&self) -> Vec<String> {
        match &self.generation_kwargs.until {
            Some(until) => until.to_vec(),
            None => vec![self.fewshot_delimiter.clone()],
        }
    }

    /// The filter chains, the default one included.
    pub fn filters(&self) -> Vec<FilterChain> {
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
