//! Rust versions of the Python functions with which some tasks of lm-evaluation-harness process their documents. A task
//! file selects one with `process_docs`.
//!
//! To add a processor, add a file below `processor/` and a line to [`PROCESSORS`].

mod hellaswag;
mod winogrande;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::{BenchError, Task};

/// A document of a data set.
pub type Document = Map<String, Value>;

/// Adds fields to a document and keeps the rest.
type Process = fn(&mut Document) -> Result<(), FieldError>;

/// Every processor, found by its name.
const PROCESSORS: [(&str, Process); 2] = [("hellaswag", hellaswag::process), ("winogrande", winogrande::process)];

/// A field of a document that is missing or of the wrong type.
pub(crate) struct FieldError {
    pub(crate) field: &'static str,
    pub(crate) problem: String,
}

impl FieldError {
    /// Converts it to the error of a document of a task.
    pub(crate) fn in_document(self, task: &Task, doc_id: usize) -> BenchError {
        BenchError::Document {
            task: task.task.clone(),
            doc_id,
            field: self.field,
            source: self.problem.into(),
        }
    }

    pub(crate) fn new(field: &'static str, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        Self { field, problem }
    }
}

fn text(document: &Document, field: &'static str) -> Result<String, FieldError> {
    match document.get(field) {
        Some(Value::String(text)) => Ok(text.clone()),
        _ => Err(FieldError::new(field, "a string is expected")),
    }
}

/// A built-in document processor, by its name in task files.
#[derive(Clone, Copy)]
pub struct Processor {
    name: &'static str,
    process: Process,
}

impl Processor {
    /// The processor with this name in task files, if there is one.
    fn named(name: &str) -> Option<Self> {
        let found = PROCESSORS.iter().find(|(known, _)| *known == name);
        found.map(|&(name, process)| Self { name, process })
    }

    pub(crate) fn apply(self, document: &mut Document) -> Result<(), FieldError> {
        (self.process)(document)
    }
}

impl PartialEq for Processor {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl std::fmt::Debug for Processor {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Serialize for Processor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

impl<'de> Deserialize<'de> for Processor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = PROCESSORS.map(|(name, _)| name).join(", ");
        Self::named(&name).ok_or_else(|| D::Error::custom(format!("unknown processor `{name}`: built in are {known}")))
    }
}
