//! The errors of this crate.

use std::path::PathBuf;

use record_files::RecordError;

/// Why a task could not be read, evaluated, written or reported.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A task file is not valid; an unknown key is named by the message.
    #[error("task {task}: {source}")]
    TaskSyntax {
        /// The task's name, or the path of its file.
        task: String,
        /// The parser's message, with line and column.
        source: serde_yaml_ng::Error,
    },
    /// A value of a task file has a YAML tag. A parser that ignored `!function` would take the name of a Python
    /// function for text.
    #[error("task {task}: `{key}` has the tag {tag}, which is not supported: Python functions cannot be called")]
    TaskTag {
        /// The path of the task's file, or its name.
        task: String,
        /// The keys that lead to the value.
        key: String,
        /// The tag.
        tag: String,
    },
    /// The files that a task file includes cannot be combined.
    #[error("{path}: `include`: {problem}")]
    Include {
        /// The file.
        path: String,
        /// What is wrong and what is expected instead.
        problem: String,
    },
    /// A template of a task is not valid, or uses a filter, test or method that does not exist.
    #[error("task {task}: `{field}`: {source:#}")]
    Template {
        /// The task's name.
        task: String,
        /// The key at fault.
        field: &'static str,
        /// The template engine's error.
        source: Box<minijinja::Error>,
    },
    /// A task file is well-formed, but a value is invalid.
    #[error("task {task}: `{field}`: {problem}")]
    TaskField {
        /// The task's name.
        task: String,
        /// The key at fault.
        field: &'static str,
        /// What is wrong and what is expected instead.
        problem: String,
    },
    /// No built-in task has this name.
    #[error("unknown task `{name}`: built in are {known}; a path to a .yaml file is accepted too")]
    UnknownTask {
        /// The name asked for.
        name: String,
        /// The names that exist, comma-separated.
        known: String,
    },
    /// Two tasks of one evaluation have the same name, or names that would give their samples files the same name.
    #[error("two tasks are called `{task}`, or so alike that their files would have one name")]
    DuplicateTask {
        /// The name.
        task: String,
    },
    /// Documents are asked for by indices that do not exist.
    #[error("task {task}: --samples: {problem}")]
    SampleIndex {
        /// The task's name.
        task: String,
        /// What is wrong.
        problem: String,
    },
    /// Published few-shot examples are not below the data root.
    #[error("task {task}: the few-shot examples are missing: expected {path}; {origin}")]
    MissingExamples {
        /// The task's name.
        task: String,
        /// The file.
        path: PathBuf,
        /// Who published the examples.
        origin: String,
    },
    /// A split exists but is empty.
    #[error("task {task}: split `{split}` holds no documents")]
    NoDocuments {
        /// The task's name.
        task: String,
        /// The split.
        split: String,
    },
    /// The split of a task's data set is missing.
    #[error("task {task}: no data for split `{split}`: expected {path} or Parquet of that name, found {found}")]
    MissingData {
        /// The task's name.
        task: String,
        /// The split.
        split: String,
        /// The path at which the file was looked for.
        path: PathBuf,
        /// What is in its folder.
        found: String,
    },
    /// A data file or one of its records cannot be read.
    #[error(transparent)]
    Records(#[from] RecordError),
    /// A file of the model by which English sentences are told apart is not below the root of the data, or cannot be
    /// read.
    #[error(
        "cannot read {path}: {source}; this task splits sentences with nltk's English Punkt model, four files: unpack \
         packages/tokenizers/punkt_tab.zip of https://github.com/nltk/nltk_data into the folder nltk of the data root"
    )]
    NoPunkt {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A line in a file of that model is not what it should be.
    #[error("{path}, line {line}: {expected} expected, found {found:?}; take the file from nltk's data again")]
    PunktLine {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// What its columns should be.
        expected: &'static str,
        /// The line.
        found: String,
    },
    /// A file of saved responses cannot be judged as it was asked for.
    #[error("{path}: {problem}")]
    Responses {
        /// The file.
        path: PathBuf,
        /// What is wrong and what is expected instead.
        problem: String,
    },
    /// A line of a journal is not an answer.
    #[error(
        "{path}, line {line}: an answer of a journal is expected: {}",
        .source.as_ref().map_or("it does not end".to_owned(), ToString::to_string)
    )]
    JournalLine {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// The parser's message; `None` for a line that does not end.
        source: Option<serde_json::Error>,
    },
    /// Another evaluation appends its answers to the same journal.
    #[error("{path}: another evaluation is using this journal; wait for it, or choose another file")]
    JournalInUse {
        /// The file.
        path: PathBuf,
    },
    /// A document does not have what a task needs.
    #[error("task {task}, document {doc_id}: `{field}`: {source:#}")]
    Document {
        /// The task's name.
        task: String,
        /// Index of the document in its split, from 0.
        doc_id: usize,
        /// The key of the task, or the field of the document.
        field: &'static str,
        /// The template engine's error, or what is expected and what was found.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A document does not have what a task needs to show it as a few-shot example.
    #[error("task {task}, document {doc_id}: `{field}`: as a few-shot example from split `{split}`: {source:#}")]
    Example {
        /// The task's name.
        task: String,
        /// The split that examples come from.
        split: String,
        /// Index of the document in that split, from 0.
        doc_id: usize,
        /// The key of the task.
        field: &'static str,
        /// The template engine's error, or what is expected and what was found.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// More few-shot examples were asked for than could be drawn.
    #[error("task {task}: {asked} few-shot examples asked for, but only {available} are there next to the document")]
    TooFewExamples {
        /// The task's name.
        task: String,
        /// Examples asked for.
        asked: usize,
        /// Examples drawn, or in the pool, the document itself not counted.
        available: usize,
    },
    /// The outcomes to compare are not of the same task and metric.
    #[error("the outcomes compared are of different things: {expected}, and {found}")]
    DifferentMeasures {
        /// Metric and task of the first model.
        expected: String,
        /// Metric and task of the other model.
        found: String,
    },
    /// The models to compare answered different questions.
    #[error(
        "task {task}: the models compared answered different questions, first at index {index}: {expected} and {found}; \
         evaluate all of them with the same data, examples and limit"
    )]
    DifferentQuestions {
        /// The task's name.
        task: String,
        /// Position of the first difference, from 0.
        index: usize,
        /// SHA-256 of the first model's question, or that it has none.
        expected: String,
        /// SHA-256 of the other model's question, or that it has none.
        found: String,
    },
    /// A file is not a samples file, or does not have what a comparison needs.
    #[error("{place}: expected {expected}, found {found}; {remedy}")]
    Samples {
        /// The file, and the sample where it is one.
        place: String,
        /// What is expected.
        expected: String,
        /// What was found.
        found: String,
        /// What to do.
        remedy: String,
    },
    /// The samples files to compare hold different documents.
    #[error(
        "{first} and {second} hold different documents: {common} are in both, {only_first} only in the first, \
         {only_second} only in the second; evaluate both on the same documents, or compare only the common ones"
    )]
    DifferentDocuments {
        /// The first file.
        first: PathBuf,
        /// The second file.
        second: PathBuf,
        /// Documents in both.
        common: usize,
        /// How many documents only the first has, and the numbers of some.
        only_first: String,
        /// How many documents only the second has, and the numbers of some.
        only_second: String,
    },
    /// A regular expression of a task does not compile.
    #[error("task {task}: `{field}`: the expression `{pattern}` does not compile: {source}")]
    Expression {
        /// The task's name.
        task: String,
        /// The key at fault.
        field: &'static str,
        /// The expression, as the task file has it.
        pattern: String,
        /// The reason.
        source: Box<fancy_regex::Error>,
    },
    /// A regular expression of a task could not be matched against an answer, for instance because it needs more steps
    /// than are allowed.
    #[error(
        "task {task}, document {doc_id}: `{field}`: the expression `{pattern}` cannot be matched against the answer: \
         {source}; write it without nested repetitions"
    )]
    Match {
        /// The task's name.
        task: String,
        /// Index of the document in its split, from 0.
        doc_id: usize,
        /// The key at fault.
        field: &'static str,
        /// The expression, as the task file has it.
        pattern: String,
        /// The reason.
        source: Box<fancy_regex::Error>,
    },
    /// A log-likelihood is NaN or positive infinity, as after an overflow in the model; or negative infinity for a
    /// whole text, which would make every perplexity infinite.
    #[error(
        "task {task}, document {doc_id}: log-likelihood {index} is {value}; a model that overflows, or \
         excludes a whole text, cannot be scored: check its weights, or load it in a type with a larger range"
    )]
    NotANumber {
        /// The task's name.
        task: String,
        /// Index of the document in its split, from 0.
        doc_id: usize,
        /// Index among the log-likelihoods of the document, from 0: that of the choice, where there are choices.
        index: usize,
        /// What was found.
        value: f64,
    },
    /// The model under evaluation failed.
    #[error("the model failed: {0}")]
    Model(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A request that no model can answer, such as an empty continuation.
    #[error("request {index}: {problem}")]
    Request {
        /// Index of the request in its batch.
        index: usize,
        /// What is wrong.
        problem: String,
    },
    /// A statistic is not defined for the data.
    #[error("{statistic}: {problem}")]
    Statistic {
        /// The statistic.
        statistic: &'static str,
        /// What is wrong with the data.
        problem: String,
    },
    /// A value could not be written as JSON.
    #[error("cannot write JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A plot could not be drawn.
    #[error("cannot draw the plot `{plot}`: {source}")]
    Plot {
        /// The plot's title.
        plot: String,
        /// The drawing library's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
