//! `loglikelihood_rolling`: the log-likelihood of a whole text, which a perplexity is made of.

use super::{Asked, Example, Form, KeyError, Reader, refuse_filters, rendered};
use crate::task::{TargetField, Task};
use crate::template::Templates;
use crate::{BenchError, Document, Gold, Requests};

pub(super) struct Rolling;

impl Form for Rolling {
    fn name(&self) -> &'static str {
        "loglikelihood_rolling"
    }

    fn default_metrics(&self) -> &'static [&'static str] {
        &["word_perplexity", "byte_perplexity", "bits_per_byte"]
    }

    fn validate(&self, task: &Task) -> Result<(), BenchError> {
        if task.doc_to_choice.is_some() {
            return task.refuse("doc_to_choice", "a text that is scored as a whole has no choices");
        }
        refuse_filters(task)?;
        if task.gen_prefix.is_some() {
            return task.refuse("gen_prefix", "a text that is scored as a whole has no answer");
        }
        if task.num_fewshot.is_some_and(|examples| examples > 0) {
            return task.refuse(
                "num_fewshot",
                "a text that is scored as a whole has no examples before it",
            );
        }
        Ok(())
    }

    fn has_examples(&self) -> bool {
        false
    }

    fn reader<'a>(&self, task: &'a Task, _first: &Document) -> Box<dyn Reader + 'a> {
        Box::new(WholeText {
            task,
            templates: Templates::new(),
        })
    }
}

/// The target is the text; the question is not used, as in the original.
struct WholeText<'a> {
    task: &'a Task,
    templates: Templates,
}

impl Reader for WholeText<'_> {
    fn ask(&self, document: &Document, _delimiter: &str) -> Result<Asked, KeyError> {
        let text = match &self.task.doc_to_target {
            TargetField::Index(index) => index.to_string(),
            TargetField::Template(template) => rendered("doc_to_target", self.templates.text(template, document))?,
        };
        Ok(Asked {
            requests: Requests::Rolling(text.clone()),
            unconditional: Vec::new(),
            prefix_delimiter: false,
            choices: Vec::new(),
            gold: Gold::Texts(vec![text.clone()]),
            target: text,
        })
    }

    fn example(&self, _document: &Document) -> Result<Example, KeyError> {
        Err(KeyError::new(
            "num_fewshot",
            "a text that is scored as a whole is no example",
        ))
    }
}
