//! A task's filters and metrics, applied to answers.

use std::sync::Arc;

use crate::evaluate::{Sample, Score};
use crate::filter::{Filter, FilterError};
use crate::metric::{self, Answered, Metric, MetricValue, ValueError};
use crate::resources::Resources;
use crate::task::Task;
use crate::{Answer, BenchError, Prompt, stats};

/// Filters and metrics with their expressions compiled.
pub(crate) struct Scorer<'a> {
    task: &'a Task,
    filters: Vec<Filter>,
    metrics: Vec<(&'static str, Box<dyn Metric>)>,
}

impl<'a> Scorer<'a> {
    pub(crate) fn new(task: &'a Task) -> Result<Self, BenchError> {
        let filters = task.filters().iter().map(Filter::new).collect::<Result<_, _>>();
        let metrics = task.metric_list.iter().map(|entry| metric::open(task, entry));
        Ok(Self {
            task,
            filters: filters.map_err(|error| error.in_task(task, "filter_list"))?,
            metrics: metrics.collect::<Result<_, _>>()?,
        })
    }

    /// Reads what metrics need below the root of the data.
    pub(crate) fn load(&mut self, resources: &Resources) -> Result<(), BenchError> {
        let mut metrics = self.metrics.iter_mut();
        metrics.try_for_each(|(_, metric)| metric.load(resources))
    }

    /// Refuses documents that a metric could not value.
    pub(crate) fn check(&self, prompts: &[Prompt]) -> Result<(), BenchError> {
        for prompt in prompts {
            for (_, metric) in &self.metrics {
                let checked = metric.check(&prompt.document);
                checked.map_err(|error| error.in_document(self.task, prompt.doc_id))?;
            }
        }
        Ok(())
    }

    /// Samples get no values and tasks no scores.
    pub(crate) fn forget_metrics(&mut self) {
        self.metrics.clear();
    }

    /// How many filters there are.
    pub(crate) fn filters(&self) -> usize {
        self.filters.len()
    }

    /// One sample per filter.
    pub(crate) fn samples(&self, prompt: &Arc<Prompt>, answer: &Answer) -> Result<Vec<Sample>, BenchError> {
        let samples = self.filters.iter().map(|filter| self.sample(prompt, answer, filter));
        samples.collect()
    }

    fn sample(&self, prompt: &Arc<Prompt>, answer: &Answer, filter: &Filter) -> Result<Sample, BenchError> {
        let texts = match answer {
            Answer::Text(text) => Some(std::slice::from_ref(text)),
            Answer::Texts(texts) => Some(texts.as_slice()),
            Answer::Choices(_) | Answer::Rolling(_) => None,
        };
        let filtered = texts.map(|texts| filter.apply(texts, &prompt.document)).transpose();
        let filtered = filtered.map_err(|error| self.not_filtered(prompt.doc_id, error))?;
        let answered = Answered {
            prompt,
            answer,
            filtered: filtered.as_deref(),
        };
        let metrics = self.metrics.iter().map(|(name, metric)| {
            let value = metric.value(&answered);
            Ok((*name, value.map_err(|error| self.no_value(prompt.doc_id, error))?))
        });
        Ok(Sample {
            metrics: metrics.collect::<Result<_, BenchError>>()?,
            prompt: prompt.clone(),
            answer: answer.clone(),
            filter: filter.name.clone(),
            filtered,
        })
    }

    fn not_filtered(&self, doc_id: usize, error: FilterError) -> BenchError {
        match error {
            FilterError::Expression(error) => error.in_document(self.task, doc_id, "filter_list"),
            FilterError::Document(problem) => BenchError::Document {
                task: self.task.task.clone(),
                doc_id,
                field: "filter_list",
                source: problem.into(),
            },
        }
    }

    fn no_value(&self, doc_id: usize, error: ValueError) -> BenchError {
        match error {
            ValueError::Expression(error) => error.in_document(self.task, doc_id, "metric_list"),
            ValueError::Document(error) => error.in_document(self.task, doc_id),
            ValueError::Target(problem) => BenchError::Document {
                task: self.task.task.clone(),
                doc_id,
                field: "doc_to_target",
                source: problem.into(),
            },
            ValueError::WrongAnswer => BenchError::Model("an answer of the wrong kind".into()),
        }
    }

    /// The score of every metric over one filter's samples.
    pub(crate) fn scores(&self, samples: &[Sample]) -> Vec<Score> {
        let Some(filter) = samples.first().map(|sample| &sample.filter) else {
            return Vec::new();
        };
        let metrics = self.metrics.iter().enumerate().map(|(index, (name, metric))| {
            let values: Vec<MetricValue> = samples.iter().map(|sample| sample.metrics[index].1.clone()).collect();
            let documents = samples.iter().map(|sample| &sample.prompt.document);
            let documents: Vec<_> = documents.zip(&values).collect();
            Score {
                metric: (*name).to_owned(),
                filter: filter.clone(),
                value: metric.aggregate(&values),
                stderr: metric.stderr(&values),
                n: values.len(),
                parts: metric.parts(&documents),
                outcomes: metric.outcomes(&values),
                higher_is_better: metric.higher_is_better(),
                scale: metric.scale(),
                chance: chance(metric.as_ref(), samples),
            }
        });
        metrics.collect()
    }
}

/// The mean over the documents, if it means something for all of them.
fn chance(metric: &dyn Metric, samples: &[Sample]) -> Option<f64> {
    let chances = samples.iter().map(|sample| metric.chance(&sample.prompt));
    let chances = chances.collect::<Option<Vec<f64>>>()?;
    Some(stats::mean(&chances))
}
