//! One document after another into its requests.

use std::sync::Arc;

use super::examples::{Example, Examples};
use super::{
    ChatPrompt, ChatTemplate, GenerationRequest, Gold, LoglikelihoodRequest, Prompt, PromptOptions, Requests, Turn,
};
use crate::python_text::is_space;
use crate::task::{ChoiceField, OutputType, TargetField, Task};
use crate::template::{Rendered, Templates};
use crate::{BenchError, Document};

/// Tokens generated at most when a task does not say.
const DEFAULT_MAX_GEN_TOKS: usize = 256;

/// A document's parts, rendered.
struct Parts {
    question: Question,
    choices: Vec<String>,
    target: Rendered,
}

enum Question {
    Text(String),
    /// The choices are contexts; the one of this index is right.
    Contexts(i64),
}

/// What is asked about a document.
pub(super) struct Asked {
    requests: Requests,
    choices: Vec<String>,
    gold: Gold,
    target: String,
}

impl Asked {
    pub(super) fn prompt(self, doc_id: usize, document: Document) -> Prompt {
        Prompt {
            doc_id,
            document,
            requests: self.requests,
            choices: self.choices,
            gold: self.gold,
            target: self.target,
        }
    }
}

pub(super) struct Builder<'a> {
    task: &'a Task,
    options: &'a PromptOptions,
    chat: &'a ChatTemplate<'a>,
    templates: Templates,
    examples: Examples<'a>,
    /// Whether the choices are contexts of one continuation.
    several_contexts: bool,
    /// Whether targets are lists of texts, any of which is right.
    several_answers: bool,
}

impl<'a> Builder<'a> {
    /// The first document decides whether there are several contexts and several answers, as in the original. What
    /// fails here fails again, and is reported, when the document is rendered.
    pub(super) fn new(
        task: &'a Task,
        options: &'a PromptOptions,
        chat: &'a ChatTemplate<'a>,
        examples: Examples<'a>,
        first: &Document,
    ) -> Self {
        let mut builder = Self {
            task,
            options,
            chat,
            templates: Templates::new(),
            examples,
            several_contexts: false,
            several_answers: false,
        };
        if let (true, TargetField::Template(template)) = (builder.generates(), &task.doc_to_target) {
            let target = builder.templates.answers(template, first);
            builder.several_answers = !matches!(target, Ok(Rendered::Text(_)));
        } else {
            let (target, choices) = (builder.target(first), builder.choices(first));
            let question = builder.templates.value(&task.doc_to_text, first);
            let no_choice = matches!((target, choices), (Ok(Rendered::Text(text)), Ok(list)) if !list.contains(&text));
            builder.several_contexts = no_choice && matches!(question, Ok(Rendered::Integer(_)));
        }
        builder
    }

    pub(super) fn ask(&mut self, doc_id: usize, document: &Document) -> Result<Asked, BenchError> {
        let parts = self.parts(document);
        let parts = parts.map_err(|(field, problem)| self.error(doc_id, field, problem))?;
        let gold = self.gold(&parts);
        let gold = gold.map_err(|problem| self.error(doc_id, "doc_to_target", problem))?;
        let examples = self.shown(document)?;
        Ok(Asked {
            requests: self.requests(&parts, &examples)?,
            choices: parts.choices,
            gold,
            target: parts.target.to_string(),
        })
    }

    fn error(&self, doc_id: usize, field: &str, problem: String) -> BenchError {
        BenchError::Document {
            task: self.task.task.clone(),
            doc_id,
            field: field.to_owned(),
            problem,
        }
    }

    fn generates(&self) -> bool {
        self.task.output_type == OutputType::GenerateUntil
    }

