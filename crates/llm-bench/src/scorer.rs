//! A task's filters and metrics, applied to answers.

use std::sync::Arc;

use crate::evaluate::{Answer, Sample, Score};
use crate::expression::ExpressionError;
use crate::metric::{ExactMatch, Filter, Loglikelihood, preferred};
use crate::task::{Metric, Task};
use crate::{BenchError, Gold, Prompt, stats};

/// Filters and metrics with their expressions compiled.
pub(crate) struct Scorer<'a> {
    task: &'a Task,
    filters: Vec<Filter>,
    exact: Vec<ExactMatch>,
}

impl<'a> Scorer<'a> {
    pub(crate) fn new(task: &'a Task) -> Result<Self, BenchError> {
        let invalid = |field: &'static str| {
            move |ExpressionError { pattern, source }| BenchError::Expression {
                task: task.task.clone(),
                field,
                pattern,
                source,
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

    /// How many filters there are.
    pub(crate) fn filters(&self) -> usize {
        self.filters.len()
    }

    /// One sample per filter.
    pub(crate) fn samples(&self, prompt: &Arc<Prompt>, answer: &Answer) -> Result<Vec<Sample>, BenchError> {
        self.filters
            .iter()
            .map(|filter| self.sample(prompt, answer, filter))
            .collect()
    }

    fn sample(&self, prompt: &Arc<Prompt>, answer: &Answer, filter: &Filter) -> Result<Sample, BenchError> {
        let (filtered, metrics) = match (answer, &prompt.gold) {
            (Answer::Choices(scores), Gold::Choice(gold)) => (None, self.choice_metrics(prompt, scores, *gold)),
            (Answer::Text(text), Gold::Texts(references)) => {
                let failed = |field| move |error| self.failed(prompt.doc_id, field, error);
                let filtered = filter.apply(text).map_err(failed("filter_list"))?;
                let metrics = self.task.metric_list.iter().zip(&self.exact).map(|(entry, exact)| {
                    let value = exact.score(&filtered, references).map_err(failed("metric_list"))?;
                    Ok((entry.metric, value))
                });
                let metrics = metrics.collect::<Result<_, BenchError>>()?;
                (Some(filtered), metrics)
            }
            _ => return Err(BenchError::Model("an answer of the wrong kind".into())),
        };
        Ok(Sample {
            prompt: prompt.clone(),
            answer: answer.clone(),
            filter: filter.name.clone(),
            filtered,
            metrics,
        })
    }

    fn choice_metrics(&self, prompt: &Prompt, scores: &[Loglikelihood], gold: Option<usize>) -> Vec<(Metric, f64)> {
        let metrics = self.task.metric_list.iter().map(|entry| {
            let right = gold.is_some() && preferred(entry.metric, scores, &prompt.choices) == gold;
            (entry.metric, f64::from(u8::from(right)))
        });
        metrics.collect()
    }

    fn failed(&self, doc_id: usize, field: &'static str, error: ExpressionError) -> BenchError {
        BenchError::Match {
            task: self.task.task.clone(),
            doc_id,
            field,
            pattern: error.pattern,
            source: error.source,
        }
    }

    /// The mean of every metric over one filter's samples.
    pub(crate) fn scores(&self, samples: &[Sample]) -> Vec<Score> {
        let Some(filter) = samples.first().map(|sample| &sample.filter) else {
            return Vec::new();
        };
        let metrics = self.task.metric_list.iter().enumerate().map(|(index, entry)| {
            let values: Vec<f64> = samples.iter().map(|sample| sample.metrics[index].1).collect();
            Score {
                metric: entry.metric,
                filter: filter.clone(),
                value: stats::mean(&values),
                stderr: stats::mean_stderr(&values),
                n: values.len(),
            }
        });
        metrics.collect()
    }
}
