//! Everything before an answer: system text, examples, the question, and the chat template round them.

use std::sync::Arc;

use super::{FormatChat, PromptOptions};
use crate::form::Example;
use crate::python_text::is_space;
use crate::task::Task;
use crate::{BenchError, ChatPrompt, Turn};

/// The contexts of a task's questions.
pub(super) struct Contexts<'a> {
    pub(super) task: &'a Task,
    pub(super) options: &'a PromptOptions,
    pub(super) chat: &'a FormatChat<'a>,
}

impl Contexts<'_> {
    /// Between the question and a scored choice: none after a chat template, which ends in a line of its own.
    pub(super) fn answer_delimiter(&self) -> &str {
        if self.options.apply_chat_template {
            ""
        } else {
            &self.task.target_delimiter
        }
    }

    /// Everything up to the answer.
    pub(super) fn context(&self, examples: &[Arc<Example>], question: &str) -> Result<ChatPrompt, BenchError> {
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
}

fn turn(role: &'static str, content: &str) -> Turn {
    let content = content.to_owned();
    Turn { role, content }
}
