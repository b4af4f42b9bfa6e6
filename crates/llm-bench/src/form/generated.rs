//! `generate_until`: text that is generated after the question, up to a stop string.

use super::{Asked, Example, Form, KeyError, Reader, rendered, shown_answer};
use crate::task::{TargetField, Task};
use crate::template::{Rendered, Templates};
use crate::{BenchError, Document, GenerationRequest, Gold, Requests};

/// Tokens generated at most when a task does not say.
const DEFAULT_MAX_GEN_TOKS: usize = 256;

pub(super) struct Generated;

impl Form for Generated {
    fn name(&self) -> &'static str {
        "generate_until"
    }

    fn validate(&self, task: &Task) -> Result<(), BenchError> {
        if task.doc_to_choice.is_some() {
            return task.refuse("doc_to_choice", "generated text has no choices");
        }
        Ok(())
    }

    fn longest_answer(&self, task: &Task) -> Option<usize> {
        Some(task.generation_kwargs.max_gen_toks.unwrap_or(DEFAULT_MAX_GEN_TOKS))
    }

    fn reader<'a>(&self, task: &'a Task, first: &Document) -> Box<dyn Reader + 'a> {
        Box::new(TextReader::new(task, self.longest_answer(task), first))
    }
}

struct TextReader<'a> {
    task: &'a Task,
    templates: Templates,
    max_gen_toks: usize,
    /// Whether targets are lists of texts, any of which is right.
    several_answers: bool,
}

impl<'a> TextReader<'a> {
    fn new(task: &'a Task, longest: Option<usize>, first: &Document) -> Self {
        let templates = Templates::new();
        let several_answers = match &task.doc_to_target {
            TargetField::Index(_) => false,
            TargetField::Template(template) => !matches!(templates.answers(template, first), Ok(Rendered::Text(_))),
        };
        Self {
            task,
            templates,
            max_gen_toks: longest.unwrap_or(DEFAULT_MAX_GEN_TOKS),
            several_answers,
        }
    }

    fn question(&self, document: &Document) -> Result<String, KeyError> {
        rendered("doc_to_text", self.templates.text(&self.task.doc_to_text, document))
    }

    fn target(&self, document: &Document) -> Result<Rendered, KeyError> {
        let target = match &self.task.doc_to_target {
            TargetField::Index(index) => Ok(Rendered::Integer(*index as i64)),
            TargetField::Template(template) if self.several_answers => self.templates.answers(template, document),
            TargetField::Template(template) => self.templates.evaluate(template, document),
        };
        rendered("doc_to_target", target)
    }

    fn references(&self, target: &Rendered) -> Result<Vec<String>, KeyError> {
        match target {
            Rendered::List(answers) if self.several_answers || answers.is_empty() => Ok(answers.clone()),
            Rendered::List(_) => {
                let problem = format!("a text is expected, as for the first document, found the list {target}");
                Err(KeyError::new("doc_to_target", problem))
            }
            text => Ok(vec![text.to_string()]),
        }
    }
}

impl Reader for TextReader<'_> {
    fn ask(&self, document: &Document, _delimiter: &str) -> Result<Asked, KeyError> {
        let target = self.target(document)?;
        let question = self.question(document)?;
        Ok(Asked {
            gold: Gold::Texts(self.references(&target)?),
            requests: Requests::Text(GenerationRequest {
                context: question,
                special: Vec::new(),
                until: self.task.stop_strings(),
                max_gen_toks: self.max_gen_toks,
            }),
            choices: Vec::new(),
            target: target.to_string(),
        })
    }

    fn example(&self, document: &Document) -> Result<Example, KeyError> {
        let target = self.target(document)?;
        Ok(Example {
            question: self.question(document)?,
            answer: shown_answer(target)?,
        })
    }
}