    fn requests(&self, parts: &Parts, examples: &[Arc<Example>]) -> Result<Requests, BenchError> {
        let delimiter = self.answer_delimiter();
        let question = match &parts.question {
            Question::Text(question) => question,
            Question::Contexts(_) => {
                let continuation = format!("{delimiter}{}", parts.target);
                let pairs = parts.choices.iter().map(|choice| {
                    let context = self.context(examples, choice)?;
                    Ok(LoglikelihoodRequest {
                        context: context.text.into(),
                        special: context.special,
                        continuation: continuation.clone(),
                    })
                });
                return Ok(Requests::Choices(pairs.collect::<Result<_, BenchError>>()?));
            }
        };
        let context = self.context(examples, question)?;
        if self.generates() {
            return Ok(Requests::Text(GenerationRequest {
                context: context.text,
                special: context.special,
                until: self.task.stop_strings(),
                max_gen_toks: max_gen_toks(self.task),
            }));
        }
        let text: Arc<str> = context.text.into();
        let pairs = parts.choices.iter().map(|choice| LoglikelihoodRequest {
            context: text.clone(),
            special: context.special.clone(),
            continuation: format!("{delimiter}{choice}"),
        });
        Ok(Requests::Choices(pairs.collect()))
    }

    /// Between the question and a scored choice: none after a chat template, which ends in a line of its own.
    fn answer_delimiter(&self) -> &str {
        if self.options.apply_chat_template {
            ""
        } else {
            &self.task.target_delimiter
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
        let example = self.example(&self.examples.pool[index]).map_err(|(field, problem)| {
            let split = self.task.examples_split();
            self.error(
                index,
                field,
                format!("as a few-shot example from split `{split}`: {problem}"),
            )
        })?;
        let example = Arc::new(example);
        self.examples.rendered.insert(index, example.clone());
        Ok(example)
    }

    /// Renders a document as an example: its question and its right answer.
    fn example(&self, document: &Document) -> Result<Example, (&'static str, String)> {
        let parts = self.parts(document)?;
        let question = match parts.question {
            Question::Text(question) => question,
            Question::Contexts(gold) => choice(&parts.choices, gold).map_err(|problem| ("doc_to_text", problem))?,
        };
        let answer = match parts.target {
            Rendered::Integer(gold) if !parts.choices.is_empty() => {
                Some(choice(&parts.choices, gold).map_err(|problem| ("doc_to_target", problem))?)
            }
            Rendered::List(answers) => {
                let first = answers.into_iter().next();
                Some(first.ok_or_else(|| ("doc_to_target", "an empty list has no answer to show".to_owned()))?)
            }
            target => Some(target.to_string()).filter(|text| !text.is_empty()),
        };
        Ok(Example { question, answer })
    }

    /// Everything up to the answer.
    fn context(&self, examples: &[Arc<Example>], question: &str) -> Result<ChatPrompt, BenchError> {
        if self.options.apply_chat_template {
            return self.chat_context(examples, question);
        }
        Ok(ChatPrompt {
            text: self.system_text() + &self.examples_text(examples) + question,
            special: Vec::new(),
        })
    }

    /// The system instruction, then the task's description; the delimiter stands between them only, and only where
    /// neither brings white space.
    fn system_text(&self) -> String {
        let instruction = self.options.system_instruction.as_deref().unwrap_or_default();
        let description = self.task.description.as_str();
        let spaced = instruction.ends_with(is_space) || description.starts_with(is_space);
        if instruction.is_empty() || description.is_empty() || spaced {
            return format!("{instruction}{description}");
        }
        format!("{instruction}{}{description}", self.task.fewshot_delimiter)
    }

    /// Examples as plain text. One without an answer ends with its question.
    fn examples_text(&self, examples: &[Arc<Example>]) -> String {
        let (middle, end) = (&self.task.target_delimiter, &self.task.fewshot_delimiter);
        let texts = examples.iter().map(|example| match &example.answer {
            Some(answer) => format!("{}{middle}{answer}{end}", example.question),
            None => example.question.clone(),
        });
        texts.collect()
    }

    fn chat_context(&self, examples: &[Arc<Example>], question: &str) -> Result<ChatPrompt, BenchError> {
        let turn = |role, content: &str| Turn {
            role,
            content: content.to_owned(),
        };
        let mut turns = Vec::new();
        let system = self.system_text();
        if !system.is_empty() {
            turns.push(turn("system", &system));
        }
        if self.options.fewshot_as_multiturn {
            for example in examples {
                turns.push(turn("user", &example.question));
                turns.extend(example.answer.as_ref().map(|answer| turn("assistant", answer)));
            }
            turns.push(turn("user", question));
        } else {
            turns.push(turn("user", &(self.examples_text(examples) + question)));
        }
        (self.chat)(&turns, true)
    }

    /// The error is the key at fault and what is wrong.
    fn parts(&self, document: &Document) -> Result<Parts, (&'static str, String)> {
        Ok(Parts {
            choices: self.choices(document).map_err(|problem| ("doc_to_choice", problem))?,
            target: self.target(document).map_err(|problem| ("doc_to_target", problem))?,
            question: self.question(document).map_err(|problem| ("doc_to_text", problem))?,
        })
    }

    fn question(&self, document: &Document) -> Result<Question, String> {
        let template = &self.task.doc_to_text;
        if !self.several_contexts {
            let text = self.templates.text(template, document).map_err(describe)?;
            return Ok(Question::Text(text));
        }
        match self.templates.value(template, document).map_err(describe)? {
            Rendered::Integer(gold) => Ok(Question::Contexts(gold)),
            other => Err(format!(
                "an integer is expected, as for the first document, found `{other}`"
            )),
        }
    }

    /// The target; text stays as it is where text is expected.
    fn target(&self, document: &Document) -> Result<Rendered, String> {
        let template = match &self.task.doc_to_target {
            TargetField::Index(index) => return Ok(Rendered::Integer(*index as i64)),
            TargetField::Template(template) => template,
        };
        if self.several_answers {
            return self.templates.answers(template, document).map_err(describe);
        }
        if self.generates() {
            return self.templates.evaluate(template, document).map_err(describe);
        }
        if self.several_contexts {
            let text = self.templates.text(template, document).map_err(describe)?;
            return Ok(Rendered::Text(text));
        }
        self.templates.value(template, document).map_err(describe)
    }

    fn gold(&self, parts: &Parts) -> Result<Gold, String> {
        if let Question::Contexts(gold) = &parts.question {
            return Ok(Gold::Choice(index(&parts.choices, *gold)));
        }
        if !self.generates() {
            return match &parts.target {
                Rendered::Integer(gold) => Ok(Gold::Choice(index(&parts.choices, *gold))),
                Rendered::Text(text) => Ok(Gold::Choice(parts.choices.iter().position(|choice| choice == text))),
                Rendered::List(_) => Err("several right answers are not supported with multiple_choice".to_owned()),
            };
        }
        match &parts.target {
            Rendered::List(answers) if self.several_answers || answers.is_empty() => Ok(Gold::Texts(answers.clone())),
            Rendered::List(_) => Err(format!(
                "a text is expected, as for the first document, found the list {}",
                parts.target
            )),
            text => Ok(Gold::Texts(vec![text.to_string()])),
        }
    }

    fn choices(&self, document: &Document) -> Result<Vec<String>, String> {
        match &self.task.doc_to_choice {
            None => Ok(Vec::new()),
            // The items are the choices, whatever fields are called and even if they look like templates.
            Some(ChoiceField::List(list)) => Ok(list.clone()),
            Some(ChoiceField::Template(template)) => {
                match self.templates.value(template, document).map_err(describe)? {
                    Rendered::List(list) if !list.is_empty() => Ok(list),
                    other => Err(format!("a list of choices is expected, found `{other}`")),
                }
            }
        }
    }
}

/// Tokens that a task generates at most.
pub(crate) fn max_gen_toks(task: &Task) -> usize {
    task.generation_kwargs.max_gen_toks.unwrap_or(DEFAULT_MAX_GEN_TOKS)
}

/// A template's error with its causes.
fn describe(error: minijinja::Error) -> String {
    format!("{error:#}")
}

/// An integer as the index of a choice, if there is such a choice.
fn index(choices: &[String], integer: i64) -> Option<usize> {
    usize::try_from(integer).ok().filter(|index| *index < choices.len())
}

/// The choice an integer names.
fn choice(choices: &[String], integer: i64) -> Result<String, String> {
    let index = index(choices, integer);
    let found = index.map(|index| choices[index].clone());
    found.ok_or_else(|| format!("choice {integer} of {} does not exist", choices.len()))
}
