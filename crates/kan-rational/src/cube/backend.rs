//! Implements [`RationalBackend`] with the kernels. If a device does not support the element type, the plain-tensor
//! reference is used.

use burn::tensor::ops::FloatTensor;
use burn_cubecl::{CubeBackend, CubeRuntime, FloatElement, IntElement, element::BoolElement};
use burn_custom_op::cube::is_supported;

use super::launch::{self, Parameters};
use crate::{GatedGradients, RationalBackend, RationalGradients, RationalSpec, checked, reference};

impl<R, F, I, BT> RationalBackend for CubeBackend<R, F, I, BT>
where
    R: CubeRuntime,
    F: FloatElement,
    I: IntElement,
    BT: BoolElement,
{
    fn group_rational(
        x: FloatTensor<Self>,
        numerator: FloatTensor<Self>,
        denominator: FloatTensor<Self>,
        spec: RationalSpec,
    ) -> FloatTensor<Self> {
        checked::group_rational::<Self>(&x, &numerator, &denominator, spec);
        if !is_supported(&x) {
            return reference::group_rational::<Self>(x, numerator, denominator, spec);
        }
        launch::group_rational(x, Parameters::new(numerator, denominator, spec))
    }

    fn group_rational_backward(
        x: FloatTensor<Self>,
        numerator: FloatTensor<Self>,
        denominator: FloatTensor<Self>,
        grad_output: FloatTensor<Self>,
        spec: RationalSpec,
    ) -> RationalGradients<Self> {
        checked::group_rational_backward::<Self>(&x, &numerator, &denominator, &grad_output, spec);
        if !is_supported(&x) {
            return reference::group_rational_backward::<Self>(x, numerator, denominator, grad_output, spec);
        }
        let parameters = Parameters::new(numerator, denominator, spec);
        let (input, coefficients) = launch::group_rational_backward(x, grad_output, parameters);
        RationalGradients {
            input,
            numerator: coefficients.numerator,
            denominator: coefficients.denominator,
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
        if !is_supported(&gate) {
            return reference::gated_rational::<Self>(gate, up, numerator, denominator, spec);
        }
        launch::gated_rational(gate, up, Parameters::new(numerator, denominator, spec))
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
        if !is_supported(&gate) {
            return reference::gated_rational_backward::<Self>(gate, up, numerator, denominator, grad_output, spec);
        }
        let parameters = Parameters::new(numerator, denominator, spec);
        let (gate, up, coefficients) = launch::gated_rational_backward(gate, up, grad_output, parameters);
        GatedGradients {
            gate,
            up,
            numerator: coefficients.numerator,
            denominator: coefficients.denominator,
        }
    }
}
