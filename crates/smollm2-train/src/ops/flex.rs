//! One pass over memory per operation on the CPU backend Flex, in place, on all cores.
//!
//! How the work is divided depends only on the shapes, so results are bit-identical for any number of threads.

use burn::tensor::{DType, Int, Tensor, TensorData};
use burn_custom_op::{
    flex::{TASK, contiguous, values},
    unwrap, wrap,
};
use burn_flex::Flex;
use rayon::prelude::*;

use super::{AdamWState, AdamWStep, SoftmaxLoss, StepBackend, check_softmax_loss, reference};

impl StepBackend for Flex {
    fn adamw<const D: usize>(
        state: AdamWState<Self, D>,
        gradient: Tensor<Self, D>,
        step: &AdamWStep,
    ) -> AdamWState<Self, D> {
        state.check(&gradient);
        let gradient = contiguous(unwrap(gradient));
        // `to_contiguous` also makes a tensor all of its buffer, so that its storage is its values.
        let mut tensors = [state.weight, state.first, state.second].map(|tensor| unwrap(tensor).to_contiguous());
        let [weight, first, second] = tensors.each_mut().map(|tensor| tensor.storage_mut::<f32>());
        weight
            .par_chunks_mut(TASK)
            .zip(first.par_chunks_mut(TASK).zip(second.par_chunks_mut(TASK)))
            .zip(values(&gradient).par_chunks(TASK))
            .for_each(|((weight, (first, second)), gradient)| adamw_chunk(weight, first, second, gradient, step));
        let [weight, first, second] = tensors.map(wrap);
        AdamWState { weight, first, second }
    }

    fn square_sum<const D: usize>(x: Tensor<Self, D>) -> Tensor<Self, 1> {
        let device = x.device();
        if x.dtype() != DType::F32 {
            return reference::square_sum(x);
        }
        let x = contiguous(unwrap(x));
        let partials: Vec<f64> = values(&x)
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
        let mut logits = unwrap(logits).to_contiguous();
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
            exponentials: wrap(logits),                                         // [n, V]
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
