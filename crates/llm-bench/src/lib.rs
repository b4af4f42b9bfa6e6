//! # Brief overview
//!
//! This crate evaluates language models with the same results as lm-evaluation-harness. It provides the statistics for
//! comparing two models, and a report to share.
//!
//! - [`Task`]: a benchmark defined in the harness's YAML dialect, built in ([`Task::builtin`]) or read from a file.
//! - [`task::Catalogue`]: tasks, groups and tags by name, built in or from a folder of files.
//! - [`LanguageModel`]: the interface of a model under evaluation: log-likelihoods and generated text.
//! - [`evaluate()`] runs tasks and returns an [`Evaluation`]. It writes results and samples in the harness's layout
//!   after each task. [`check_tasks`] checks tasks and data without a model, [`judge_responses`] scores texts that were
//!   generated elsewhere.
//! - [`OutputType`]: the form of a task: what it requests from the model, and how answers become outcomes.
//! - [`task::MetricConfig`]: a metric of a task; [`Score`] is its value over all documents, on a [`Scale`].
//! - [`QuestionOutcomes`]: one number per question, to store or to pair with the outcomes of another model.
//! - [`stats`]: Wilson's and Tango's intervals, McNemar's exact and Student's paired test, the sign-flip test,
//!   equivalence, clustered standard errors, Holm's correction, exact power.
//! - [`SamplesFile`]: samples of an earlier evaluation by this crate or the harness. [`pair_samples`] pairs two files.
//!
//! A model is any type that implements [`LanguageModel`]:
//!
//! ```
//! use llm_bench::*;
//!
//! /// Prefers short answers.
//! struct Laconic;
//!
//! impl LanguageModel for Laconic {
//!     fn loglikelihood(&mut self, requests: &[LoglikelihoodRequest]) -> Result<Vec<Loglikelihood>, BenchError> {
//!         let score = |r: &LoglikelihoodRequest| Loglikelihood { sum: -(r.continuation.len() as f64), is_greedy: false };
//!         Ok(requests.iter().map(score).collect())
//!     }
//!     fn generate_until(&mut self, requests: &[GenerationRequest]) -> Result<Vec<String>, BenchError> {
//!         Ok(vec!["no".to_owned(); requests.len()])
//!     }
//!     fn apply_chat_template(&self, turns: &[Turn], _open: bool) -> Result<ChatPrompt, BenchError> {
//!         let text = turns.iter().map(|turn| turn.content.as_str()).collect();
//!         Ok(ChatPrompt { text, special: vec![] })
//!     }
//!     fn description(&self) -> ModelDescription {
//!         ModelDescription { name: "laconic".into(), max_length: 2048, ..Default::default() }
//!     }
//!     fn fingerprint(&self) -> String {
//!         "1".into()
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let root = tempfile::tempdir()?;
//! std::fs::create_dir_all(root.path().join("quiz/default"))?;
//! let document = r#"{"question": "Is water wet?", "choices": ["yes, very", "no"], "answer": 0}"#;
//! std::fs::write(root.path().join("quiz/default/test.jsonl"), document)?;
//! let task = Task::from_yaml(
//!     r#"
//! task: quiz
//! dataset_path: quiz
//! output_type: multiple_choice
//! test_split: test
//! doc_to_text: "{{question}}"
//! doc_to_choice: "{{choices}}"
//! doc_to_target: "{{answer}}"
//! metric_list: [{metric: acc}]
//! "#,
//!     "quiz",
//! )?;
//! let options = EvaluateOptions::new(PromptOptions::new(root.path()));
//! let evaluation = evaluate(&mut Laconic, &[task], &options, &mut ())?;
//! assert_eq!(evaluation.tasks[0].score("acc").map(|score| score.value), Some(0.0));
//! # Ok(())
//! # }
//! ```
//!
//! [`report::Report`] compares variants across training seeds, and trained models document by document. It can be
//! written as one HTML page or as a table for the terminal.
//!
//! The example `evaluate` is the command line. `compare` compares two architectures and writes the report,
//! `compare-results` compares two samples files.
#![deny(missing_docs)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod dataset;
mod english;
mod error;
mod evaluate;
mod expression;
mod filter;
mod form;
mod instruction;
mod journal;
mod metric;
mod model;
mod outcomes;
mod output;
mod processor;
mod prompt;
mod python_literal;
mod python_random;
mod python_text;
mod recorded;
pub mod report;
mod request;
mod resources;
mod scorer;
pub mod stats;
pub mod task;
mod template;

pub use dataset::{DataSets, load_split};
pub use error::BenchError;
pub use evaluate::{
    EvaluateOptions, Evaluation, EvaluationProgress, GroupEvaluation, GroupScore, OutputOptions, Sample, Score,
    TaskEvaluation, check_tasks, evaluate, judge_responses, write_requests,
};
pub use form::OutputType;
pub use metric::{MetricValue, Scale, ScorePart};
pub use model::{LanguageModel, ModelDescription, cut_at_stops};
pub use outcomes::{Measure, QuestionOutcomes, check_paired};
pub use output::OutputFiles;
pub use processor::{Document, Processor};
pub use prompt::{FormatChat, Gold, Prompt, PromptOptions, PromptSet, SplitDigest, build_prompts};
pub use python_random::PythonRandom;
pub use recorded::{PairOptions, PairedSamples, SamplesFile, pair_samples};
pub use request::{
    Answer, ChatPrompt, GenerationRequest, Loglikelihood, LoglikelihoodRequest, Requests, Sampling, Turn,
};
pub use task::Task;
