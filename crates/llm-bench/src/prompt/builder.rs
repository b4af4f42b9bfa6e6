//! One document after another into its requests.

use std::sync::Arc;

use super::context::Contexts;
use super::examples::Examples;
use super::{FormatChat, Prompt, PromptOptions};
use crate::form::{Example, KeyError, Reader};
use crate::task::Task;
use crate::{BenchError, Document};

pub(super) struct Builder<'a> {
    task: &'a Task,
    reader: Box<dyn Reader + 'a>,
    contexts: Contexts<'a>,
    examples: Examples<'a>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        task: &'a Task,
        options: &'a PromptOptions,
        chat: &'a FormatChat<'a>,
        examples: Examples<'a>,
        first: &Document,
    ) -> Self {
        Self {
            task,
            reader: task.output_type.form().reader(task, first),
            contexts: Contexts { task, options, chat },
            examples,
        }
    }

    pub(super) fn prompt(&mut self, doc_id: usize, document: Document) -> Result<Prompt, BenchError> {
        let asked = self.reader.ask(&document, self.contexts.answer_delimiter());
        let asked = asked.map_err(|error| self.failed(doc_id, error))?;
        let examples = self.shown(&document)?;
        let requests = asked
            .requests
            .framed(|question| self.contexts.context(&examples, question))?;
        Ok(Prompt {
            doc_id,
            document,
            requests,
            choices: asked.choices,
            gold: asked.gold,
            target: asked.target,
        })
    }

    fn failed(&self, doc_id: usize, error: KeyError) -> BenchError {
        BenchError::Document {
            task: self.task.task.clone(),
            doc_id,
            field: error.key,
            source: error.source,
        }
    }

    /// The examples before a document's question.
    fn shown(&mut self, document: &Document) -> Result<Vec<Arc<Example>>, BenchError> {
        let drawn = self.examples.draw(self.task, document)?;
        drawn.into_iter().map(|index| self.rendered(index)).collect()
    }

    /// The example at an index of the pool, rendered once.
    fn rendered(&mut self, index: usize) -> Result<Arc<Example>, BenchError> {
        if let Some(example) = self.examples.rendered.get(&index) {
            return Ok(example.clone());
        }
        let example = self.reader.example(&self.examples.pool[index]);
        let example = Arc::new(example.map_err(|error| BenchError::Example {
            task: self.task.task.clone(),
            split: self.task.examples_split().to_owned(),
            doc_id: index,
            field: error.key,
            source: error.source,
        })?);
        self.examples.rendered.insert(index, example.clone());
        Ok(example)
    }
}
