//! Chooses the documents that are shown as few-shot examples before a question.

use std::collections::HashMap;
use std::sync::Arc;

use crate::form::Example;
use crate::task::{FewshotSampler, Task};
use crate::{BenchError, Document, PythonRandom};

/// Seed of the few-shot sampler in lm-evaluation-harness.
const FEWSHOT_SEED: u64 = 1234;

/// The pool, the state of the sampler, and what was rendered of the pool.
pub(super) struct Examples<'a> {
    pub(super) pool: &'a [Document],
    pub(super) rendered: HashMap<usize, Arc<Example>>,
    shots: usize,
    random: PythonRandom,
    /// Whether the document asked about may be in the pool. What counts is that the two splits are written alike in
    /// the task, so two absent ones count as equal, as in the original.
    holds_document: bool,
}

impl<'a> Examples<'a> {
    pub(super) fn new(task: &Task, pool: &'a [Document], shots: usize) -> Self {
        Self {
            pool,
            rendered: HashMap::new(),
            shots,
            random: PythonRandom::new(FEWSHOT_SEED),
            holds_document: task.named_examples_split() == task.test_split.as_deref(),
        }
    }

    /// Draws the examples for a document, as indices into the pool. The document itself, and others equal to it, are
    /// left out where the pool may hold them.
    pub(super) fn draw(&mut self, task: &Task, document: &Document) -> Result<Vec<usize>, BenchError> {
        let drawn = match (self.shots, task.fewshot_config.sampler) {
            (0, _) => Ok(Vec::new()),
            (_, FewshotSampler::FirstN) => self.first(document),
            (_, FewshotSampler::Default) => self.random(document),
        };
        drawn.map_err(|available| BenchError::TooFewExamples {
            task: task.task.clone(),
            asked: self.shots,
            available,
        })
    }

    fn is_other(&self, index: usize, document: &Document) -> bool {
        !self.holds_document || self.pool[index] != *document
    }

    /// The error is how many there are.
    fn first(&self, document: &Document) -> Result<Vec<usize>, usize> {
        let others = (0..self.pool.len()).filter(|&index| self.is_other(index, document));
        let first: Vec<usize> = others.take(self.shots).collect();
        if first.len() == self.shots {
            Ok(first)
        } else {
            Err(first.len())
        }
    }

    /// One more is drawn where the document may be among them. If its duplicates leave too few, all are drawn again
    /// from the rest of the pool. The error is how many there are.
    fn random(&mut self, document: &Document) -> Result<Vec<usize>, usize> {
        let (size, extra) = (self.pool.len(), usize::from(self.holds_document));
        let drawn = self.random.sample(size, self.shots.saturating_add(extra));
        let drawn = drawn.ok_or(size.saturating_sub(extra))?.into_iter();
        let others: Vec<usize> = drawn
            .filter(|&index| self.is_other(index, document))
            .take(self.shots)
            .collect();
        if others.len() == self.shots {
            return Ok(others);
        }
        let rest: Vec<usize> = (0..size).filter(|&index| self.is_other(index, document)).collect();
        let drawn = self.random.sample(rest.len(), self.shots).ok_or(rest.len())?;
        Ok(drawn.into_iter().map(|index| rest[index]).collect())
    }
}
