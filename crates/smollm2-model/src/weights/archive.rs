//! What every kind of weight file offers: a configuration and tensors under their Hugging Face names.

use std::collections::BTreeMap;

use burn::tensor::TensorData;

use crate::{ModelError, SmolLm2Config};

/// A readable set of tensors under Hugging Face names, matrices as `[out, in]`.
pub(super) trait Archive {
    /// The configuration stored with the weights.
    fn config(&self) -> Result<SmolLm2Config, ModelError>;

    /// Names and shapes, without reading data.
    fn tensors(&self) -> BTreeMap<String, Stored>;

    /// One tensor, in the stored float type; quantised blocks come out as f32.
    fn read(&self, name: &str) -> Result<TensorData, ModelError>;
}

/// What is known of a tensor before it is read.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// Sizes, outermost first.
    pub(super) shape: Vec<usize>,
}
