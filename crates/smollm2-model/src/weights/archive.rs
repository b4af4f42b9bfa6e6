//! The common interface of weight files: tensors under their Hugging Face names.

use std::collections::BTreeMap;

use burn::tensor::TensorData;

use crate::ModelError;

/// Shapes by name, sizes outermost first: what is known of tensors before they are read.
pub(super) type Shapes = BTreeMap<String, Vec<usize>>;

/// A readable set of tensors under Hugging Face names, matrices as `[out, in]`.
pub(super) trait Archive {
    /// Names and shapes, without reading data.
    fn shapes(&self) -> Shapes;

    /// One tensor, in the stored float type; quantised blocks come out as f32. Asked for once: an archive in memory
    /// gives it away.
    fn read(&mut self, name: &str) -> Result<TensorData, ModelError>;
}
