//! Metrics: the value of the answer to a document, and the aggregate over a task's documents.
//!
//! To add a metric, implement [`Metric`] in a file below `metric/` and add a line to [`METRICS`].

mod accuracy;
mod bootstrap;
mod classes;
mod continuation;
mod exact_match;
mod instructions;
mod perplexity;
mod probability;
mod translation;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::expression::ExpressionError;
use crate::processor::FieldError;
use crate::resources::Resources;
use crate::{Answer, BenchError, Document, Gold, Loglikelihood, Prompt, Task, stats};

/// Every metric, found by its name.
static METRICS: [MetricKind; 23] = [
    accuracy::ACC,
    accuracy::ACC_NORM,
    accuracy::ACC_BYTES,
    accuracy::ACC_MUTUAL_INFO,
    accuracy::EXACT_MATCH,
    classes::F1,
    classes::MCC,
    probability::BRIER_SCORE,
    probability::LIKELIHOOD,
    continuation::PERPLEXITY,
    continuation::ACC,
    exact_match::EXACT_MATCH,
    instructions::PROMPT_STRICT,
    instructions::INSTRUCTION_STRICT,
    instructions::PROMPT_LOOSE,
    instructions::INSTRUCTION_LOOSE,
    translation::BLEU,
    translation::CHRF,
    translation::CHRF_WITH_WORDS,
    translation::TER,
    perplexity::WORD_PERPLEXITY,
    perplexity::BYTE_PERPLEXITY,
    perplexity::BITS_PER_BYTE,
];

/// Resamples of a bootstrapped standard error.
const RESAMPLES: usize = 100_000;

/// A metric without its options.
pub(crate) struct MetricKind {
    /// The name in task files and results.
    name: &'static str,
    /// Names of the forms whose answers it reads.
    forms: &'static [&'static str],
    /// Reads the further keys of its entry in `metric_list`.
    new: fn(&Map<String, Value>) -> Opened,
}

type Opened = Result<Box<dyn Metric>, OptionError>;

/// A metric with its options.
pub(crate) trait Metric {
    /// Reads the files that it needs below the data root, except documents. Called before all methods other than
    /// [`Metric::options`] and those that describe the metric.
    fn load(&mut self, _resources: &Resources) -> Result<(), BenchError> {
        Ok(())
    }

    /// Rejects a document for which the metric has no value.
    fn check(&self, _document: &Document) -> Result<(), FieldError> {
        Ok(())
    }

    /// The value of the answer to a document.
    fn value(&self, answered: &Answered) -> Result<MetricValue, ValueError>;

    /// `aggregation` in task files.
    fn aggregation(&self) -> &'static str {
        "mean"
    }

    /// One number for all documents; `values` is not empty.
    fn aggregate(&self, values: &[MetricValue]) -> f64 {
        stats::mean(&self.outcomes(values))
    }

    /// Standard error of [`Metric::aggregate`], where the original has one.
    fn stderr(&self, values: &[MetricValue]) -> Option<f64> {
        stats::mean_stderr(&self.outcomes(values))
    }

    /// One number per document. Two models are compared by the mean of the paired differences.
    fn outcomes(&self, values: &[MetricValue]) -> Vec<f64> {
        values.iter().map(|value| value.outcome).collect()
    }

    /// The same score for subsets of what is counted, if it has several kinds.
    fn parts(&self, _documents: &[(&Document, &MetricValue)]) -> Vec<ScorePart> {
        Vec::new()
    }

    /// The further keys of its entry in `metric_list`, defaults included.
    fn options(&self) -> Map<String, Value> {
        Map::new()
    }

    /// Whether the larger of two values is the better one.
    fn higher_is_better(&self) -> bool {
        true
    }

    /// How scores and differences are read.
    fn scale(&self) -> Scale {
        Scale::Share
    }

    /// Expected value of random guessing on a document, if it is defined.
    fn chance(&self, _prompt: &Prompt) -> Option<f64> {
        None
    }
}

/// How the scores of a metric, and the mean difference of the outcomes of two models, are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Scores lie between 0 and 1 and are read as percentages, differences as percentage points.
    Share,
    /// Both are numbers in the metric's own unit.
    Plain,
    /// A score is the exponential of the mean outcome, as for perplexity. A difference of outcomes is the logarithm of
    /// the ratio of two scores, and is shown as the percentage by which they differ.
    Log,
}

/// The value of a metric for one document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricValue {
    /// The document's value as one number.
    pub outcome: f64,
    /// The numbers that samples files hold instead, if one number is not enough to compute the aggregate: for example a
    /// log-likelihood and the number of words. Otherwise empty.
    pub parts: Vec<f64>,
    /// The value that samples files hold instead of both, if lm-evaluation-harness writes something else.
    pub written: Option<Value>,
}

