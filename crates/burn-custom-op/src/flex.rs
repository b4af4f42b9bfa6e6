//! Tensors of the CPU backend Flex as slices of f32, and how work on them is divided.

use burn::tensor::{DType, TensorData};
use burn_flex::FlexTensor;

/// Elements per task of an elementwise operation: few enough that its slices stay in the second-level cache, and enough
/// that a task costs far more than scheduling it.
pub const TASK: usize = 16_384;

/// As many elements as whole rows of `width` hold that together have at most `elements`: at least one row.
pub fn whole_rows(elements: usize, width: usize) -> usize {
    width * (elements / width.max(1)).max(1)
}

/// Whether [`values`] can read all of the tensors.
pub fn are_f32<const N: usize>(tensors: [&FlexTensor; N]) -> bool {
    tensors.iter().all(|tensor| tensor.dtype() == DType::F32)
}

/// The same values in row-major order. A part of a larger buffer stays where it is if it has that order.
pub fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

/// The values of a [`contiguous`] f32 tensor.
///
/// # Panics
/// When its type or layout differs.
pub fn values(tensor: &FlexTensor) -> &[f32] {
    tensor
        .as_slice::<f32>()
        .expect("the caller passes a contiguous f32 tensor")
}

/// A tensor of these values in row-major order.
///
/// # Panics
/// When the shape has another number of elements.
pub fn from_values(values: Vec<f32>, shape: &[usize]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape.to_vec()))
}
