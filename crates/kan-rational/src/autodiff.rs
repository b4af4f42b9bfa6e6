//! The explicit backward pass on `Autodiff`. It keeps only the inputs and recomputes `F`, which costs a few
//! multiply-adds and saves a tensor of the size of the activations.

use burn::tensor::{TensorMetadata, backend::Backend, ops::FloatTensor};
use burn_autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn_custom_op::{Operation, record_recomputed};

use crate::{RationalBackend, RationalSpec};

impl<B: RationalBackend, C: CheckpointStrategy> RationalBackend for Autodiff<B, C> {
    fn group_rational(
        x: FloatTensor<Self>,
        numerator: FloatTensor<Self>,
        denominator: FloatTensor<Self>,
        spec: RationalSpec,
    ) -> FloatTensor<Self> {
        record_recomputed::<B, C, _, 3>(GroupRationalOperation(spec), [x, numerator, denominator])
    }

    fn gated_rational(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        numerator: FloatTensor<Self>,
        denominator: FloatTensor<Self>,
        spec: RationalSpec,
    ) -> FloatTensor<Self> {
        record_recomputed::<B, C, _, 4>(GatedRationalOperation(spec), [gate, up, numerator, denominator])
    }
}

#[derive(Clone, Debug)]
struct GroupRationalOperation(RationalSpec);

impl<B: RationalBackend> Operation<B, 3> for GroupRationalOperation {
    type Kept = [FloatTensor<B>; 3];

    fn forward(&self, [x, numerator, denominator]: [FloatTensor<B>; 3]) -> FloatTensor<B> {
        B::group_rational(x, numerator, denominator, self.0)
    }

    fn gradients(self, [x, numerator, denominator]: Self::Kept, grad_output: FloatTensor<B>) -> [FloatTensor<B>; 3] {
        let grad_output = like_input::<B>(grad_output, &x);
        let found = B::group_rational_backward(x, numerator, denominator, grad_output, self.0);
        [found.input, found.numerator, found.denominator]
    }
}

#[derive(Clone, Debug)]
struct GatedRationalOperation(RationalSpec);

impl<B: RationalBackend> Operation<B, 4> for GatedRationalOperation {
    type Kept = [FloatTensor<B>; 4];

    fn forward(&self, [gate, up, numerator, denominator]: [FloatTensor<B>; 4]) -> FloatTensor<B> {
        B::gated_rational(gate, up, numerator, denominator, self.0)
    }

    fn gradients(self, inputs: Self::Kept, grad_output: FloatTensor<B>) -> [FloatTensor<B>; 4] {
        let [gate, up, numerator, denominator] = inputs;
        let grad_output = like_input::<B>(grad_output, &gate);
        let found = B::gated_rational_backward(gate, up, numerator, denominator, grad_output, self.0);
        [found.gate, found.up, found.numerator, found.denominator]
    }
}

/// The gradient of the output. If the input has no elements, the input itself is used instead: Burn's backward pass of
/// a sum multiplies ones of shape `[0, D]` by a tensor of shape `[1, 1]`, which CubeCL broadcasts to `[1, D]`.
fn like_input<B: Backend>(grad_output: FloatTensor<B>, input: &FloatTensor<B>) -> FloatTensor<B> {
    if input.shape().num_elements() == 0 {
        input.clone()
    } else {
        grad_output
    }
}
