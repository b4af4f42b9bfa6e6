//! What a model reports about itself: its configuration, device and parameters.

use burn::tensor::{DType, backend::Backend};

use super::{FeedForward, SmolLm2};
use crate::{FeedForwardConfig, ModelError, SmolLm2Config, StoredDtype};

impl<B: Backend> SmolLm2<B> {
    /// The configuration. Its [`dtype`](SmolLm2Config::dtype) is the type that the weights have.
    pub fn config(&self) -> &SmolLm2Config {
        &self.config
    }

    /// The device that holds the weights.
    pub fn device(&self) -> B::Device {
        self.model.embed_tokens.weight.val().device()
    }

    /// Float type of the weights; rational coefficients are f32 in every case. f64, which no checkpoint stores, counts
    /// as f32.
    pub fn dtype(&self) -> StoredDtype {
        match self.model.embed_tokens.weight.val().dtype() {
            DType::F16 => StoredDtype::Float16,
            DType::BF16 => StoredDtype::Bfloat16,
            _ => StoredDtype::Float32,
        }
    }

    /// Number of trainable parameters; a tied embedding counts once.
    pub fn num_parameters(&self) -> usize {
        self.config.num_parameters()
    }

    /// The same weights with other special tokens: a base model that learns to chat ends its texts differently. The
    /// other fields of a configuration determine tensors and change only with them.
    ///
    /// # Errors
    /// [`ModelError::Config`] for an id outside the vocabulary.
    pub fn with_special_tokens(
        mut self,
        bos: Option<u32>,
        eos: Vec<u32>,
        pad: Option<u32>,
    ) -> Result<Self, ModelError> {
        self.config.bos_token_id = bos;
        self.config.eos_token_ids = eos;
        self.config.pad_token_id = pad;
        self.config.validate_tokens()?;
        Ok(self)
    }

    /// The configuration with the type of the weights, once they have one.
    pub(crate) fn settled(mut self) -> Self {
        self.config.dtype = self.dtype();
        self
    }

    /// Replaces the feed-forward of one layer together with its configuration.
    pub(crate) fn set_feed_forward(&mut self, layer: usize, config: FeedForwardConfig, mlp: FeedForward<B>) {
        self.config.feed_forward[layer] = config;
        self.model.layers[layer].mlp = mlp;
    }
}
