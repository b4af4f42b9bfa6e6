//! [`evaluate()`]: tasks in, scores and samples out.

use std::path::PathBuf;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::journal::Journal;
use crate::metric::{ExactMatch, Filter, choice_score};
use crate::task::{Metric, Task};
use crate::{BenchError, Gold, LanguageModel, Loglikelihood, ModelDescription, Prompt, PromptOptions, PromptSet};
use crate::{Requests, build_prompts, stats};

/// How an evaluation runs.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluateOptions {
    /// How prompts are built.
    pub prompts: PromptOptions,
    /// Documents given to the model at a time; at least 1.
    pub batch_size: usize,
    /// A file to which answers are appended as they come, and from which an interrupted evaluation goes on: a
    /// document whose requests are in it is not asked again.
    pub journal: Option<PathBuf>,
}

impl EvaluateOptions {
    /// One document at a time, no journal.
    pub fn new(prompts: PromptOptions) -> Self {
        Self {
            prompts,
            batch_size: 1,
            journal: None,
        }
    }
}

/// Hears how far an evaluation is. `()` listens to nothing.
pub trait Progress {
    /// `done` of `total` documents of `task` are answered; 0 at first.
    fn documents(&mut self, task: &str, done: usize, total: usize);
}

impl Progress for () {
    fn documents(&mut self, _task: &str, _done: usize, _total: usize) {}
}

/// What the model answered to a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// One score per choice.
    Choices(Vec<Loglikelihood>),
    /// The generated text, cut at its stop.
    Text(String),
}

/// One document, answered and scored under one filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The document and its requests.
    pub prompt: Prompt,
    /// What the model answered.
    pub answer: Answer,
    /// The filter's name; `none` for choices.
    pub filter: String,
    /// The text after the filter; `None` for choices.
    pub filtered: Option<String>,
    /// The metrics, in the task's order.
    pub metrics: Vec<(Metric, f64)>,
}

/// The mean of a metric over a task's documents.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// The metric.
    pub metric: Metric,
    /// The filter; `none` for choices.
    pub filter: String,
    /// The mean.
    pub value: f64,
    /// Standard error of the mean; `None` for a single document.
    pub stderr: Option<f64>,
    /// Documents.
    pub n: usize,
}

impl Score {
    /// The key in a results file: `acc,none`.
    pub fn key(&self) -> String {
        format!("{},{}", self.metric.name(), self.filter)
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
    /// Every document once per filter: filter by filter, documents in order.
    pub samples: Vec<Sample>,
    /// The scores.
    pub scores: Vec<Score>,
}

impl TaskEvaluation {
    /// The score of a metric under the task's first filter.
    pub fn score(&self, metric: Metric) -> Option<&Score> {
        self.scores.iter().find(|score| score.metric == metric)
    }

