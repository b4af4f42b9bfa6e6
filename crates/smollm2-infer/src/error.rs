//! The errors of this crate.

use std::path::PathBuf;

use smollm2_model::ModelError;
use smoltalk_data::DataError;

/// The reason why a model and a tokenizer do not fit together, or why a request cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    /// The weights cannot be read.
    #[error(transparent)]
    Model(#[from] ModelError),

    /// The tokenizer cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),

    /// There is no model at this path.
    #[error(
        "{}: expected a .gguf file, or a model's folder with config.json, weights and tokenizer.json, found {found}; check \
         the spelling (a training run leaves models in checkpoints/step-..)",
        path.display()
    )]
    NoModel {
        /// The path.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },

    /// The weights and the tokenizer of one folder or file do not fit together.
    #[error("{}", path.display())]
    Files {
        /// The folder or file.
        path: PathBuf,
        /// Why not.
        source: Box<InferError>,
    },

    /// The tokenizer fails on the tokens of a row.
    #[error("row {row}: the tokens cannot be decoded")]
    Text {
        /// Row of the decoder.
        row: usize,
        /// Why.
        source: DataError,
    },

    /// The tokenizer has ids for which the model has no embedding.
    #[error(
        "expected a tokenizer with ids below {vocab_size}, the model's vocabulary, found {found}: they do not belong \
         together"
    )]
    Vocabulary {
        /// `vocab_size` of the model.
        vocab_size: usize,
        /// What exceeds it: the number of ids, or a special token.
        found: String,
    },

    /// A setting is invalid (a negative temperature, a top-p above 1, ..).
    #[error("generation setting `{setting}`: expected {expected}, found {found}")]
    Setting {
        /// Name of the field of [`GenerationConfig`](crate::GenerationConfig).
        setting: &'static str,
        /// What would have been accepted.
        expected: &'static str,
        /// What is there.
        found: String,
    },

    /// A prompt is empty, so the first token has no context.
    #[error("prompt {row} is empty: give at least one token (the BOS id, for instance)")]
    EmptyPrompt {
        /// Row of the decoder.
        row: usize,
    },

    /// A prompt leaves no position for a new token.
    #[error("prompt {row} has {length} tokens, but a sequence has at most {limit} and needs one for a new token")]
    PromptTooLong {
        /// Row of the decoder.
        row: usize,
        /// Tokens of the prompt.
        length: usize,
        /// The engine's longest sequence: the positions of the model, or fewer.
        limit: usize,
    },

    /// A token id is not in the vocabulary of the model. Usually the tokenizer has added tokens.
    #[error("prompt {row}, position {position}: token id {token} is outside the vocabulary of {vocab_size} tokens")]
    TokenOutOfRange {
        /// Row of the decoder, or index of the request.
        row: usize,
        /// Position in the prompt, or in the context followed by the continuations.
        position: usize,
        /// The offending id.
        token: u32,
        /// `vocab_size` of the model.
        vocab_size: usize,
    },

    /// The logits contain a NaN, or the highest is infinite: the weights or the activations overflowed.
    #[error("row {row}: the logits of step {step} are not numbers (the weights or activations overflowed)")]
    NotANumber {
        /// Row of the decoder.
        row: usize,
        /// Number of tokens generated before.
        step: usize,
    },

    /// A continuation cannot be scored.
    #[error("request {request}, continuation {continuation}: expected {expected} tokens, found {found}")]
    Continuation {
        /// Index of the request.
        request: usize,
        /// Index of its continuation.
        continuation: usize,
        /// The number of tokens allowed.
        expected: String,
        /// The number of tokens in the request.
        found: usize,
    },

    /// The context of a request is empty, so the first token of its continuations has no probability.
    #[error("request {request}: the context is empty: give at least one token (the BOS id, for instance)")]
    EmptyContext {
        /// Index of the request.
        request: usize,
    },
}
