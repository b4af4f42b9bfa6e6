//! [`evaluate()`] runs tasks and returns scores and samples.

mod answers;
mod dry_run;
mod groups;
mod prepare;
mod responses;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::journal::Journal;
use crate::metric::{MetricValue, Scale, ScorePart};
use crate::output::document_hash;
use crate::task::{Group, Task};
use crate::{Answer, BenchError, LanguageModel, ModelDescription, Prompt, PromptOptions, SplitDigest, Turn};

pub use dry_run::write_requests;
pub use groups::{GroupEvaluation, GroupScore};
pub use prepare::check_tasks;
use prepare::{PreparedTask, prepare};
pub use responses::judge_responses;

/// Options of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluateOptions {
    /// How prompts are built.
    pub prompts: PromptOptions,
    /// Number of documents passed to the model at a time, grouped by similar length; at least 1.
    pub batch_size: usize,
    /// A file to which answers are appended as they arrive. An interrupted evaluation resumes from it: documents whose
    /// requests are in it are not asked again.
    pub journal: Option<PathBuf>,
    /// Groups of tasks whose scores are also reported.
    pub groups: Vec<Group>,
    /// Collect answers without scoring them.
    pub predict_only: bool,
    /// Where results are written after each task; `None` writes nothing.
    pub output: Option<OutputOptions>,
}

/// Where results are written, and whether samples are included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputOptions {
    /// Results are written to a folder in this one, named after the model.
    pub directory: PathBuf,
    /// Write every sample too.
    pub log_samples: bool,
}

impl EvaluateOptions {
    /// One document at a time, no journal, nothing written.
    pub fn new(prompts: PromptOptions) -> Self {
        Self {
            prompts,
            batch_size: 1,
            journal: None,
            groups: Vec::new(),
            predict_only: false,
            output: None,
        }
    }
}

/// Callbacks for the progress of an evaluation. `()` ignores every call.
pub trait EvaluationProgress {
    /// Called with the first prompt of each task, before the model is asked. The other prompts have the same form.
    fn first_prompt(&mut self, _task: &str, _prompt: &Prompt) {}

    /// `done` of `total` documents of `task` have been answered. The first call counts the answers from the journal.
    fn documents(&mut self, task: &str, done: usize, total: usize);
}

impl EvaluationProgress for () {
    fn documents(&mut self, _task: &str, _done: usize, _total: usize) {}
}

/// One document, answered and scored under one filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The document and its requests.
    pub prompt: Arc<Prompt>,
    /// The answer before the filter.
    pub answer: Answer,
    /// The filter's name; `none` where nothing is filtered.
    pub filter: String,
    /// The text after the filter; `None` where no text is generated.
    pub filtered: Option<String>,
    /// The value of each metric for the document, in the task's order.
    pub metrics: Vec<(&'static str, MetricValue)>,
}

/// A metric of a task, over all documents under one filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// The name in task files.
    pub metric: String,
    /// The filter's name; `none` where nothing is filtered.
    pub filter: String,
    /// The metric's aggregate over all documents, usually a mean.
    pub value: f64,
    /// Standard error of the value; `None` for a single document, and for metrics that have none in the original.
    pub stderr: Option<f64>,
    /// Number of documents.
    pub n: usize,
    /// Scores of subsets of what is counted, such as types of instructions. Usually empty.
    pub parts: Vec<ScorePart>,
    /// One number per document, in order, for paired comparisons of two models.
    pub outcomes: Vec<f64>,
    /// Whether the larger of two values is the better one.
    pub higher_is_better: bool,
    /// How values and their differences are read.
    pub scale: Scale,
    /// Expected score of random guessing on these documents, if it is defined: with choices, the mean of one over
    /// their number.
    pub chance: Option<f64>,
}

impl Score {
    /// The key in a results file: `acc,none`.
    pub fn key(&self) -> String {
        format!("{},{}", self.metric, self.filter)
    }
}

/// The result of one task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskEvaluation {
    /// The task.
    pub task: Task,
    /// Examples before each question.
    pub num_fewshot: usize,
    /// Documents in the split, before the limit.
    pub documents: usize,
    /// The splits that were read.
    pub splits: Vec<SplitDigest>,
    /// Every document once per filter: filter by filter, documents in order.
    pub samples: Vec<Sample>,
    /// The scores.
    pub scores: Vec<Score>,
}