    /// A metric's value for every document, in order: what a paired comparison of two models takes.
    pub fn outcomes(&self, metric: Metric, filter: &str) -> Vec<f64> {
        let samples = self.samples.iter().filter(|sample| sample.filter == filter);
        let values = samples.filter_map(|sample| sample.metrics.iter().find(|(m, _)| *m == metric));
        values.map(|(_, value)| *value).collect()
    }
}

/// The result of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The model.
    pub model: ModelDescription,
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

/// Evaluates a model on tasks, one after another.
///
/// # Errors
/// When two tasks have one name, a task's data is missing, empty or malformed, the model fails, or the journal cannot
/// be read or written.
pub fn evaluate(
    model: &mut dyn LanguageModel,
    tasks: &[Task],
    options: &EvaluateOptions,
    progress: &mut dyn Progress,
) -> Result<Evaluation, BenchError> {
    // Results and samples are filed under the name: the second would replace the first.
    if let Some(twin) = (1..tasks.len()).find(|&i| tasks[..i].iter().any(|earlier| earlier.task == tasks[i].task)) {
        return Err(BenchError::DuplicateTask {
            task: tasks[twin].task.clone(),
        });
    }
    let (start, now) = (Instant::now(), chrono::Local::now());
    let mut journal = Journal::open(options.journal.as_deref(), || model.fingerprint())?;
    let mut evaluated = Vec::with_capacity(tasks.len());
    for task in tasks {
        evaluated.push(evaluate_task(model, task, options, &mut journal, progress)?);
    }
    Ok(Evaluation {
        model: model.description(),
        options: options.clone(),
        date: now.format("%Y-%m-%dT%H:%M:%S%.6f").to_string(),
        started: now.timestamp_micros() as f64 / 1e6,
        seconds: start.elapsed().as_secs_f64(),
        tasks: evaluated,
    })
}

fn evaluate_task(
    model: &mut dyn LanguageModel,
    task: &Task,
    options: &EvaluateOptions,
    journal: &mut Journal,
    progress: &mut dyn Progress,
) -> Result<TaskEvaluation, BenchError> {
    task.validate()?;
    let scorer = Scorer::new(task)?;
    let set = {
        let chat = |turns: &[crate::Turn], open: bool| model.apply_chat_template(turns, open);
        build_prompts(task, &options.prompts, &chat)?
    };
    let mut answers = Vec::with_capacity(set.prompts.len());
    progress.documents(&task.task, 0, set.prompts.len());
    for batch in set.prompts.chunks(options.batch_size.max(1)) {
        answers.extend(answer_batch(model, &task.task, batch, journal)?);
        progress.documents(&task.task, answers.len(), set.prompts.len());
    }
    scorer.score(set, &answers)
}

/// Answers a batch; documents the journal knows are not asked again.
fn answer_batch(
    model: &mut dyn LanguageModel,
    task: &str,
    batch: &[Prompt],
    journal: &mut Journal,
) -> Result<Vec<Answer>, BenchError> {
    let mut answers: Vec<Option<Answer>> = batch.iter().map(|prompt| journal.answer(&prompt.requests)).collect();
    let open: Vec<usize> = (0..batch.len()).filter(|&index| answers[index].is_none()).collect();
    let (mut pairs, mut pair_counts, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    for &index in &open {
        match &batch[index].requests {
            Requests::Choices(requests) => {
                pair_counts.push((index, requests.len()));
                pairs.extend(requests.iter().cloned());
            }
            Requests::Text(request) => texts.push((index, request.clone())),
        }
    }
    if !pairs.is_empty() {
        let mut scores = expect_len(model.loglikelihood(&pairs)?, pairs.len())?.into_iter();
        for (index, count) in pair_counts {
            answers[index] = Some(Answer::Choices(scores.by_ref().take(count).collect()));
        }
    }
    if !texts.is_empty() {
        let requests: Vec<_> = texts.iter().map(|(_, request)| request.clone()).collect();
        let generated = expect_len(model.generate_until(&requests)?, requests.len())?;
        for ((index, _), text) in texts.into_iter().zip(generated) {
            answers[index] = Some(Answer::Text(text));
        }
    }
    let fresh = open
        .iter()
        .filter_map(|&index| Some((&batch[index], answers[index].as_ref()?)));
    journal.append(task, fresh)?;
    Ok(answers.into_iter().flatten().collect())
}

fn expect_len<T>(answers: Vec<T>, expected: usize) -> Result<Vec<T>, BenchError> {
    if answers.len() == expected {
        return Ok(answers);
    }
    Err(BenchError::Model(format!(
        "{expected} answers expected, {} given",
        answers.len()
    )))
}

/// A task's filters and metrics, compiled. Made before the model is asked, so that a bad expression costs nothing.
struct Scorer<'a> {
    task: &'a Task,
    filters: Vec<Filter>,
    exact: Vec<ExactMatch<'a>>,
}

impl<'a> Scorer<'a> {
    fn new(task: &'a Task) -> Result<Self, BenchError> {
        let invalid = |field: &'static str| {
            move |problem: String| BenchError::TaskField {
                task: task.task.clone(),
                field,
                problem,
            }
        };
        let filters = task.filters().iter().map(Filter::new).collect::<Result<_, _>>();
        let exact = task.metric_list.iter().map(ExactMatch::new).collect::<Result<_, _>>();
        Ok(Self {
            task,
            filters: filters.map_err(invalid("filter_list"))?,
            exact: exact.map_err(invalid("metric_list"))?,
        })
    }

    fn score(&self, set: PromptSet, answers: &[Answer]) -> Result<TaskEvaluation, BenchError> {
        let mut samples = Vec::with_capacity(answers.len() * self.filters.len());
        let mut scores = Vec::new();
        for filter in &self.filters {
            let first = samples.len();
            for (prompt, answer) in set.prompts.iter().zip(answers) {
                samples.push(self.sample(prompt, answer, filter)?);
            }
            let metrics = self.task.metric_list.iter().enumerate();
            scores.extend(metrics.map(|(index, entry)| average(&samples[first..], index, entry.metric, filter)));
        }
        Ok(TaskEvaluation {
            task: self.task.clone(),
            num_fewshot: set.num_fewshot,
            documents: set.documents,
            samples,
            scores,
        })
    }

    fn sample(&self, prompt: &Prompt, answer: &Answer, filter: &Filter) -> Result<Sample, BenchError> {
        let entries = &self.task.metric_list;
        let (filtered, metrics) = match (answer, &prompt.gold) {
            (Answer::Choices(scores), Gold::Choice(gold)) => {
                let score = |metric| choice_score(metric, scores, &prompt.choices, *gold);
                (
                    None,
                    entries
                        .iter()
                        .map(|entry| (entry.metric, score(entry.metric)))
                        .collect(),
                )
            }
            (Answer::Text(text), Gold::Text(target)) => {
                let filtered = filter.apply(text);
                let pairs = entries.iter().zip(&self.exact);
                let metrics = pairs
                    .map(|(entry, exact)| (entry.metric, exact.score(&filtered, target)))
                    .collect();
                (Some(filtered), metrics)
            }
            _ => return Err(BenchError::Model("an answer of the wrong kind".to_owned())),
        };
        Ok(Sample {
            prompt: prompt.clone(),
            answer: answer.clone(),
            filter: filter.name.clone(),
            filtered,
            metrics,
        })
    }
}

/// The mean of the metric at `index` over one filter's samples.
fn average(samples: &[Sample], index: usize, metric: Metric, filter: &Filter) -> Score {
    let values: Vec<f64> = samples.iter().map(|sample| sample.metrics[index].1).collect();
    Score {
        metric,
        filter: filter.name.clone(),
        value: stats::mean(&values),
        stderr: stats::mean_stderr(&values),
        n: values.len(),
    }
}
