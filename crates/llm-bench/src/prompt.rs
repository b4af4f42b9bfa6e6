//! Builds requests from documents: the question, the examples before it, and the chat template around them.

mod builder;
mod context;
mod examples;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::dataset::{DataSets, Split};
use crate::journal::hexadecimal;
use crate::task::{Samples, Task};
use crate::{BenchError, ChatPrompt, Document, Requests, Turn};
use builder::Builder;
use examples::Examples;

/// The right answer of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gold {
    /// Index of the right choice. `None` when the target names no choice: then every answer is wrong, as in
    /// lm-evaluation-harness.
    Choice(Option<usize>),
    /// Indices of the right choices, where the targets of a task are lists; `None` for one that names no choice.
    Choices(Vec<Option<usize>>),
    /// The expected texts, any of which is right. None at all when the target is an empty list: then every answer is
    /// wrong.
    Texts(Vec<String>),
}

impl Gold {
    /// Whether no answer can be right.
    pub(crate) fn is_missing(&self) -> bool {
        match self {
            Self::Choice(choice) => choice.is_none(),
            Self::Choices(choices) => choices.iter().all(Option::is_none),
            Self::Texts(texts) => texts.is_empty(),
        }
    }
}

/// A document ready to be answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    /// Index of the document in its split.
    pub doc_id: usize,
    /// The document after processing.
    pub document: Document,
    /// The requests, with everything before the question.
    pub requests: Requests,
    /// The texts whose lengths normalise the scores: the choices without delimiter. Empty for generated text.
    pub choices: Vec<String>,
    /// The right answer.
    pub gold: Gold,
    /// `doc_to_target`, as samples files report it.
    pub target: String,
}

/// Documents that were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SplitDigest {
    /// Their split.
    pub split: String,
    /// How many were read.
    pub documents: usize,
    /// SHA-256 over the documents after processing, one line of JSON each, in their order.
    pub sha256: String,
}

impl SplitDigest {
    fn of(split: &str, documents: &[Document]) -> Self {
        let mut digest = Sha256::new();
        for document in documents {
            digest.update(serde_json::to_vec(document).expect("a map of JSON values is JSON"));
            digest.update(b"\n");
        }
        Self {
            split: split.to_owned(),
            documents: documents.len(),
            sha256: hexadecimal(&digest.finalize()),
        }
    }
}

/// The prompts of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptSet {
    /// The documents evaluated, in order.
    pub prompts: Vec<Prompt>,
    /// Documents in the split, before the limit.
    pub documents: usize,
    /// Examples before each question.
    pub num_fewshot: usize,
    /// What was read: the documents evaluated, then those that examples come from.
    pub splits: Vec<SplitDigest>,
}

/// How prompts are built.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptOptions {
    /// Where the data sets are.
    pub data: DataSets,
    /// Examples before the question; the task's own number when absent, and where that is 0.
    pub num_fewshot: Option<usize>,
    /// Most documents to evaluate, from the first; below 1 a fraction of the split, rounded up, as in
    /// lm-evaluation-harness. All when absent or not above 0.
    pub limit: Option<f64>,
    /// By task, the indices of the documents to evaluate, regardless of the limit. Tasks that are not named are
    /// evaluated up to the limit.
    pub samples: BTreeMap<String, BTreeSet<usize>>,
    /// Render the prompt with the model's chat template.
    pub apply_chat_template: bool,
    /// With the template: examples as turns of their own (true, as lm-evaluation-harness 0.4.13) or within the one
    /// user turn (as before).
    pub fewshot_as_multiturn: bool,
    /// Text of the system turn (or the start of the plain prompt), before the task's description.
    pub system_instruction: Option<String>,
}

impl PromptOptions {
    /// Options with every default: the task's own examples, all documents below this root, no chat template.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            data: DataSets::below(root),
            num_fewshot: None,
            limit: None,
            samples: BTreeMap::new(),
            apply_chat_template: false,
            fewshot_as_multiturn: true,
            system_instruction: None,
        }
    }

    /// The splits of a task that are read: the one evaluated, and, with examples before the question, theirs.
    pub fn splits<'a>(&self, task: &'a Task) -> Vec<&'a str> {
        let mut splits = vec![task.evaluated_split()];
        let from_split = task.fewshot_config.samples.is_none() || task.named_examples_split().is_some();
        if self.shots(task) > 0 && from_split {
            splits.push(task.examples_split());
        }
        splits
    }

    /// Examples before each question. A task that says 0 means it, as in the original.
    fn shots(&self, task: &Task) -> usize {
        if !task.output_type.form().has_examples() {
            return 0;
        }
        match task.num_fewshot {
            Some(0) => 0,
            own => self.num_fewshot.or(own).unwrap_or(0),
        }
    }
}