impl TaskEvaluation {
    /// The score of a metric under the task's first filter.
    pub fn score(&self, metric: &str) -> Option<&Score> {
        self.scores.iter().find(|score| score.metric == metric)
    }

    /// Documents evaluated.
    pub(crate) fn evaluated(&self) -> usize {
        self.first_samples().count()
    }

    /// The samples of the first filter: one per document.
    pub(crate) fn first_samples(&self) -> impl Iterator<Item = &Sample> {
        let filter = self.samples.first().map(|sample| &sample.filter);
        self.samples.iter().filter(move |sample| Some(&sample.filter) == filter)
    }

    /// Warnings about the scores, one sentence each: documents that occur more than once, and documents for which no
    /// answer is right. As in lm-evaluation-harness, they count like any other document.
    pub fn warnings(&self) -> Vec<String> {
        let total = self.first_samples().count();
        let distinct: HashSet<String> = self
            .first_samples()
            .map(|s| document_hash(&s.prompt.document))
            .collect();
        let missing = self
            .first_samples()
            .filter(|sample| sample.prompt.gold.is_missing())
            .count();
        let mut warnings = Vec::new();
        if distinct.len() < total {
            let repeated = total - distinct.len();
            warnings.push(format!(
                "{repeated} of {total} documents repeat an earlier one; the intervals count them as independent"
            ));
        }
        if missing > 0 {
            warnings.push(format!(
                "{missing} of {total} documents have a target that is none of their choices, or an empty list; every \
                 answer to them counts as wrong"
            ));
        }
        warnings
    }
}

/// The result of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The model.
    pub model: ModelDescription,
    /// The model's [`LanguageModel::fingerprint`].
    pub fingerprint: String,
    /// How it ran.
    pub options: EvaluateOptions,
    /// When it started, ISO 8601, local time.
    pub date: String,
    /// The same in seconds since 1970.
    pub started: f64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The tasks, in the order asked for.
    pub tasks: Vec<TaskEvaluation>,
}

impl Evaluation {
    /// An evaluation that starts now.
    fn begin(model: ModelDescription, fingerprint: String, options: &EvaluateOptions) -> Self {
        let now = chrono::Local::now();
        Self {
            model,
            fingerprint,
            options: options.clone(),
            date: now.format("%Y-%m-%dT%H:%M:%S%.6f").to_string(),
            started: now.timestamp_micros() as f64 / 1e6,
            seconds: 0.0,
            tasks: Vec::new(),
        }
    }

    /// Adds a task and writes its results.
    fn add(&mut self, task: TaskEvaluation, start: Instant) -> Result<(), BenchError> {
        self.seconds = start.elapsed().as_secs_f64();
        self.tasks.push(task);
        match &self.options.output {
            Some(output) => self.write_last_task(output),
            None => Ok(()),
        }
    }

    /// The groups of which at least one task is evaluated.
    pub fn groups(&self) -> Vec<GroupEvaluation> {
        let groups = self
            .options
            .groups
            .iter()
            .map(|group| GroupEvaluation::of(group, &self.tasks));
        groups.filter(|group| group.documents > 0).collect()
    }
}

/// Evaluates a model on tasks, one after another. Errors in any task are found before the first request: all data are
/// read, all prompts built and all expressions compiled.
///
/// # Errors
/// If two tasks have the same name, a task's data is missing, empty or malformed, the model fails or returns a score
/// that is not a number, the journal is in use or cannot be read or written, or results cannot be written.
pub fn evaluate(
    model: &mut dyn LanguageModel,
    tasks: &[Task],
    options: &EvaluateOptions,
    progress: &mut dyn EvaluationProgress,
) -> Result<Evaluation, BenchError> {
    let start = Instant::now();
    let description = model.description();
    let prepared = {
        let chat = |turns: &[Turn], open: bool| model.apply_chat_template(turns, open);
        let mut prepared = prepare(tasks, &options.prompts, &chat, description.max_length)?;
        if options.predict_only {
            prepared.iter_mut().for_each(PreparedTask::score_nothing);
        }
        prepared
    };
    let mut evaluation = Evaluation::begin(description, model.fingerprint(), options);
    let mut journal = Journal::open(options.journal.as_deref(), &evaluation.fingerprint)?;
    if let Some(output) = &options.output {
        evaluation.create_folder(&output.directory)?;
    }
    for task in prepared {
        let task = task.evaluate(model, options.batch_size, &mut journal, progress)?;
        evaluation.add(task, start)?;
    }
    Ok(evaluation)
}
