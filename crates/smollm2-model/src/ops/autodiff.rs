//! The explicit backward passes on `Autodiff`. Each keeps only the inputs of its operation, which other operations keep
//! in memory anyway, and recomputes everything else.

use burn::tensor::{
    backend::Backend,
    ops::{BoolTensor, FloatTensor},
};
use burn_autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};

use super::DecoderBackend;

impl<B: DecoderBackend, C: CheckpointStrategy> DecoderBackend for Autodiff<B, C> {
    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        let keep = |inputs: &[FloatTensor<B>; 2]| (inputs.clone(), epsilon);
        record::<B, C, _, 2>(RmsNormStep, [x, weight], keep, |[x, weight]| {
            B::rms_norm(x, weight, epsilon)
        })
    }

    fn rotate(x: FloatTensor<Self>, cos: FloatTensor<Self>, sin: FloatTensor<Self>) -> FloatTensor<Self> {
        let (cos, sin) = (cos.primitive, sin.primitive);
        let keep = |_: &[FloatTensor<B>; 1]| (cos.clone(), sin.clone());
        record::<B, C, _, 1>(RotateStep, [x], keep, |[x]| B::rotate(x, cos.clone(), sin.clone()))
    }

    fn silu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let keep = |[x]: &[FloatTensor<B>; 1]| x.clone();
        record::<B, C, _, 1>(SiluStep, [x], keep, |[x]| B::silu(x))
    }

    fn gated_silu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        let keep = <[FloatTensor<B>; 2]>::clone;
        record::<B, C, _, 2>(GatedSiluStep, [gate, up], keep, |[gate, up]| B::gated_silu(gate, up))
    }

    fn causal_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        hidden: Option<BoolTensor<Self>>,
    ) -> FloatTensor<Self> {
        let keep = |inputs: &[FloatTensor<B>; 3]| (inputs.clone(), hidden.clone());
        record::<B, C, _, 3>(AttentionStep, [query, key, value], keep, |[query, key, value]| {
            B::causal_attention(query, key, value, hidden.clone())
        })
    }
}

/// One backward pass: the gradients of N inputs from what was kept of the forward pass and the gradient of its output.
trait Step<B: Backend, const N: usize>: Clone + Send + Sync + std::fmt::Debug + 'static {
    type Kept: Clone + Send + std::fmt::Debug + 'static;

    fn gradients(kept: Self::Kept, grad_output: FloatTensor<B>) -> [FloatTensor<B>; N];
}

/// Runs `forward` and, where an input is tracked, records `step` with what it has to keep.
fn record<B: Backend, C: CheckpointStrategy, S: Step<B, N>, const N: usize>(
    step: S,
    inputs: [FloatTensor<Autodiff<B, C>>; N],
    keep: impl FnOnce(&[FloatTensor<B>; N]) -> S::Kept,
    forward: impl FnOnce([FloatTensor<B>; N]) -> FloatTensor<B>,
) -> FloatTensor<Autodiff<B, C>> {
    let nodes = inputs.each_ref().map(|input| input.node.clone());
    let inputs = inputs.map(|input| input.primitive);
    match Recorded(step).prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let kept = keep(&inputs);
            prep.finish(kept, forward(inputs))
        }
        OpsKind::UnTracked(prep) => prep.finish(forward(inputs)),
    }
}

/// A [`Step`] as Burn's autodiff calls it.
#[derive(Clone, Debug)]
struct Recorded<S>(S);

impl<B: Backend, S: Step<B, N>, const N: usize> Backward<B, N> for Recorded<S> {
    type State = S::Kept;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad_output = grads.consume::<B>(&ops.node);
        for (parent, gradient) in ops.parents.into_iter().zip(S::gradients(ops.state, grad_output)) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

#[derive(Clone, Debug)]
struct RmsNormStep;

impl<B: DecoderBackend> Step<B, 2> for RmsNormStep {
    type Kept = ([FloatTensor<B>; 2], f64);

    fn gradients(([x, weight], epsilon): Self::Kept, grad: FloatTensor<B>) -> [FloatTensor<B>; 2] {
        B::rms_norm_backward(x, weight, grad, epsilon)
    }
}

#[derive(Clone, Debug)]
struct RotateStep;

impl<B: DecoderBackend> Step<B, 1> for RotateStep {
    /// Cosines and sines: a rotation back needs nothing of the input.
    type Kept = (FloatTensor<B>, FloatTensor<B>);

    fn gradients((cos, sin): Self::Kept, grad: FloatTensor<B>) -> [FloatTensor<B>; 1] {
        [B::rotate(grad, cos, B::float_neg(sin))]
    }
}

#[derive(Clone, Debug)]
struct SiluStep;

impl<B: DecoderBackend> Step<B, 1> for SiluStep {
    type Kept = FloatTensor<B>;

    fn gradients(x: Self::Kept, grad: FloatTensor<B>) -> [FloatTensor<B>; 1] {
        [B::silu_backward(x, grad)]
    }
}

#[derive(Clone, Debug)]
struct GatedSiluStep;

impl<B: DecoderBackend> Step<B, 2> for GatedSiluStep {
    type Kept = [FloatTensor<B>; 2];

    fn gradients([gate, up]: Self::Kept, grad: FloatTensor<B>) -> [FloatTensor<B>; 2] {
        B::gated_silu_backward(gate, up, grad)
    }
}

#[derive(Clone, Debug)]
struct AttentionStep;

impl<B: DecoderBackend> Step<B, 3> for AttentionStep {
    type Kept = ([FloatTensor<B>; 3], Option<BoolTensor<B>>);

    fn gradients(([query, key, value], hidden): Self::Kept, grad: FloatTensor<B>) -> [FloatTensor<B>; 3] {
        B::causal_attention_backward(query, key, value, hidden, grad)
    }
}