impl MetricValue {
    pub(crate) fn to_json(&self) -> Value {
        match &self.written {
            Some(written) => written.clone(),
            None if self.parts.is_empty() => Value::from(self.outcome),
            None => Value::from(self.parts.clone()),
        }
    }
}

/// A score over a subset of what is counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScorePart {
    /// Name of the subset.
    pub name: String,
    /// Fraction of the subset that is right.
    pub value: f64,
    /// Size of the subset.
    pub n: usize,
}

impl ScorePart {
    /// Adds one that is right, or is not, to the part of this name.
    fn count(parts: &mut Vec<Self>, name: &str, right: bool) {
        let index = parts.iter().position(|part| part.name == name).unwrap_or_else(|| {
            let name = name.to_owned();
            parts.push(Self { name, value: 0.0, n: 0 });
            parts.len() - 1
        });
        let part = &mut parts[index];
        let before = part.value * part.n as f64;
        part.n += 1;
        part.value = (before + f64::from(u8::from(right))) / part.n as f64;
    }
}

impl From<f64> for MetricValue {
    fn from(outcome: f64) -> Self {
        Self {
            outcome,
            ..Self::default()
        }
    }
}

impl From<bool> for MetricValue {
    fn from(right: bool) -> Self {
        Self::from(f64::from(u8::from(right)))
    }
}

/// A document with its answer after a filter.
pub(crate) struct Answered<'a> {
    pub(crate) prompt: &'a Prompt,
    pub(crate) answer: &'a Answer,
    /// The generated text after the filter.
    pub(crate) filtered: Option<&'a str>,
}

impl Answered<'_> {
    /// One log-likelihood per choice.
    fn scores(&self) -> Result<&[Loglikelihood], ValueError> {
        match self.answer {
            Answer::Choices(scores) => scores.get(..self.prompt.choices.len()).ok_or(ValueError::WrongAnswer),
            _ => Err(ValueError::WrongAnswer),
        }
    }

    /// The log-likelihoods of the choices without any context.
    fn unconditional(&self) -> Result<&[Loglikelihood], ValueError> {
        match self.answer {
            Answer::Choices(scores) => scores.get(self.prompt.choices.len()..).ok_or(ValueError::WrongAnswer),
            _ => Err(ValueError::WrongAnswer),
        }
    }

    /// The log-likelihood of the one continuation.
    fn continuation(&self) -> Result<Loglikelihood, ValueError> {
        match self.answer {
            Answer::Choices(scores) => scores.first().copied().ok_or(ValueError::WrongAnswer),
            _ => Err(ValueError::WrongAnswer),
        }
    }

    /// Whether a choice is right. If one of several right ones does not exist, the others still count.
    fn is_right(&self, choice: Option<usize>) -> bool {
        match &self.prompt.gold {
            Gold::Choice(gold) => choice.is_some() && *gold == choice,
            Gold::Choices(golds) => choice.is_some() && golds.contains(&choice),
            Gold::Texts(_) => false,
        }
    }

    /// The indices of the right choices, all of which exist.
    fn right_choices(&self) -> Result<Vec<usize>, ValueError> {
        let golds = match &self.prompt.gold {
            Gold::Choice(gold) => vec![*gold],
            Gold::Choices(golds) => golds.clone(),
            Gold::Texts(_) => return Err(ValueError::WrongAnswer),
        };
        let golds: Option<Vec<usize>> = golds.into_iter().collect();
        golds.ok_or_else(|| ValueError::Target("names a choice that does not exist".to_owned()))
    }

    /// The index of the only right choice.
    fn right_choice(&self) -> Result<usize, ValueError> {
        match self.right_choices()?.as_slice() {
            [gold] => Ok(*gold),
            golds => Err(ValueError::Target(format!(
                "one right choice is expected, found {}",
                golds.len()
            ))),
        }
    }

    /// The filtered text, and the texts of which any is right.
    fn text(&self) -> Result<(&str, &[String]), ValueError> {
        match (self.filtered, &self.prompt.gold) {
            (Some(text), Gold::Texts(references)) => Ok((text, references)),
            _ => Err(ValueError::WrongAnswer),
        }
    }

    /// The log-likelihood of a text, and the text.
    fn rolling(&self) -> Result<(f64, &str), ValueError> {
        match self.answer {
            Answer::Rolling(sum) => Ok((*sum, &self.prompt.target)),
            _ => Err(ValueError::WrongAnswer),
        }
    }
}

/// Why a document has no value.
pub(crate) enum ValueError {
    /// An expression could not be matched.
    Expression(ExpressionError),
    /// The metric has no value for the document's right answers.
    Target(String),
    /// The answer has a form that the metric does not read. Only a journal written by another program has such answers.
    WrongAnswer,
    /// A field of the document is not what the metric needs.
    Document(FieldError),
}

impl From<FieldError> for ValueError {
    fn from(error: FieldError) -> Self {
        Self::Document(error)
    }
}

impl From<ExpressionError> for ValueError {
    fn from(error: ExpressionError) -> Self {
        Self::Expression(error)
    }
}

