//! `generate_until`: text that is generated after the question, up to a stop string.

use super::{Asked, Example, Form, KeyError, Reader, choice_list, rendered, shown_answer, shown_choice};
use crate::task::{TargetField, Task};
use crate::template::{Rendered, Templates};
use crate::{BenchError, Document, GenerationRequest, Gold, Requests, Sampling};

pub(super) struct Generated;

impl Form for Generated {
    fn name(&self) -> &'static str {
        "generate_until"
    }

    fn default_metrics(&self) -> &'static [&'static str] {
        &["exact_match"]
    }

    fn validate(&self, _task: &Task) -> Result<(), BenchError> {
        Ok(())
    }

    fn longest_answer(&self, task: &Task) -> Option<usize> {
        Some(task.generation_kwargs.longest())
    }

    fn reader<'a>(&self, task: &'a Task, first: &Document) -> Box<dyn Reader + 'a> {
        Box::new(TextReader::new(task, first))
    }
}

/// How tokens are drawn; `None` for the most likely ones.
fn sampling(task: &Task) -> Option<Sampling> {
    let kwargs = &task.generation_kwargs;
    kwargs.samples().then(|| Sampling {
        temperature: kwargs.temperature.unwrap_or(1.0),
        top_p: kwargs.top_p.unwrap_or(1.0),
        top_k: kwargs.top_k.unwrap_or(0),
        draw: 0,
    })
}

struct TextReader<'a> {
    task: &'a Task,
    templates: Templates,
    /// Whether targets are lists of texts, any of which is right.
    several_answers: bool,
}

impl<'a> TextReader<'a> {
    fn new(task: &'a Task, first: &Document) -> Self {
        let templates = Templates::new();
        let several_answers = match &task.doc_to_target {
            TargetField::Index(_) => false,
            // The target is the index of a choice.
            TargetField::Template(_) if task.doc_to_choice.is_some() => false,
            TargetField::Template(template) => !matches!(templates.answers(template, first), Ok(Rendered::Text(_))),
        };
        Self {
            task,
            templates,
            several_answers,
        }
    }

    fn question(&self, document: &Document) -> Result<String, KeyError> {
        rendered("doc_to_text", self.templates.text(&self.task.doc_to_text, document))
    }

    fn target(&self, document: &Document) -> Result<Rendered, KeyError> {
        if self.task.doc_to_choice.is_some() {
            return self.chosen(document).map(Rendered::Text);
        }
        let target = match &self.task.doc_to_target {
            TargetField::Index(index) => Ok(Rendered::Integer(*index as i64)),
            TargetField::Template(template) if self.several_answers => self.templates.answers(template, document),
            TargetField::Template(template) => self.templates.evaluate(template, document),
        };
        rendered("doc_to_target", target)
    }

    /// The choice that the target names: the text expected where a task has choices.
    fn chosen(&self, document: &Document) -> Result<String, KeyError> {
        let choices = choice_list(&self.templates, self.task.doc_to_choice.as_ref(), document)?;
        let target = match &self.task.doc_to_target {
            TargetField::Index(index) => Rendered::Integer(*index as i64),
            TargetField::Template(template) => rendered("doc_to_target", self.templates.value(template, document))?,
        };
        match target {
            Rendered::Integer(index) => shown_choice("doc_to_target", &choices, index),
            other => {
                let problem = format!("the index of a choice is expected, found `{other}`");
                Err(KeyError::new("doc_to_target", problem))
            }
        }
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
                max_gen_toks: self.task.generation_kwargs.longest(),
                sampling: sampling(self.task),
                repeats: self.task.repeats,
            }),
            unconditional: Vec::new(),
            prefix_delimiter: true,
            choices: Vec::new(),
            target: target.to_string(),
        })
    }

    fn example(&self, document: &Document) -> Result<Example, KeyError> {
        let target = self.target(document)?;
        Ok(Example {
            question: self.question(document)?,
            answer: shown_answer(target)?,
            prefix: None,
        })
    }
}
