//! [`SmolLm2Evaluator`]: this repository's models as a [`LanguageModel`].
//!
//! B rows, T tokens, D hidden, V vocabulary, N scored positions.

mod fingerprint;
mod generate;
mod score;

use burn::tensor::{Int, Tensor, TensorData, backend::Backend};
use smollm2_model::DecoderBackend;
use smollm2_model::SmolLm2;
use smoltalk_data::{ChatTokenizer, DataError, Message, Rendered};
use std::ops::Range;

use crate::encoding::{EncodedPair, encode_pair};
use crate::{
    BenchError, ChatPrompt, GenerationRequest, LanguageModel, Loglikelihood, LoglikelihoodRequest, ModelDescription,
    Turn,
};

/// How log-likelihoods are computed; both ways agree up to rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scoring {
    /// A context that follows requests share is computed once; its keys and values then serve all continuations.
    SharedPrefix,
    /// Every request is a row of its own, padded on the right, this many at a time.
    Plain {
        /// Rows per forward pass; at least 1.
        rows: usize,
    },
}

/// Turns in the chat template of a tokenizer, as [`SmolLm2Evaluator`] asks them. [`check_tasks`](crate::check_tasks) needs
/// no more of a model than this and its longest sequence.
///
/// # Errors
/// [`BenchError::Model`] when the template refuses the turns.
pub fn chat_prompt(
    tokenizer: &ChatTokenizer,
    turns: &[Turn],
    add_generation_prompt: bool,
) -> Result<ChatPrompt, BenchError> {
    let messages: Vec<Message> = turns
        .iter()
        .map(|turn| Message::new(turn.role, turn.content.clone()))
        .collect();
    let rendered = tokenizer.apply_chat_template(&messages, add_generation_prompt);
    let Rendered { text, special } = rendered.map_err(model_error)?;
    Ok(ChatPrompt { text, special })
}

/// A model, its tokenizer, and how to run them.
pub struct SmolLm2Evaluator<B: Backend> {
    model: SmolLm2<B>,
    tokenizer: ChatTokenizer,
    name: String,
    max_length: usize,
    scoring: Scoring,
}

impl<B: DecoderBackend> SmolLm2Evaluator<B> {
    /// Takes a model; `name` is what results call it.
    pub fn new(name: impl Into<String>, model: SmolLm2<B>, tokenizer: ChatTokenizer) -> Self {
        Self {
            max_length: model.config().max_position_embeddings,
            model,
            tokenizer,
            name: name.into(),
            scoring: Scoring::SharedPrefix,
        }
    }

    /// Chooses how log-likelihoods are computed.
    pub fn with_scoring(mut self, scoring: Scoring) -> Self {
        self.scoring = scoring;
        self
    }

    /// Limits sequences to fewer tokens than the model allows.
    pub fn with_max_length(mut self, max_length: usize) -> Self {
        self.max_length = max_length.clamp(1, self.model.config().max_position_embeddings);
        self
    }

    /// The model, for instance to train it further.
    pub fn into_model(self) -> SmolLm2<B> {
        self.model
    }

    fn encode(&self, requests: &[LoglikelihoodRequest]) -> Result<Vec<EncodedPair>, BenchError> {
        let pairs = requests.iter().enumerate();
        let pairs = pairs.map(|(index, request)| {
            encode_pair(index, request, self.tokenizer.bos_id(), |text, special| {
                self.token_ids(text, special)
            })
        });
        let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
        for (index, pair) in pairs.iter().enumerate() {
            if pair.continuation.len() > self.max_length {
                return Err(BenchError::Request {
                    index,
                    problem: format!(
                        "{} tokens to score, at most {}",
                        pair.continuation.len(),
                        self.max_length
                    ),
                });
            }
        }
        Ok(pairs)
    }

    /// Ids of a text with special tokens at the byte ranges `special`.
    fn token_ids(&self, text: &str, special: &[Range<usize>]) -> Result<Vec<u32>, BenchError> {
        let rendered = Rendered {
            text: text.to_owned(),
            special: special.to_vec(),
        };
        self.tokenizer.encode_rendered(&rendered).map_err(model_error)
    }

    /// Rows of ids of equal length as a tensor.
    fn ids(&self, rows: &[Vec<u32>]) -> Tensor<B, 2, Int> {
        let tokens = rows.first().map_or(0, Vec::len);
        let flat: Vec<i64> = rows.iter().flatten().map(|id| i64::from(*id)).collect();
        Tensor::from_data(TensorData::new(flat, [rows.len(), tokens]), &self.model.device()) // [B, T]
    }
}

impl<B: DecoderBackend> LanguageModel for SmolLm2Evaluator<B> {
    fn loglikelihood(&mut self, requests: &[LoglikelihoodRequest]) -> Result<Vec<Loglikelihood>, BenchError> {
        let pairs = self.encode(requests)?;
        match self.scoring {
            Scoring::SharedPrefix => self.score_shared(&pairs),
            Scoring::Plain { rows } => self.score_plain(&pairs, rows.max(1)),
        }
    }

    fn generate_until(&mut self, requests: &[GenerationRequest]) -> Result<Vec<String>, BenchError> {
        self.generate(requests)
    }

    fn apply_chat_template(&self, turns: &[Turn], add_generation_prompt: bool) -> Result<ChatPrompt, BenchError> {
        chat_prompt(&self.tokenizer, turns, add_generation_prompt)
    }

    fn description(&self) -> ModelDescription {
        let token = |id: u32| self.tokenizer.token(id).map(|text| (text, id));
        ModelDescription {
            name: self.name.clone(),
            max_length: self.max_length,
            eot_token_id: Some(self.tokenizer.eos_id()),
            num_parameters: Some(self.model.num_parameters()),
            dtype: Some(self.model.output_embedding().dtype().name().to_owned()),
            device: Some(format!("{:?}", self.model.device())),
            pad_token: token(self.tokenizer.pad_id()),
            eos_token: token(self.tokenizer.eos_id()),
            bos_token: token(self.tokenizer.bos_id()),
            chat_template: Some(self.tokenizer.template().source().to_owned()),
        }
    }

    fn fingerprint(&self) -> String {
        fingerprint::of(&self.model, &self.tokenizer, self.max_length)
    }
}

fn model_error(error: DataError) -> BenchError {
    BenchError::Model(error.into())
}
