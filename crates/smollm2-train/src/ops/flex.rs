//! One pass over memory per operation on the CPU backend Flex, in place, on all cores.
//!
//! How the work is divided depends only on the shapes, so results are bit-identical for any number of threads.

use burn::tensor::{Int, Tensor, TensorData, TensorMetadata, TensorPrimitive};
use burn_flex::{Flex, FlexTensor};
use rayon::prelude::*;

use super::{AdamWState, AdamWStep, SoftmaxLoss, StepBackend, check_softmax_loss, reference};

/// Elements of one task: its slices stay in the second-level cache, and a task costs far more than scheduling it.
const TASK: usize = 16_384;

impl StepBackend for Flex {
    fn adamw<const D: usize>(
        state: AdamWState<Self, D>,
        gradient: Tensor<Self, D>,
        step: &AdamWStep,
    ) -> AdamWState<Self, D> {
        state.check(&gradient);
        let gradient = contiguous(primitive(gradient));
        let gradient = gradient.as_slice::<f32>().expect("checked: the gradient is f32");
        let mut tensors = [state.weight, state.first, state.second].map(primitive).map(whole);
        let [weight, first, second] = tensors.each_mut().map(|tensor| tensor.storage_mut::<f32>());
        weight
            .par_chunks_mut(TASK)
            .zip(first.par_chunks_mut(TASK).zip(second.par_chunks_mut(TASK)))
            .zip(gradient.par_chunks(TASK))
            .for_each(|((weight, (first, second)), gradient)| adamw_chunk(weight, first, second, gradient, step));
        let [weight, first, second] = tensors.map(tensor);
        AdamWState { weight, first, second }
    }

    fn square_sum<const D: usize>(x: Tensor<Self, D>) -> Tensor<Self, 1> {
        let device = x.device();
        let x = contiguous(primitive(x));
        let Some(values) = x.as_slice::<f32>() else {
            return reference::square_sum(tensor::<D>(x));
        };
        let partials: Vec<f64> = values
            .par_chunks(TASK)
            .map(|chunk| chunk.iter().map(|x| f64::from(*x) * f64::from(*x)).sum())
            .collect();
        Tensor::from_floats([partials.iter().sum::<f64>() as f32], &device) // [1]
    }

    fn softmax_loss(logits: Tensor<Self, 2>, targets: Tensor<Self, 1, Int>) -> SoftmaxLoss<Self> {
        check_softmax_loss(&logits, &targets);
        let device = logits.device();
        let [rows, vocab] = logits.dims();
        if rows * vocab == 0 {
            return reference::softmax_loss(logits, targets);
        }
        let mut logits = whole(primitive(logits));
        let targets: Vec<usize> = targets.into_data().iter::<i64>().map(|id| id as usize).collect();
        let found: Vec<(f32, f32)> = logits
            .storage_mut::<f32>()
            .par_chunks_mut(vocab)
            .zip(&targets)
            .map(|(row, target)| softmax_row(row, *target))
            .collect();
        let sums: Vec<f32> = found.iter().map(|(sum, _)| *sum).collect();
        let loss: f64 = found.iter().map(|(_, loss)| f64::from(*loss)).sum();
        SoftmaxLoss {
            exponentials: tensor(logits),                                       // [n, V]
            sums: Tensor::from_data(TensorData::new(sums, [rows, 1]), &device), // [n, 1]
            loss: Tensor::from_floats([loss as f32], &device),                  // [1]
        }
    }
}

fn adamw_chunk(weight: &mut [f32], first: &mut [f32], second: &mut [f32], gradient: &[f32], step: &AdamWStep) {
    let [clip, beta1, beta2] = [step.clip, step.beta1, step.beta2].map(|x| x as f32);
    let [rest1, rest2] = [1.0 - step.beta1, 1.0 - step.beta2].map(|x| x as f32);
    let [size, epsilon, keep] = [step.step_size, step.epsilon, 1.0 - step.decay].map(|x| x as f32);
    for ((weight, gradient), (first, second)) in weight.iter_mut().zip(gradient).zip(first.iter_mut().zip(second)) {
        let gradient = gradient * clip;
        *first = *first * beta1 + gradient * rest1;
        *second = *second * beta2 + gradient * gradient * rest2;
        *weight = *weight * keep - *first / (second.sqrt() + epsilon) * size;
    }
}

/// Replaces a row of logits by `exp(z - max)`; their sum, and the loss of `target`.
fn softmax_row(row: &mut [f32], target: usize) -> (f32, f32) {
    let maximum = row
        .iter()
        .copied()
        .fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
    let chosen = row[target] - maximum;
    let mut sum = 0.0f64;
    // Short f32 sums inside one f64 sum: exact enough, and the additions run side by side.
    for part in row.chunks_mut(64) {
        for x in part.iter_mut() {
            *x = (*x - maximum).exp();
        }
        sum += f64::from(part.iter().sum::<f32>());
    }
    (sum as f32, sum.ln() as f32 - chosen)
}

fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

/// A tensor that is all of its buffer, so that its storage is its values.
fn whole(tensor: FlexTensor) -> FlexTensor {
    let elements: usize = tensor.shape().iter().product();
    let tensor = contiguous(tensor);
    match tensor.as_slice::<f32>() {
        Some(values) if values.len() != tensor.storage::<f32>().len() => {
            debug_assert_eq!(values.len(), elements);
            FlexTensor::from_data(TensorData::new(values.to_vec(), tensor.shape().to_vec()))
        }
        _ => tensor,
    }
}

fn primitive<const D: usize>(tensor: Tensor<Flex, D>) -> FlexTensor {
    tensor.into_primitive().tensor()
}

fn tensor<const D: usize>(primitive: FlexTensor) -> Tensor<Flex, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}