/// Why options are rejected.
pub(crate) enum OptionError {
    /// A key that the metric does not know, or a value of another type.
    Key(serde_json::Error),
    /// An expression that does not compile.
    Expression(ExpressionError),
}

impl From<ExpressionError> for OptionError {
    fn from(error: ExpressionError) -> Self {
        Self::Expression(error)
    }
}

/// Reads a metric's options from the further keys of its entry.
fn options<T: DeserializeOwned>(keys: &Map<String, Value>) -> Result<T, OptionError> {
    serde_json::from_value(Value::Object(keys.clone())).map_err(OptionError::Key)
}

/// The options of a metric that has none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoOptions {}

/// Keys that the original reads for metrics of choices, where they have no effect either.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChoiceOptions {
    #[serde(rename = "weight_by_size")]
    _weight_by_size: Option<bool>,
    #[serde(rename = "average")]
    _average: Option<String>,
}

/// The first of the largest, as with NumPy's `argmax`. What is not a number is never the largest; only an empty choice
/// of log-likelihood 0 has such a value.
fn largest(values: impl Iterator<Item = f64>) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (index, value) in values.enumerate() {
        if !value.is_nan() && best.is_none_or(|(_, top)| value > top) {
            best = Some((index, value));
        }
    }
    best.map(|(index, _)| index)
}

/// Whether a metric of the task needs the log-likelihoods of the choices without any context.
pub(crate) fn asks_unconditional(task: &Task) -> bool {
    let name = accuracy::ACC_MUTUAL_INFO.name;
    task.metric_list.iter().any(|entry| entry.metric == name)
}

/// One entry of `metric_list`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricConfig {
    /// The metric's name.
    pub metric: String,
    /// Name of the aggregation. A metric has exactly one; any other is an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregation: Option<String>,
    /// Checked against the metric's own direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub higher_is_better: Option<bool>,
    /// Options of the metric, such as `ignore_case` of `exact_match`. Unknown keys are errors.
    #[serde(flatten)]
    pub options: Map<String, Value>,
}

impl MetricConfig {
    /// A metric with its defaults.
    pub(crate) fn named(name: &str) -> Self {
        Self {
            metric: name.to_owned(),
            aggregation: None,
            higher_is_better: None,
            options: Map::new(),
        }
    }

    /// Fills in the metric's defaults for absent keys.
    pub(crate) fn resolve(&mut self, metric: &dyn Metric) {
        let aggregation = &mut self.aggregation;
        aggregation.get_or_insert_with(|| metric.aggregation().to_owned());
        self.higher_is_better.get_or_insert(metric.higher_is_better());
        self.options = metric.options();
    }
}

/// The metric of an entry of a task's `metric_list`.
pub(crate) fn open(task: &Task, entry: &MetricConfig) -> Result<(&'static str, Box<dyn Metric>), BenchError> {
    let kind = find(task, &entry.metric)?;
    let metric = match (kind.new)(&entry.options) {
        Ok(metric) => metric,
        Err(OptionError::Key(error)) => return task.refuse("metric_list", format!("{}: {error}", kind.name)),
        Err(OptionError::Expression(error)) => return Err(error.in_task(task, "metric_list")),
    };
    check_entry(task, entry, kind.name, metric.as_ref())?;
    Ok((kind.name, metric))
}

/// Forms may have metrics of the same name.
fn find(task: &Task, name: &str) -> Result<&'static MetricKind, BenchError> {
    let form = task.output_type.name();
    let named: Vec<&MetricKind> = METRICS.iter().filter(|kind| kind.name == name).collect();
    if let Some(kind) = named.iter().find(|kind| kind.forms.contains(&form)) {
        return Ok(kind);
    }
    if named.is_empty() {
        let known: Vec<&str> = METRICS.iter().map(|kind| kind.name).collect();
        let known = known.join(", ");
        return task.refuse("metric_list", format!("unknown metric `{name}`: supported are {known}"));
    }
    let forms: Vec<&str> = named.iter().flat_map(|kind| kind.forms).copied().collect();
    let forms = forms.join(" or ");
    task.refuse("metric_list", format!("{name} needs output_type {forms}, found {form}"))
}

fn check_entry(task: &Task, entry: &MetricConfig, name: &str, metric: &dyn Metric) -> Result<(), BenchError> {
    let (aggregation, higher) = (metric.aggregation(), metric.higher_is_better());
    if let Some(found) = entry.aggregation.as_ref().filter(|found| *found != aggregation) {
        return task.refuse(
            "metric_list",
            format!("{name} is aggregated by `{aggregation}`, found `aggregation: {found}`"),
        );
    }
    if entry.higher_is_better.is_some_and(|found| found != higher) {
        return task.refuse(
            "metric_list",
            format!("{name} has `higher_is_better: {higher}`, found `{}`", !higher),
        );
    }
    Ok(())
}
