//! The explicit backward passes on `Autodiff`. Each keeps only the inputs of its operation, which other operations keep
//! in memory anyway, and recomputes everything else.

use burn::tensor::{
    backend::Backend,
    ops::{BoolTensor, FloatTensor},
};
use burn_autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn_custom_op::{Operation, record, record_keeping};

use super::DecoderBackend;

impl<B: DecoderBackend, C: CheckpointStrategy> DecoderBackend for Autodiff<B, C> {
    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        record::<B, C, _, 2>(RmsNorm { epsilon }, [x, weight])
    }

    fn rotate(x: FloatTensor<Self>, cos: FloatTensor<Self>, sin: FloatTensor<Self>) -> FloatTensor<Self> {
        let operation = Rotate::<B> {
            cos: cos.primitive,
            sin: sin.primitive,
        };
        record_keeping::<B, C, _, 1>(operation, [x], |operation, x| (operation.forward(x), ()))
    }

    fn silu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        record::<B, C, _, 1>(Silu, [x])
    }

    fn gated_silu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        record::<B, C, _, 2>(GatedSilu, [gate, up])
    }

    fn causal_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        hidden: Option<BoolTensor<Self>>,
    ) -> FloatTensor<Self> {
        record::<B, C, _, 3>(Attention::<B> { hidden }, [query, key, value])
    }
}

#[derive(Clone, Debug)]
struct RmsNorm {
    epsilon: f64,
}

impl<B: DecoderBackend> Operation<B, 2> for RmsNorm {
    type Kept = [FloatTensor<B>; 2];

    fn forward(&self, [x, weight]: [FloatTensor<B>; 2]) -> FloatTensor<B> {
        B::rms_norm(x, weight, self.epsilon)
    }

    fn gradients(self, [x, weight]: Self::Kept, grad: FloatTensor<B>) -> [FloatTensor<B>; 2] {
        B::rms_norm_backward(x, weight, grad, self.epsilon)
    }
}

#[derive(Clone, Debug)]
struct Rotate<B: Backend> {
    cos: FloatTensor<B>,
    sin: FloatTensor<B>,
}

impl<B: DecoderBackend> Operation<B, 1> for Rotate<B> {
    /// A rotation back needs nothing of the input.
    type Kept = ();

    fn forward(&self, [x]: [FloatTensor<B>; 1]) -> FloatTensor<B> {
        B::rotate(x, self.cos.clone(), self.sin.clone())
    }

    fn gradients(self, _kept: (), grad: FloatTensor<B>) -> [FloatTensor<B>; 1] {
        [B::rotate(grad, self.cos, B::float_neg(self.sin))]
    }
}

#[derive(Clone, Debug)]
struct Silu;

impl<B: DecoderBackend> Operation<B, 1> for Silu {
    type Kept = [FloatTensor<B>; 1];

    fn forward(&self, [x]: [FloatTensor<B>; 1]) -> FloatTensor<B> {
        B::silu(x)
    }

    fn gradients(self, [x]: Self::Kept, grad: FloatTensor<B>) -> [FloatTensor<B>; 1] {
        [B::silu_backward(x, grad)]
    }
}

#[derive(Clone, Debug)]
struct GatedSilu;

impl<B: DecoderBackend> Operation<B, 2> for GatedSilu {
    type Kept = [FloatTensor<B>; 2];

    fn forward(&self, [gate, up]: [FloatTensor<B>; 2]) -> FloatTensor<B> {
        B::gated_silu(gate, up)
    }

    fn gradients(self, [gate, up]: Self::Kept, grad: FloatTensor<B>) -> [FloatTensor<B>; 2] {
        B::gated_silu_backward(gate, up, grad)
    }
}

#[derive(Clone, Debug)]
struct Attention<B: Backend> {
    hidden: Option<BoolTensor<B>>,
}

impl<B: DecoderBackend> Operation<B, 3> for Attention<B> {
    type Kept = [FloatTensor<B>; 3];

    fn forward(&self, [query, key, value]: [FloatTensor<B>; 3]) -> FloatTensor<B> {
        B::causal_attention(query, key, value, self.hidden.clone())
    }

    fn gradients(self, [query, key, value]: Self::Kept, grad: FloatTensor<B>) -> [FloatTensor<B>; 3] {
        B::causal_attention_backward(query, key, value, self.hidden, grad)
    }
}
