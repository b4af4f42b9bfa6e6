use burn::tensor::{
    DType, IndexingUpdateOp, Int, Tensor,
    backend::{AutodiffBackend, Backend},
    ops::{FloatTensor, IntTensor},
};
use burn_autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn_custom_op::{Operation, as_type, record_keeping, unwrap, wrap};
use smollm2_model::DecoderBackend;

use crate::ops::{SoftmaxLoss, StepBackend};

/// A backend for training: `Autodiff` over any backend that runs a decoder.
pub trait TrainBackend: AutodiffBackend<InnerBackend: StepBackend> + DecoderBackend {
    /// The primitive behind [`chunked_cross_entropy`].
    fn chunked_cross_entropy(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        scale: f64,
        chunk: usize,
    ) -> FloatTensor<Self>;
}

/// `-scale * sum_i log_softmax(h_i W^T)[t_i]`, differentiable in `hidden` and `weight`.
///
/// The gradient is linear in the gradient of the one number this returns, so both gradients are computed in the
/// forward pass, chunk by chunk, while the chunk's probabilities exist: three matrix products per chunk instead of
/// the four that recomputing the logits in the backward takes, and the backward only scales. Kept for it are `[N, D]`
/// and `[V, D]`, which the gradients need anyway. With `E = exp(z - max)` and `s` its row sums, `dh = (E W) / s - W[t]`
/// and `dW = E^T (h / s)` less `h_i` in row `t_i`, so that neither the division nor the subtraction of the one-hot
/// target iterates over the vocabulary.
///
/// # Shapes
/// - `hidden`: `[N, D]`, f32 or bf16 (in f16 a gradient of size `scale` is lost); the softmax is computed in f32
/// - `weight`: `[V, D]`; `targets`: `[N]`, ids below V
/// - output: `[1]`, f32; zero without a gradient when N is 0
///
/// # Panics
/// When shapes or types do not fit together, as Burn's own operations do.
pub fn chunked_cross_entropy<B: TrainBackend>(
    hidden: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    targets: Tensor<B, 1, Int>,
    scale: f64,
    chunk: usize,
) -> Tensor<B, 1> {
    check(&hidden, &weight, &targets);
    if hidden.dims()[0] == 0 {
        return Tensor::zeros([1], &hidden.device());
    }
    let targets = targets.into_primitive();
    wrap(B::chunked_cross_entropy(
        unwrap(hidden),
        unwrap(weight),
        targets,
        scale,
        chunk,
    ))
}

/// Panics unless there is a target for each row of `hidden`, and hidden states and weight fit each other.
fn check<B: Backend>(hidden: &Tensor<B, 2>, weight: &Tensor<B, 2>, targets: &Tensor<B, 1, Int>) {
    assert_eq!(hidden.dims()[0], targets.dims()[0], "rows of hidden and targets");
    assert_eq!(hidden.dims()[1], weight.dims()[1], "channels of hidden and weight");
    assert_eq!(hidden.dtype(), weight.dtype(), "types of hidden and weight");
}

/// `-sum_i log_softmax(h_i W^T)[t_i]` without gradients: for evaluation.
///
/// # Shapes
/// As [`chunked_cross_entropy`].
///
/// # Panics
/// As [`chunked_cross_entropy`].
pub fn cross_entropy_sum<B: StepBackend>(
    hidden: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    targets: Tensor<B, 1, Int>,
    chunk: usize,
) -> Tensor<B, 1> {
    check(&hidden, &weight, &targets);
    let rows = hidden.dims()[0];
    let chunk = chunk.clamp(1, rows.max(1));
    let mut total = Tensor::zeros([1], (&hidden.device(), DType::F32));
    for start in (0..rows).step_by(chunk) {
        let range = start..(start + chunk).min(rows);
        let part = softmax(
            hidden.clone().slice([range.clone()]),
            &weight,
            targets.clone().slice([range]),
        );
        total = total + part.loss;
    }
    total
}

/// The softmax of one chunk, and its loss. The softmax is computed in f32; exponentials have the type of `hidden`.
fn softmax<B: StepBackend>(hidden: Tensor<B, 2>, weight: &Tensor<B, 2>, targets: Tensor<B, 1, Int>) -> SoftmaxLoss<B> {
    let dtype = hidden.dtype();
    let logits = as_type(hidden.matmul(weight.clone().transpose()), DType::F32); // [n, V]
    let softmax = B::softmax_loss(logits, targets);
    SoftmaxLoss {
        exponentials: as_type(softmax.exponentials, dtype),
        ..softmax
    }
}

