//! `multiple_choice`: the log-likelihood of every choice after the question, or of one continuation after every choice.

use super::{Asked, Example, Form, KeyError, Reader, rendered, shown_answer};
use crate::task::{ChoiceField, TargetField, Task};
use crate::template::{Rendered, Templates};
use crate::{BenchError, Document, Gold, Requests};

pub(super) struct Choices;

impl Form for Choices {
    fn name(&self) -> &'static str {
        "multiple_choice"
    }

    fn validate(&self, task: &Task) -> Result<(), BenchError> {
        if task.doc_to_choice.is_none() {
            return task.refuse("doc_to_choice", "required by output_type multiple_choice");
        }
        if !task.filter_list.is_empty() {
            return task.refuse("filter_list", "filters apply to generated text, not to multiple_choice");
        }
        Ok(())
    }

    fn reader<'a>(&self, task: &'a Task, first: &Document) -> Box<dyn Reader + 'a> {
        Box::new(ChoiceReader::new(task, first))
    }
}

struct ChoiceReader<'a> {
    task: &'a Task,
    templates: Templates,
    /// Whether the choices are contexts of one continuation.
    several_contexts: bool,
}

enum Question {
    Text(String),
    /// The choices are contexts; the one of this index is right.
    Contexts(i64),
}

/// A document's parts, rendered.
struct Parts {
    question: Question,
    choices: Vec<String>,
    target: Rendered,
}

impl<'a> ChoiceReader<'a> {
    fn new(task: &'a Task, first: &Document) -> Self {
        let mut reader = Self {
            task,
            templates: Templates::new(),
            several_contexts: false,
        };
        reader.several_contexts = reader.asks_contexts(first).unwrap_or(false);
        reader
    }

    /// Whether the question is an integer and the target a text that is no choice.
    fn asks_contexts(&self, first: &Document) -> Result<bool, KeyError> {
        let (target, choices) = (self.target(first)?, self.choices(first)?);
        let question = rendered("doc_to_text", self.templates.value(&self.task.doc_to_text, first))?;
        let no_choice = matches!(target, Rendered::Text(text) if !choices.contains(&text));
        Ok(no_choice && matches!(question, Rendered::Integer(_)))
    }

    fn parts(&self, document: &Document) -> Result<Parts, KeyError> {
        Ok(Parts {
            choices: self.choices(document)?,
            target: self.target(document)?,
            question: self.question(document)?,
        })
    }

    fn question(&self, document: &Document) -> Result<Question, KeyError> {
        let template = &self.task.doc_to_text;
        if !self.several_contexts {
            return rendered("doc_to_text", self.templates.text(template, document)).map(Question::Text);
        }
        match rendered("doc_to_text", self.templates.value(template, document))? {
            Rendered::Integer(gold) => Ok(Question::Contexts(gold)),
            other => {
                let problem = format!("an integer is expected, as for the first document, found `{other}`");
                Err(KeyError::new("doc_to_text", problem))
            }
        }
    }

    fn target(&self, document: &Document) -> Result<Rendered, KeyError> {
        let target = match &self.task.doc_to_target {
            TargetField::Index(index) => Ok(Rendered::Integer(*index as i64)),
            TargetField::Template(template) if self.several_contexts => {
                self.templates.text(template, document).map(Rendered::Text)
            }
            TargetField::Template(template) => self.templates.value(template, document),
        };
        rendered("doc_to_target", target)
    }

    fn choices(&self, document: &Document) -> Result<Vec<String>, KeyError> {
        let template = match &self.task.doc_to_choice {
            None => return Ok(Vec::new()),
            // The items are the choices, whatever fields are called and even if they look like templates.
            Some(ChoiceField::List(list)) => return Ok(list.clone()),
            Some(ChoiceField::Template(template)) => template,
        };
        match rendered("doc_to_choice", self.templates.value(template, document))? {
            Rendered::List(list) if !list.is_empty() => Ok(list),
            other => {
                let problem = format!("a list of choices is expected, found `{other}`");
                Err(KeyError::new("doc_to_choice", problem))
            }
        }
    }
}

impl Reader for ChoiceReader<'_> {
    fn ask(&self, document: &Document, delimiter: &str) -> Result<Asked, KeyError> {
        let Parts {
            question,
            choices,
            target,
        } = self.parts(document)?;
        let (gold, requests) = match &question {
            Question::Contexts(gold) => {
                let requests = Requests::contexts(&choices, &format!("{delimiter}{target}"));
                (index(&choices, *gold), requests)
            }
            Question::Text(question) => {
                let continuations = choices.iter().map(|choice| format!("{delimiter}{choice}"));
                let requests = Requests::continuations(question, continuations);
                (right_choice(&target, &choices)?, requests)
            }
        };
        Ok(Asked {
            requests,
            gold: Gold::Choice(gold),
            target: target.to_string(),
            choices,
        })
    }

    fn example(&self, document: &Document) -> Result<Example, KeyError> {
        let parts = self.parts(document)?;
        let question = match parts.question {
            Question::Text(question) => question,
            Question::Contexts(gold) => choice("doc_to_text", &parts.choices, gold)?,
        };
        let answer = match parts.target {
            Rendered::Integer(gold) => Some(choice("doc_to_target", &parts.choices, gold)?),
            target => shown_answer(target)?,
        };
        Ok(Example { question, answer })
    }
}

fn right_choice(target: &Rendered, choices: &[String]) -> Result<Option<usize>, KeyError> {
    match target {
        Rendered::Integer(gold) => Ok(index(choices, *gold)),
        Rendered::Text(text) => Ok(choices.iter().position(|choice| choice == text)),
        Rendered::List(_) => Err(KeyError::new(
            "doc_to_target",
            "several right answers are not supported with multiple_choice",
        )),
    }
}

/// An integer as the index of a choice, if there is such a choice.
fn index(choices: &[String], integer: i64) -> Option<usize> {
    usize::try_from(integer).ok().filter(|index| *index < choices.len())
}

/// The choice an integer names.
fn choice(key: &'static str, choices: &[String], integer: i64) -> Result<String, KeyError> {
    match index(choices, integer) {
        Some(index) => Ok(choices[index].clone()),
        None => {
            let problem = format!("choice {integer} of {} does not exist", choices.len());
            Err(KeyError::new(key, problem))
        }
    }
}
