//! The operations behind `Fusion`: each is one custom operation of the stream. Tensors are checked when a call is
//! queued.

use burn::tensor::ops::FloatTensor;
use burn_custom_op::cube::queue;
use burn_fusion::{Fusion, FusionBackend};

use crate::{GatedGradients, RationalBackend, RationalGradients, RationalSpec, checked};

impl<B: FusionBackend + RationalBackend> RationalBackend for Fusion<B> {
    fn group_rational(
        x: FloatTensor<Self>,
        numerator: FloatTensor<Self>,
        denominator: FloatTensor<Self>,
        spec: RationalSpec,
    ) -> FloatTensor<Self> {
        checked::group_rational::<Self>(&x, &numerator, &denominator, spec);
        let inputs = [x, numerator, denominator];
        let [output] = queue::<B, 3, 1>("group_rational", inputs, [0], move |[x, a, b]| {
            [B::group_rational(x, a, b, spec)]
        });
        output
    }

    fn group_rational_backward(
        x: FloatTensor<Self>,
        numerator: FloatTensor<Self>,
        denominator: FloatTensor<Self>,
        grad_output: FloatTensor<Self>,
        spec: RationalSpec,
    ) -> RationalGradients<Self> {
        checked::group_rational_backward::<Self>(&x, &numerator, &denominator, &grad_output, spec);
        let inputs = [x, numerator, denominator, grad_output];
        let outputs = queue::<B, 4, 3>("group_rational_backward", inputs, [0, 1, 2], move |[x, a, b, grad]| {
            let found = B::group_rational_backward(x, a, b, grad, spec);
            [found.input, found.numerator, found.denominator]
        });
        let [input, numerator, denominator] = outputs;
        RationalGradients {
            input,
            numerator,
            denominator,
        }
    }

    fn gated_rational(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        numerator: FloatTensor<Self>,
        denominator: FloatTensor<Self>,
        spec: RationalSpec,
    ) -> FloatTensor<Self> {
        checked::gated_rational::<Self>(&gate, &up, &numerator, &denominator, spec);
        let inputs = [gate, up, numerator, denominator];
        let [output] = queue::<B, 4, 1>("gated_rational", inputs, [0], move |[gate, up, a, b]| {
            [B::gated_rational(gate, up, a, b, spec)]
        });
        output
    }

    fn gated_rational_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        numerator: FloatTensor<Self>,
        denominator: FloatTensor<Self>,
        grad_output: FloatTensor<Self>,
        spec: RationalSpec,
    ) -> GatedGradients<Self> {
        checked::gated_rational_backward::<Self>(&gate, &up, &numerator, &denominator, &grad_output, spec);
        let inputs = [gate, up, numerator, denominator, grad_output];
        let outputs = queue::<B, 5, 4>(
            "gated_rational_backward",
            inputs,
            [0, 1, 2, 3],
            move |[gate, up, a, b, grad]| {
                let found = B::gated_rational_backward(gate, up, a, b, grad, spec);
                [found.gate, found.up, found.numerator, found.denominator]
            },
        );
        let [gate, up, numerator, denominator] = outputs;
        GatedGradients {
            gate,
            up,
            numerator,
            denominator,
        }
    }
}
