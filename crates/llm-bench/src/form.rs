//! Forms of tasks: how a document becomes requests, and which answer is right.
//!
//! The set is open. A form is a file below `form/` that implements [`Form`] and [`Reader`], and a line in [`FORMS`].
//! What it asks is one of [`Requests`], so a form touches nothing else unless it needs a method that
//! [`LanguageModel`](crate::LanguageModel) does not have.

mod choices;
mod generated;
mod likelihood;
mod rolling;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::task::{ChoiceField, FilterStep};
use crate::template::{Rendered, Templates};
use crate::{BenchError, Document, Gold, Requests, Task};

/// Every form, found by its name.
const FORMS: [&dyn Form; 4] = [
    &choices::Choices,
    &generated::Generated,
    &likelihood::Likelihood,
    &rolling::Rolling,
];

/// A form of task.
pub(crate) trait Form: Sync {
    /// Its `output_type` in task files.
    fn name(&self) -> &'static str;

    /// Names of the metrics of a task that names none.
    fn default_metrics(&self) -> &'static [&'static str];

    /// Rejects keys of a task that contradict the form.
    ///
    /// # Errors
    /// [`BenchError::TaskField`].
    fn validate(&self, task: &Task) -> Result<(), BenchError>;

    /// Most tokens that the model may generate for an answer, if it generates any. A prompt must leave room for them.
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

/// Reads the documents of one task for its form.
pub(crate) trait Reader {
    /// A document's requests, whose contexts are the question alone, and its right answer. `delimiter` belongs between
    /// a question and a scored choice.
    fn ask(&self, document: &Document, delimiter: &str) -> Result<Asked, KeyError>;

    /// A document's question and answer as a few-shot example.
    fn example(&self, document: &Document) -> Result<Example, KeyError>;
}

/// The requests and the right answer of a document.
pub(crate) struct Asked {
    pub(crate) requests: Requests,
    /// Continuations that are scored without any context too, after the others.
    pub(crate) unconditional: Vec<String>,
    /// Between the question and what the task's `gen_prefix` yields.
    pub(crate) prefix_delimiter: bool,
    /// See [`Prompt::choices`](crate::Prompt::choices).
    pub(crate) choices: Vec<String>,
    pub(crate) gold: Gold,
    /// See [`Prompt::target`](crate::Prompt::target).
    pub(crate) target: String,
}

/// A document shown with its answer as a few-shot example.
pub(crate) struct Example {
    pub(crate) question: String,
    /// How the answer begins; not yet part of it.
    pub(crate) prefix: Option<String>,
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

/// The choices of a document; none where the task has none.
fn choice_list(
    templates: &Templates,
    field: Option<&ChoiceField>,
    document: &Document,
) -> Result<Vec<String>, KeyError> {
    let template = match field {
        None => return Ok(Vec::new()),
        // The items are the choices, whatever fields are called and even if they look like templates.
        Some(ChoiceField::List(list)) => return Ok(list.clone()),
        Some(ChoiceField::Template(template)) => template,
    };
    match rendered("doc_to_choice", templates.value(template, document))? {
        Rendered::List(list) if !list.is_empty() => Ok(list),
        other => {
            let problem = format!("a list of choices is expected, found `{other}`");
            Err(KeyError::new("doc_to_choice", problem))
        }
    }
}

/// An integer as the index of a choice, if there is such a choice.
fn index(choices: &[String], integer: i64) -> Option<usize> {
    usize::try_from(integer).ok().filter(|index| *index < choices.len())
}

/// The choice with an integer as its index.
fn shown_choice(key: &'static str, choices: &[String], integer: i64) -> Result<String, KeyError> {
    match index(choices, integer) {
        Some(index) => Ok(choices[index].clone()),
        None => {
            let problem = format!("choice {integer} of {} does not exist", choices.len());
            Err(KeyError::new(key, problem))
        }
    }
}

/// Refuses filters that would change what is not text. A chain of `take_first` alone changes nothing.
fn refuse_filters(task: &Task) -> Result<(), BenchError> {
    let mut steps = task.filter_list.iter().flat_map(|chain| &chain.filter);
    if steps.all(FilterStep::takes_first) {
        return Ok(());
    }
    let problem = format!("filters apply to generated text, not to {}", task.output_type.name());
    task.refuse("filter_list", problem)
}

/// The form of a task, by its name in task files: `multiple_choice`, `generate_until`, ..
#[derive(Clone, Copy)]
pub struct OutputType(&'static dyn Form);

impl OutputType {
    /// The form with this name in task files, if there is one.
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

/// Generated text, as in the original.
impl Default for OutputType {
    fn default() -> Self {
        Self(&generated::Generated)
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
