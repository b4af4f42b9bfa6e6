//! A model with its tokenizer.

use std::path::Path;

use burn::tensor::backend::Backend;
use smollm2_model::{DecoderBackend, SmolLm2, weights};
use smoltalk_data::ChatTokenizer;

use crate::{Decoder, GenerationConfig, InferError, TokenEvent};

/// A model, its tokenizer and chat template, checked against each other. Cheap to clone: clones share the weights.
#[derive(Clone, Debug)]
pub struct Engine<B: Backend> {
    model: SmolLm2<B>,
    tokenizer: ChatTokenizer,
    max_length: usize,
}

impl<B: DecoderBackend> Engine<B> {
    /// Combines a model and its tokenizer.
    ///
    /// # Errors
    /// [`InferError::Vocabulary`] if the tokenizer has an id for which the model has no embedding.
    pub fn new(model: SmolLm2<B>, tokenizer: ChatTokenizer) -> Result<Self, InferError> {
        let vocab_size = model.config().vocab_size;
        match beyond(&tokenizer, vocab_size) {
            Some(found) => Err(InferError::Vocabulary { vocab_size, found }),
            None => Ok(Self {
                max_length: model.config().max_position_embeddings,
                model,
                tokenizer,
            }),
        }
    }

    /// Loads a model and its tokenizer from a Hugging Face folder or a .gguf file.
    ///
    /// # Errors
    /// If the weights or the tokenizer cannot be read, or if they do not fit together.
    pub fn open(path: &Path, device: &B::Device) -> Result<Self, InferError> {
        let tokenizer = open_tokenizer(path)?;
        let loaded = weights::load(path, device)?;
        Self::new(loaded.model, tokenizer).map_err(|source| InferError::Files {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// Limits sequences, prompt and answer together, to fewer tokens than the model allows.
    pub fn with_max_length(mut self, max_length: usize) -> Self {
        self.max_length = max_length.clamp(1, self.model.config().max_position_embeddings);
        self
    }

    /// The model.
    pub fn model(&self) -> &SmolLm2<B> {
        &self.model
    }

    /// Tokenizer and chat template.
    pub fn tokenizer(&self) -> &ChatTokenizer {
        &self.tokenizer
    }

    /// The model, for instance to train it further, and its tokenizer.
    pub fn into_parts(self) -> (SmolLm2<B>, ChatTokenizer) {
        (self.model, self.tokenizer)
    }

    /// Longest sequence in tokens, prompt and answer together.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Ids that end an answer: those of the tokenizer and those of the model's configuration, each once.
    pub fn stop_ids(&self) -> Vec<u32> {
        let mut ids = self.tokenizer.stop_ids();
        for id in &self.model.config().eos_token_ids {
            if !ids.contains(id) {
                ids.push(*id);
            }
        }
        ids
    }

    /// Continues one prompt, token by token.
    ///
    /// # Errors
    /// As [`Decoder::admit`].
    pub fn generate(&self, prompt: &[u32], settings: &GenerationConfig) -> Result<Generation<B>, InferError> {
        let mut decoder = Decoder::new(self);
        decoder.admit(prompt, settings)?;
        Ok(Generation { decoder })
    }

    /// Continues many prompts in one batch and returns the tokens of each. Row `i` yields the same tokens as if it were
    /// generated alone with [`stream`](GenerationConfig::stream) `+ i`.
    ///
    /// # Errors
    /// As [`Decoder::admit`] and [`Decoder::step`].
    pub fn generate_batch(
        &self,
        prompts: &[Vec<u32>],
        settings: &GenerationConfig,
    ) -> Result<Vec<Vec<u32>>, InferError> {
        let mut decoder = Decoder::new(self);
        for (prompt, row) in prompts.iter().zip(0..) {
            let stream = settings.stream.wrapping_add(row);
            let settings = settings.clone();
            decoder.admit(prompt, &GenerationConfig { stream, ..settings })?;
        }
        let mut outputs = vec![Vec::new(); prompts.len()];
        while !decoder.is_idle() {
            for event in decoder.step()? {
                outputs[event.row].push(event.token);
            }
        }
        Ok(outputs)
    }
}

/// The part of a tokenizer that exceeds a vocabulary: its number of ids, or a special token.
fn beyond(tokenizer: &ChatTokenizer, vocab_size: usize) -> Option<String> {
    if tokenizer.vocab_size() > vocab_size {
        return Some(tokenizer.vocab_size().to_string());
    }
    // Ids may have gaps, so even a small tokenizer can have an id above the vocabulary.
    let special = [tokenizer.bos_id(), tokenizer.eos_id(), tokenizer.pad_id()];
    let mut ids = special.into_iter().chain(tokenizer.stop_ids());
    let id = ids.find(|id| *id as usize >= vocab_size)?;
    let token = tokenizer.token(id).expect("a special token is a token");
    Some(format!("{token} as id {id}"))
}

/// The tokenizer of the model in a Hugging Face folder or a .gguf file, without its weights.
///
/// # Errors
/// [`InferError::NoModel`] if there is no model; otherwise if its tokenizer cannot be read.
pub fn open_tokenizer(path: &Path) -> Result<ChatTokenizer, InferError> {
    let found = if !path.exists() {
        "nothing"
    } else if path.is_dir() && !path.join("config.json").is_file() {
        "a folder without config.json"
    } else {
        return Ok(ChatTokenizer::open(path)?);
    };
    Err(InferError::NoModel {
        path: path.to_owned(),
        found,
    })
}

/// An iterator over the tokens that follow one prompt. It ends after a stop, after `max_new_tokens`, or when the
/// positions of the model are used up.
#[derive(Debug)]
pub struct Generation<B: DecoderBackend> {
    decoder: Decoder<B>,
}

impl<B: DecoderBackend> Iterator for Generation<B> {
    type Item = Result<TokenEvent, InferError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.decoder.is_idle() {
            return None;
        }
        match self.decoder.step() {
            Ok(mut events) => events.pop().map(Ok),
            Err(error) => Some(Err(error)),
        }
    }
}
