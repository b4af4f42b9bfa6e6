//! Everything before an answer: system text, examples, the question, and the chat template round them.

use std::sync::Arc;

use super::{FormatChat, PromptOptions};
use crate::form::Example;
use crate::python_text::{is_space, strip};
use crate::task::Task;
use crate::{BenchError, ChatPrompt, Turn};

/// The contexts of a task's questions.
pub(super) struct Contexts<'a> {
    pub(super) task: &'a Task,
    /// The task with the keys that differ for examples.
    pub(super) shown: &'a Task,
    pub(super) options: &'a PromptOptions,
    pub(super) chat: &'a FormatChat<'a>,
}

/// What stands round a document's question.
pub(super) struct Frame {
    /// The task's description, rendered.
    pub(super) description: String,
    pub(super) examples: Vec<Arc<Example>>,
    /// How the answer begins, if the task says so.
    pub(super) prefix: Option<String>,
    /// Whether the target delimiter may stand before it.
    pub(super) prefix_delimiter: bool,
}

/// A turn, and what follows it in plain text.
struct Part {
    role: &'static str,
    content: String,
    delimiter: String,
}

impl Part {
    fn new(role: &'static str, content: impl Into<String>, delimiter: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
            delimiter: delimiter.into(),
        }
    }
}

impl Contexts<'_> {
    /// Between the question and a scored choice: none after a chat template, which ends in a line of its own, unless
    /// the answer has begun.
    pub(super) fn answer_delimiter(&self) -> &str {
        let begun = self
            .task
            .gen_prefix
            .as_ref()
            .is_some_and(|prefix| !prefix.ends_with(is_space));
        if self.options.apply_chat_template && !begun {
            ""
        } else {
            &self.task.target_delimiter
        }
    }

    /// Everything up to the answer.
    pub(super) fn context(&self, frame: &Frame, question: &str) -> Result<ChatPrompt, BenchError> {
        let mut parts = Vec::new();
        for example in &frame.examples {
            self.show(example, &mut parts);
        }
        let prefix = frame.prefix.as_deref().filter(|prefix| !prefix.is_empty());
        let delimited = frame.prefix_delimiter && prefix.is_some_and(|prefix| needs_delimiter(question, prefix));
        let delimiter = if delimited {
            self.task.target_delimiter.as_str()
        } else {
            ""
        };
        parts.push(Part::new("user", question, delimiter));
        parts.extend(prefix.map(|prefix| Part::new("assistant", prefix, "")));
        let system = self.system_text(&frame.description);
        if self.options.apply_chat_template {
            return self.chat_context(system, parts);
        }
        Ok(ChatPrompt {
            text: system + &plain(&parts),
            special: Vec::new(),
        })
    }

    /// The system instruction, then the task's description; the delimiter stands between them only, and only where
    /// neither brings white space.
    fn system_text(&self, description: &str) -> String {
        let instruction = self.options.system_instruction.as_deref().unwrap_or_default();
        joined(instruction, description, &self.task.fewshot_delimiter)
    }

    /// An example as question and answer. One without an answer ends with its question, or with how the answer begins.
    fn show(&self, example: &Example, parts: &mut Vec<Part>) {
        let (middle, end) = (&self.shown.target_delimiter, &self.shown.fewshot_delimiter);
        let prefix = example.prefix.as_deref().filter(|prefix| !prefix.is_empty());
        let delimited = match (prefix, &example.answer) {
            (None, answer) => answer.is_some(),
            (Some(prefix), _) => needs_delimiter(&example.question, prefix),
        };
        let delimiter = if delimited { middle.as_str() } else { "" };
        parts.push(Part::new("user", example.question.as_str(), delimiter));
        match (prefix, &example.answer) {
            (prefix, Some(answer)) => {
                parts.push(Part::new(
                    "assistant",
                    joined(prefix.unwrap_or_default(), answer, " "),
                    end.as_str(),
                ));
            }
            (Some(prefix), None) => parts.push(Part::new("assistant", prefix, "")),
            (None, None) => {}
        }
    }

    fn chat_context(&self, system: String, mut parts: Vec<Part>) -> Result<ChatPrompt, BenchError> {
        let mut turns = Vec::new();
        if !system.is_empty() {
            turns.push(turn("system", &system));
        }
        let begun = parts.pop_if(|part| part.role == "assistant");
        if self.options.fewshot_as_multiturn {
            turns.extend(parts.iter().map(|part| turn(part.role, &part.content)));
        } else {
            if let Some(last) = parts.last_mut() {
                last.delimiter.clear();
            }
            turns.push(turn("user", &plain(&parts)));
        }
        let Some(begun) = begun else {
            return (self.chat)(&turns, true);
        };
        turns.push(turn("assistant", &begun.content));
        self.left_open((self.chat)(&turns, false)?, &begun.content)
    }

    /// A prompt without what the template writes after the beginning of the answer.
    fn left_open(&self, mut prompt: ChatPrompt, begun: &str) -> Result<ChatPrompt, BenchError> {
        let stripped = strip(begun);
        let Some(start) = prompt.text.rfind(stripped) else {
            let problem = format!("the chat template does not write `{stripped}`, with which the answer begins");
            return self.task.refuse("gen_prefix", problem);
        };
        let whole = begun.trim_start_matches(is_space);
        // A template may keep the white space at the end, or cut it off.
        let kept = prompt.text[start..].starts_with(whole) && whole == begun;
        prompt
            .text
            .truncate(start + if kept { whole.len() } else { stripped.len() });
        prompt.special.retain(|range| range.end <= prompt.text.len());
        Ok(prompt)
    }
}

fn plain(parts: &[Part]) -> String {
    parts
        .iter()
        .flat_map(|part| [part.content.as_str(), part.delimiter.as_str()])
        .collect()
}

/// Whether neither text brings white space where they meet.
fn needs_delimiter(before: &str, after: &str) -> bool {
    !before.is_empty() && !before.ends_with(is_space) && !after.starts_with(is_space)
}

/// Two texts, the delimiter between them only if there are two and neither brings white space.
fn joined(before: &str, after: &str, delimiter: &str) -> String {
    if after.is_empty() || !needs_delimiter(before, after) {
        return format!("{before}{after}");
    }
    format!("{before}{delimiter}{after}")
}

fn turn(role: &'static str, content: &str) -> Turn {
    let content = content.to_owned();
    Turn { role, content }
}
