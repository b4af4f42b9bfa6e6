//! Forms of tasks: what a document asks of a model, and which answer to it is right.
//!
//! The set is open. A form is a file below `form/` that implements [`Form`] and [`Reader`], and a line in [`FORMS`].
//! What it asks is one of [`Requests`], so a form touches nothing else unless it needs a method that
//! [`LanguageModel`](crate::LanguageModel) does not have.

mod choices;
mod generated;
mod rolling;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::template::Rendered;
use crate::{BenchError, Document, Gold, Requests, Task};

/// Every form, found by its name.
const FORMS: [&dyn Form; 3] = [&choices::Choices, &generated::Generated, &rolling::Rolling];

/// A form of task.
pub(crate) trait Form: Sync {
    /// Its `output_type` in task files.
    fn name(&self) -> &'static str;

    /// Refuses keys of a task that contradict the form.
    ///
    /// # Errors
    /// [`BenchError::TaskField`].
    fn validate(&self, task: &Task) -> Result<(), BenchError>;

    /// Tokens that the model may generate for an answer, if it generates any. A prompt must leave room for them.
    fn longest_answer(&self, _task: &Task) -> Option<usize> {
        None
    }

    /// Whether examples are shown before a document.
    fn has_examples(&self) -> bool {
        true
    }

    /// Reads the documents of a task. The first one decides what the task's templates leave open. What fails on it here
    /// fails again, and is reported, when it is asked.
    fn reader<'a>(&self, task: &'a Task, first: &Document) -> Box<dyn Reader + 'a>;
}

/// The documents of one task, read as its form demands.
pub(crate) trait Reader {
    /// A document's requests, whose contexts are the question alone, and its right answer. `delimiter` belongs between
    /// a question and a scored choice.
    fn ask(&self, document: &Document, delimiter: &str) -> Result<Asked, KeyError>;

    /// A document's question and answer as a few-shot example.
    fn example(&self, document: &Document) -> Result<Example, KeyError>;
}

/// What is asked about a document.
pub(crate) struct Asked {
    pub(crate) requests: Requests,
    /// See [`Prompt::choices`](crate::Prompt::choices).
    pub(crate) choices: Vec<String>,
    pub(crate) gold: Gold,
    /// See [`Prompt::target`](crate::Prompt::target).
    pub(crate) target: String,
}

/// A document shown with its answer before another one is asked.
pub(crate) struct Example {
    pub(crate) question: String,
    /// `None` for an empty target, after which neither a delimiter nor a turn follows, as in the original.
    pub(crate) answer: Option<String>,
}

/// A key of the task that failed on a document.
pub(crate) struct KeyError {
    pub(crate) key: &'static str,
    pub(crate) source: Box<dyn std::error::Error + Send + Sync>,
}

impl KeyError {
    pub(crate) fn new(key: &'static str, problem: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let source = problem.into();
        Self { key, source }
    }
}

/// Attaches the key to an error of its template.
fn rendered<T>(key: &'static str, result: Result<T, minijinja::Error>) -> Result<T, KeyError> {
    result.map_err(|error| KeyError::new(key, error))
}

/// The text of an answer that an example shows; an empty one shows none.
fn shown_answer(target: Rendered) -> Result<Option<String>, KeyError> {
    match target {
        Rendered::List(answers) => match answers.into_iter().next() {
            Some(first) => Ok(Some(first)),
            None => Err(KeyError::new("doc_to_target", "an empty list has no answer to show")),
        },
        target => Ok(Some(target.to_string()).filter(|text| !text.is_empty())),
    }
}

/// What a task asks of the model, named in task files: `multiple_choice`, `generate_until`, ..
#[derive(Clone, Copy)]
pub struct OutputType(&'static dyn Form);

impl OutputType {
    /// The form that task files call by this name, if there is one.
    fn named(name: &str) -> Option<Self> {
        FORMS.iter().find(|form| form.name() == name).map(|form| Self(*form))
    }

    /// The name in task files.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    pub(crate) fn form(self) -> &'static dyn Form {
        self.0
    }
}

impl PartialEq for OutputType {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for OutputType {}

impl std::fmt::Debug for OutputType {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for OutputType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for OutputType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = FORMS.map(|form| form.name()).join(", ");
        Self::named(&name)
            .ok_or_else(|| D::Error::custom(format!("unknown output_type `{name}`: supported are {known}")))
    }
}