/// Renders turns as a prompt in a model's chat format. The flag opens the assistant's next turn.
pub type FormatChat<'a> = dyn Fn(&[Turn], bool) -> Result<ChatPrompt, BenchError> + 'a;

/// Builds the prompts of a task. `chat` is called only with [`PromptOptions::apply_chat_template`].
///
/// # Errors
/// If data is missing, empty or malformed, a template fails on a document, or there are too few examples.
pub fn build_prompts(task: &Task, options: &PromptOptions, chat: &FormatChat) -> Result<PromptSet, BenchError> {
    let evaluated = Split::open(&options.data, task, task.evaluated_split())?;
    let total = evaluated.count()?;
    let all = options.samples.contains_key(&task.task);
    let documents = evaluated.documents(if all { total } else { limit(options.limit, total) })?;
    let Some(first) = documents.first() else {
        return Err(BenchError::NoDocuments {
            task: task.task.clone(),
            split: task.evaluated_split().to_owned(),
        });
    };
    let mut splits = vec![SplitDigest::of(task.evaluated_split(), &documents)];
    let num_fewshot = options.shots(task);
    let mut pool = Vec::new();
    if num_fewshot > 0 {
        pool = example_pool(task, options)?;
        splits.push(SplitDigest::of(task.examples_source(), &pool));
    }
    let shown = task.for_examples();
    let examples = Examples::new(task, &pool, num_fewshot);
    let mut builder = Builder::new([task, &shown], options, chat, examples, first);
    let numbered = selected(task, options, documents)?;
    let prompts = numbered
        .into_iter()
        .map(|(doc_id, document)| builder.prompt(doc_id, document));
    let prompts = prompts.collect::<Result<Vec<_>, _>>()?;
    check_texts(task, &prompts)?;
    Ok(PromptSet {
        prompts,
        documents: total,
        num_fewshot,
        splits,
    })
}

/// The documents that examples are drawn from.
fn example_pool(task: &Task, options: &PromptOptions) -> Result<Vec<Document>, BenchError> {
    let samples = task.fewshot_config.samples.as_ref();
    match samples.filter(|_| task.named_examples_split().is_none()) {
        None => Split::open(&options.data, task, task.examples_split())?.documents(usize::MAX),
        Some(Samples::List(documents)) => Ok(documents.clone()),
        Some(Samples::File(file)) => options.data.published(task, file),
    }
}

/// The documents asked for by their indices, or all. They are numbered among the documents asked for, as in the
/// original.
fn selected(
    task: &Task,
    options: &PromptOptions,
    documents: Vec<Document>,
) -> Result<Vec<(usize, Document)>, BenchError> {
    let Some(indices) = options.samples.get(&task.task) else {
        return Ok(documents.into_iter().enumerate().collect());
    };
    if let Some(index) = indices.iter().find(|index| **index >= documents.len()) {
        return Err(BenchError::SampleIndex {
            task: task.task.clone(),
            problem: format!("index {index} of {} documents does not exist", documents.len()),
        });
    }
    let all = documents.into_iter().enumerate();
    let chosen = all
        .filter(|(index, _)| indices.contains(index))
        .map(|(_, document)| document);
    Ok(chosen.enumerate().collect())
}

/// Rejects tasks whose complete texts are all empty: their log-likelihood has no mean per byte.
fn check_texts(task: &Task, prompts: &[Prompt]) -> Result<(), BenchError> {
    let mut requests = prompts.iter().map(|prompt| &prompt.requests);
    if !requests.all(|request| matches!(request, Requests::Rolling(text) if text.is_empty())) {
        return Ok(());
    }
    Err(BenchError::Document {
        task: task.task.clone(),
        doc_id: 0,
        field: "doc_to_target",
        source: "a text is expected, found an empty one here and in every other document".into(),
    })
}

/// Documents that are evaluated of so many in the split.
fn limit(limit: Option<f64>, total: usize) -> usize {
    match limit {
        Some(count) if count >= 1.0 => count as usize,
        Some(fraction) if fraction > 0.0 => (total as f64 * fraction).ceil() as usize,
        _ => total,
    }
}
