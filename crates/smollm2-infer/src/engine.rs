//! A model with its tokenizer.

use std::path::Path;

use burn::tensor::backend::Backend;
use smollm2_model::weights::{self, ModelSource};
use smollm2_model::{DecoderBackend, SmolLm2};
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
    /// Puts the two together.
    ///
    /// # Errors
    /// [`InferError::Vocabulary`] when the tokenizer has an id that the model has no embedding for.
    pub fn new(model: SmolLm2<B>, tokenizer: ChatTokenizer) -> Result<Self, InferError> {
        let vocab_size = model.config().vocab_size;
        let outside = |found| Err(InferError::Vocabulary { vocab_size, found });
        if tokenizer.vocab_size() > vocab_size {
            return outside(tokenizer.vocab_size().to_string());
        }
        // Ids may have gaps, so that few of them may reach far.
        let special = [tokenizer.bos_id(), tokenizer.eos_id(), tokenizer.pad_id()];
        for id in special.into_iter().chain(tokenizer.stop_ids()) {
            if id as usize >= vocab_size {
                return outside(format!("{} as id {id}", tokenizer.token(id).unwrap_or_default()));
            }
        }
        Ok(Self {
            max_length: model.config().max_position_embeddings,
            model,
            tokenizer,
        })
    }

    /// Opens a Hugging Face folder or a .gguf file.
    ///
    /// # Errors
    /// When weights or tokenizer cannot be read, or do not belong together.
    pub fn open(path: &Path, device: &B::Device) -> Result<Self, InferError> {
        let tokenizer = ChatTokenizer::open(path)?;
        let source = if path.is_dir() {
            ModelSource::Folder(path.to_owned())
        } else {
            ModelSource::Gguf(path.to_owned())
        };
        Self::new(weights::load(&source, device)?.model, tokenizer)
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

    /// Continues many prompts at once and gives the tokens of each. Row `i` yields the tokens that it would yield alone
    /// with [`stream`](GenerationConfig::stream) `+ i`.
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

/// What follows one prompt. Ends after a stop, after `max_new_tokens`, or when the positions of the model are used up.
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
