//! `loglikelihood`: the log-likelihood of one continuation, and whether a model would write it.

use super::{Asked, Example, Form, KeyError, Reader, refuse_filters, rendered, shown_answer};
use crate::task::{TargetField, Task};
use crate::template::{Rendered, Templates};
use crate::{BenchError, Document, Gold, Requests};

pub(super) struct Likelihood;

impl Form for Likelihood {
    fn name(&self) -> &'static str {
        "loglikelihood"
    }

    fn default_metrics(&self) -> &'static [&'static str] {
        &["perplexity", "acc"]
    }

    fn validate(&self, task: &Task) -> Result<(), BenchError> {
        if task.doc_to_choice.is_some() {
            return task.refuse("doc_to_choice", "a single continuation has no choices");
        }
        refuse_filters(task)
    }

    fn reader<'a>(&self, task: &'a Task, _first: &Document) -> Box<dyn Reader + 'a> {
        Box::new(Continuation {
            task,
            templates: Templates::new(),
        })
    }
}

struct Continuation<'a> {
    task: &'a Task,
    templates: Templates,
}

impl Continuation<'_> {
    fn question(&self, document: &Document) -> Result<String, KeyError> {
        rendered("doc_to_text", self.templates.text(&self.task.doc_to_text, document))
    }

    fn target(&self, document: &Document) -> Result<String, KeyError> {
        match &self.task.doc_to_target {
            TargetField::Index(index) => Ok(index.to_string()),
            TargetField::Template(template) => rendered("doc_to_target", self.templates.text(template, document)),
        }
    }
}

impl Reader for Continuation<'_> {
    /// The target is the continuation as it is: what separates it from the question is part of it.
    fn ask(&self, document: &Document, _delimiter: &str) -> Result<Asked, KeyError> {
        let (question, target) = (self.question(document)?, self.target(document)?);
        if target.is_empty() {
            return Err(KeyError::new(
                "doc_to_target",
                "a continuation is expected, found an empty text",
            ));
        }
        Ok(Asked {
            requests: Requests::continuations(&question, std::iter::once(target.clone())),
            unconditional: Vec::new(),
            prefix_delimiter: true,
            choices: Vec::new(),
            gold: Gold::Texts(vec![target.clone()]),
            target,
        })
    }

    fn example(&self, document: &Document) -> Result<Example, KeyError> {
        Ok(Example {
            question: self.question(document)?,
            answer: shown_answer(Rendered::Text(self.target(document)?))?,
            prefix: None,
        })
    }
}
