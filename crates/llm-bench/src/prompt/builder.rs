//! One document after another into its requests.

use std::sync::Arc;

use super::context::{Contexts, Frame};
use super::examples::Examples;
use super::{FormatChat, Prompt, PromptOptions};
use crate::form::{Example, KeyError, Reader};
use crate::task::Task;
use crate::template::Templates;
use crate::{BenchError, Document};

pub(super) struct Builder<'a> {
    task: &'a Task,
    /// The task with the keys that differ for examples.
    shown: &'a Task,
    reader: Box<dyn Reader + 'a>,
    /// Reads examples.
    example_reader: Box<dyn Reader + 'a>,
    templates: Templates,
    contexts: Contexts<'a>,
    examples: Examples<'a>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        [task, shown]: [&'a Task; 2],
        options: &'a PromptOptions,
        chat: &'a FormatChat<'a>,
        examples: Examples<'a>,
        first: &Document,
    ) -> Self {
        let form = task.output_type.form();
        Self {
            task,
            shown,
            reader: form.reader(task, first),
            example_reader: form.reader(shown, first),
            templates: Templates::new(),
            contexts: Contexts {
                task,
                shown,
                options,
                chat,
            },
            examples,
        }
    }

    pub(super) fn prompt(&mut self, doc_id: usize, document: Document) -> Result<Prompt, BenchError> {
        let asked = self.reader.ask(&document, self.contexts.answer_delimiter());
        let asked = asked.map_err(|error| self.failed(doc_id, error))?;
        let frame = Frame {
            examples: self.shown(&document)?,
            ..self
                .frame(&document, asked.prefix_delimiter)
                .map_err(|error| self.failed(doc_id, error))?
        };
        let requests = asked
            .requests
            .framed(|question| self.contexts.context(&frame, question))?;
        Ok(Prompt {
            doc_id,
            document,
            requests: requests.with_unconditional(asked.unconditional),
            choices: asked.choices,
            gold: asked.gold,
            target: asked.target,
        })
    }

    /// What stands round a document's question, without the examples.
    fn frame(&self, document: &Document, prefix_delimiter: bool) -> Result<Frame, KeyError> {
        let description = field(&self.templates, "description", &self.task.description, document)?;
        let prefix = self.task.gen_prefix.as_ref();
        let prefix = prefix.map(|prefix| field(&self.templates, "gen_prefix", prefix, document));
        Ok(Frame {
            description,
            examples: Vec::new(),
            prefix: prefix.transpose()?,
            prefix_delimiter,
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
        let example = self.example(&self.examples.pool[index]);
        let example = Arc::new(example.map_err(|error| BenchError::Example {
            task: self.task.task.clone(),
            split: self.task.examples_source().to_owned(),
            doc_id: index,
            field: error.key,
            source: error.source,
        })?);
        self.examples.rendered.insert(index, example.clone());
        Ok(example)
    }

    fn example(&self, document: &Document) -> Result<Example, KeyError> {
        let prefix = self.shown.gen_prefix.as_ref();
        let prefix = prefix.map(|prefix| field(&self.templates, "gen_prefix", prefix, document));
        Ok(Example {
            prefix: prefix.transpose()?,
            ..self.example_reader.example(document)?
        })
    }
}

/// A template or the name of a field, as text.
fn field(templates: &Templates, key: &'static str, template: &str, document: &Document) -> Result<String, KeyError> {
    if template.is_empty() {
        return Ok(String::new());
    }
    templates
        .text(template, document)
        .map_err(|error| KeyError::new(key, error))
}
