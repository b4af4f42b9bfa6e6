//! The operations of a training step that process large tensors: AdamW, the sum of squares of a gradient, and the
//! softmax of the loss.
//!
//! n rows of one chunk, V vocab.

#[cfg(feature = "cubecl")]
mod cube;
#[cfg(feature = "flex")]
mod flex;
pub mod reference;

use burn::tensor::{DType, Int, Tensor, backend::Backend};
use smollm2_model::DecoderBackend;

/// A backend that makes training steps: the inner backend that `Autodiff` wraps.
///
/// Every method panics when shapes or types of its tensors do not fit together, before it reads any of them.
///
/// The default methods are the plain-tensor [`mod@reference`]; a backend with something faster overrides them. Flex
/// does, with one pass over memory each, on all cores.
pub trait StepBackend: DecoderBackend {
    /// One AdamW update of one parameter; every tensor is f32 and of one shape.
    fn adamw<const D: usize>(
        state: AdamWState<Self, D>,
        gradient: Tensor<Self, D>,
        step: &AdamWStep,
    ) -> AdamWState<Self, D> {
        reference::adamw(state, gradient, step)
    }

    /// `sum x²`, `[1]`. The order of additions follows from the shape alone: the norm scales every weight, so a run
    /// resumes bit for bit only if its norms do.
    fn square_sum<const D: usize>(x: Tensor<Self, D>) -> Tensor<Self, 1> {
        reference::square_sum(x)
    }

    /// The softmax of `logits: [n, V]`, f32, and the loss of `targets: [n]`, ids below V.
    fn softmax_loss(logits: Tensor<Self, 2>, targets: Tensor<Self, 1, Int>) -> SoftmaxLoss<Self> {
        reference::softmax_loss(logits, targets)
    }
}

/// A weight and the moments of its gradients, all of one shape.
#[derive(Clone, Debug)]
pub struct AdamWState<B: Backend, const D: usize> {
    /// The weight in f32: the parameter itself, or its master copy.
    pub weight: Tensor<B, D>,
    /// Mean of the gradients.
    pub first: Tensor<B, D>,
    /// Mean of the squared gradients.
    pub second: Tensor<B, D>,
}

impl<B: Backend, const D: usize> AdamWState<B, D> {
    /// Panics unless all tensors of the update are f32 and have one shape.
    pub(crate) fn check(&self, gradient: &Tensor<B, D>) {
        for (name, tensor) in [
            ("weight", &self.weight),
            ("first moment", &self.first),
            ("second moment", &self.second),
            ("gradient", gradient),
        ] {
            assert_eq!(tensor.dims(), self.weight.dims(), "shape of the {name} and the weight");
            assert_eq!(tensor.dtype(), DType::F32, "type of the {name}");
        }
    }
}

/// Panics unless there is a target for each row of f32 logits.
pub(crate) fn check_softmax_loss<B: Backend>(logits: &Tensor<B, 2>, targets: &Tensor<B, 1, Int>) {
    assert_eq!(logits.dims()[0], targets.dims()[0], "rows of logits and targets");
    assert_eq!(logits.dtype(), DType::F32, "type of the logits");
}

/// The scalars of one AdamW update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// Factor of the gradient: the clipping.
    pub clip: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// `lr sqrt(1 - beta2^t) / (1 - beta1^t)`.
    pub step_size: f64,
    /// `epsilon sqrt(1 - beta2^t)`.
    pub epsilon: f64,
    /// `lr` times the weight decay.
    pub decay: f64,
}

/// A chunk's softmax before its division, with `max` the largest logit of a row.
#[derive(Clone, Debug)]
pub struct SoftmaxLoss<B: Backend> {
    /// `exp(z - max)`, `[n, V]`.
    pub exponentials: Tensor<B, 2>,
    /// Row sums of the exponentials, `[n, 1]`.
    pub sums: Tensor<B, 2>,
    /// Sum of the negative log-probabilities of the targets, `[1]`.
    pub loss: Tensor<B, 1>,
}