/// Value and both gradients.
struct Computed<B: Backend> {
    loss: Tensor<B, 1>,
    hidden: Tensor<B, 2>,
    weight: Tensor<B, 2>,
}

fn value_and_gradients<B: StepBackend>(
    hidden: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    targets: Tensor<B, 1, Int>,
    scale: f64,
    chunk: usize,
) -> Computed<B> {
    check(&hidden, &weight, &targets);
    let (rows, dtype) = (hidden.dims()[0], hidden.dtype());
    let chunk = chunk.clamp(1, rows.max(1));
    let mut loss = Tensor::zeros([1], (&hidden.device(), DType::F32));
    let mut grad_hidden = Vec::with_capacity(rows.div_ceil(chunk));
    let mut grad_weight: Option<Tensor<B, 2>> = None;
    for start in (0..rows).step_by(chunk) {
        let range = start..(start + chunk).min(rows);
        let h = hidden.clone().slice([range.clone()]); // [n, D]
        let t = targets.clone().slice([range]); // [n]
        let softmax = softmax(h.clone(), &weight, t.clone());
        let inverse = as_type(softmax.sums.recip().mul_scalar(scale), dtype); // [n, 1]
        let target_rows = weight.clone().select(0, t).mul_scalar(scale); // [n, D]
        grad_hidden.push(softmax.exponentials.clone().matmul(weight.clone()) * inverse.clone() - target_rows); // [n, D]
        // bf16 has 8 bits of mantissa: a sum over many chunks needs f32.
        let part = as_type(softmax.exponentials.transpose().matmul(h * inverse), DType::F32); // [V, D]
        grad_weight = Some(match grad_weight {
            Some(sum) => sum + part,
            None => part,
        });
        loss = loss + softmax.loss.mul_scalar(scale);
    }
    let weight_gradient = grad_weight.unwrap_or_else(|| as_type(weight.zeros_like(), DType::F32));
    let one_hot = as_type(hidden, DType::F32).mul_scalar(-scale); // [N, D]
    let weight_gradient = weight_gradient.select_assign(0, targets, one_hot, IndexingUpdateOp::Add); // [V, D]
    Computed {
        loss,
        hidden: Tensor::cat(grad_hidden, 0), // [N, D]
        weight: as_type(weight_gradient, dtype),
    }
}

impl<B: StepBackend, C: CheckpointStrategy> TrainBackend for Autodiff<B, C> {
    fn chunked_cross_entropy(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        scale: f64,
        chunk: usize,
    ) -> FloatTensor<Self> {
        let operation = CrossEntropy::<B> {
            targets: Tensor::from_primitive(targets),
            scale,
            chunk,
        };
        record_keeping::<B, C, _, 2>(operation, [hidden, weight], CrossEntropy::forward_with_gradients)
    }
}

#[derive(Clone, Debug)]
struct CrossEntropy<B: Backend> {
    targets: Tensor<B, 1, Int>,
    scale: f64,
    chunk: usize,
}

impl<B: StepBackend> CrossEntropy<B> {
    fn forward_with_gradients(&self, [hidden, weight]: [FloatTensor<B>; 2]) -> (FloatTensor<B>, [FloatTensor<B>; 2]) {
        let (hidden, weight) = (wrap(hidden), wrap(weight));
        let found = value_and_gradients::<B>(hidden, weight, self.targets.clone(), self.scale, self.chunk);
        (unwrap(found.loss), [unwrap(found.hidden), unwrap(found.weight)])
    }
}

impl<B: StepBackend> Operation<B, 2> for CrossEntropy<B> {
    /// Gradients of hidden and weight for a loss gradient of one.
    type Kept = [FloatTensor<B>; 2];

    fn forward(&self, [hidden, weight]: [FloatTensor<B>; 2]) -> FloatTensor<B> {
        let loss = cross_entropy_sum::<B>(wrap(hidden), wrap(weight), self.targets.clone(), self.chunk);
        unwrap(loss.mul_scalar(self.scale))
    }

    fn gradients(self, kept: Self::Kept, grad_output: FloatTensor<B>) -> [FloatTensor<B>; 2] {
        let output = wrap::<B, 1>(grad_output);
        kept.map(|gradient| {
            let gradient = wrap::<B, 2>(gradient);
            let factor = as_type(output.clone(), gradient.dtype()).reshape([1, 1]); // [1, 1]
            unwrap(gradient * factor)
        })
    }
}
