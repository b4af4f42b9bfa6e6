//! The operations of [`StepBackend`](super::StepBackend) in plain tensor operations, for any backend.

use burn::tensor::{Int, Tensor, backend::Backend};

use super::{AdamWState, AdamWStep, SoftmaxLoss, check_softmax_loss};

/// See [`StepBackend::adamw`](super::StepBackend::adamw). Every operation that can work in place on a tensor nobody
/// else holds is given one, which is why owned tensors are passed around.
pub fn adamw<B: Backend, const D: usize>(
    state: AdamWState<B, D>,
    gradient: Tensor<B, D>,
    step: &AdamWStep,
) -> AdamWState<B, D> {
    state.check(&gradient);
    let gradient = gradient.mul_scalar(step.clip);
    let squares = gradient.clone().square().mul_scalar(1.0 - step.beta2);
    let second = state.second.mul_scalar(step.beta2).add(squares);
    let first = state
        .first
        .mul_scalar(step.beta1)
        .add(gradient.mul_scalar(1.0 - step.beta1));
    let direction = first.clone().div(second.clone().sqrt().add_scalar(step.epsilon));
    let weight = state.weight.mul_scalar(1.0 - step.decay);
    let weight = weight.sub(direction.mul_scalar(step.step_size));
    AdamWState { weight, first, second }
}

/// See [`StepBackend::square_sum`](super::StepBackend::square_sum). Rows are summed before their sums: a backend may
/// split the sum over a whole large tensor differently from run to run.
pub fn square_sum<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, 1> {
    x.square().sum_dim(D - 1).sum()
}

/// See [`StepBackend::softmax_loss`](super::StepBackend::softmax_loss).
pub fn softmax_loss<B: Backend>(logits: Tensor<B, 2>, targets: Tensor<B, 1, Int>) -> SoftmaxLoss<B> {
    check_softmax_loss(&logits, &targets);
    let maximum = logits.clone().max_dim(1); // [n, 1]
    let shifted = logits.sub(maximum); // [n, V]
    let chosen = shifted.clone().gather(1, targets.unsqueeze_dim(1)); // [n, 1]
    let exponentials = shifted.exp(); // [n, V]
    let sums = exponentials.clone().sum_dim(1); // [n, 1]
    let loss = (sums.clone().log() - chosen).sum(); // [1]
    SoftmaxLoss {
        exponentials,
        sums,
        loss,
    }
}
