//! `multiple_choice`: the log-likelihood of every choice after the question, or of one continuation after every choice.

use super::{
    Asked, Example, Form, KeyError, Reader, choice_list, index, refuse_filters, rendered, shown_answer, shown_choice,
};
use crate::metric;
use crate::task::{TargetField, Task};
use crate::template::{Rendered, Templates};
use crate::{BenchError, Document, Gold, Requests};

pub(super) struct Choices;

impl Form for Choices {
    fn name(&self) -> &'static str {
        "multiple_choice"
    }

    fn default_metrics(&self) -> &'static [&'static str] {
        &["acc", "acc_norm"]
    }

    fn validate(&self, task: &Task) -> Result<(), BenchError> {
        if task.doc_to_choice.is_none() {
            return task.refuse("doc_to_choice", "required by output_type multiple_choice");
        }
        refuse_filters(task)
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
    /// Whether targets are lists of choices, any of which is right.
    several_answers: bool,
    /// Whether a metric compares a choice after the question with the choice alone.
    unconditional: bool,
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
            several_answers: false,
            unconditional: metric::asks_unconditional(task),
        };
        reader.several_contexts = reader.asks_contexts(first).unwrap_or(false);
        reader.several_answers = matches!(reader.target(first), Ok(Rendered::List(_)));
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
        choice_list(&self.templates, self.task.doc_to_choice.as_ref(), document)
    }
}

impl ChoiceReader<'_> {
    /// The right choice, or the right ones where the first document has a list of them.
    fn right(&self, target: &Rendered, choices: &[String]) -> Result<Gold, KeyError> {
        match target {
            Rendered::Integer(gold) if !self.several_answers => Ok(Gold::Choice(index(choices, *gold))),
            Rendered::Text(text) if !self.several_answers => {
                Ok(Gold::Choice(choices.iter().position(|choice| choice == text)))
            }
            Rendered::List(indices) if self.several_answers => {
                let indices = indices.iter().map(|text| text.parse().map(|gold| index(choices, gold)));
                let indices: Result<Vec<_>, std::num::ParseIntError> = indices.collect();
                indices.map(Gold::Choices).map_err(|_| {
                    let problem = format!("a list of indices is expected, found {target}");
                    KeyError::new("doc_to_target", problem)
                })
            }
            other => {
                let expected = if self.several_answers {
                    "a list of indices"
                } else {
                    "one index or choice"
                };
                let problem = format!("{expected} is expected, as for the first document, found `{other}`");
                Err(KeyError::new("doc_to_target", problem))
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
        let continuations: Vec<String> = choices.iter().map(|choice| format!("{delimiter}{choice}")).collect();
        let (gold, requests) = match &question {
            Question::Contexts(gold) => {
                let requests = Requests::contexts(&choices, &format!("{delimiter}{target}"));
                (Gold::Choice(index(&choices, *gold)), requests)
            }
            Question::Text(question) => {
                let requests = Requests::continuations(question, continuations.iter().cloned());
                (self.right(&target, &choices)?, requests)
            }
        };
        Ok(Asked {
            requests,
            unconditional: if self.unconditional { continuations } else { Vec::new() },
            prefix_delimiter: !self.several_contexts,
            gold,
            target: target.to_string(),
            choices,
        })
    }

    fn example(&self, document: &Document) -> Result<Example, KeyError> {
        let parts = self.parts(document)?;
        let question = match parts.question {
            Question::Text(question) => question,
            Question::Contexts(gold) => shown_choice("doc_to_text", &parts.choices, gold)?,
        };
        let answer = match parts.target {
            Rendered::Integer(gold) => Some(shown_choice("doc_to_target", &parts.choices, gold)?),
            target => shown_answer(target)?,
        };
        Ok(Example {
            question,
            answer,
            prefix: None,
        })
    }
}
