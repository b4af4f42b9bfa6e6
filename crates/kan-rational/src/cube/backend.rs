//! The kernels as a [`RationalBackend`]; the plain-tensor reference where a device lacks the element type.

use burn::tensor::{TensorMetadata, ops::FloatTensor};
use burn_cubecl::{CubeBackend, CubeRuntime, FloatElement, IntElement, element::BoolElement, tensor::CubeTensor};

use super::{
    launch::{self, Parameters},
    layout::is_supported,
};
use crate::{Denominator, GatedGradients, RationalBackend, RationalGradients, RationalSpec, reference};

/// Panics unless the shapes fit together, as the trait says: the kernels do not check again.
fn check<T: TensorMetadata>(x: &T, numerator: &T, denominator: &T, spec: RationalSpec) {
    if let Err(error) = spec.geometry(&x.shape(), &numerator.shape(), &denominator.shape()) {
        panic!("group rational: {error}");
    }
}

fn parameters<R: CubeRuntime>(
    numerator: CubeTensor<R>,
    denominator: CubeTensor<R>,
    spec: RationalSpec,
) -> Parameters<R> {
    Parameters::new(
        numerator,
        denominator,
        spec.groups,
        spec.denominator == Denominator::AbsOfSum,
    )
}

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
        check(&x, &numerator, &denominator, spec);
        if !is_supported(&x) {
            return reference::group_rational::<Self>(x, numerator, denominator, spec);
        }
        launch::group_rational(x, parameters(numerator, denominator, spec))
    }

    fn group_rational_backward(
        x: FloatTensor<Self>,
        numerator: FloatTensor<Self>,
        denominator: FloatTensor<Self>,
        grad_output: FloatTensor<Self>,
        spec: RationalSpec,
    ) -> RationalGradients<Self> {
        check(&x, &numerator, &denominator, spec);
        if !is_supported(&x) {
            return reference::group_rational_backward::<Self>(x, numerator, denominator, grad_output, spec);
        }
        let parameters = parameters(numerator, denominator, spec);
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
        check(&gate, &numerator, &denominator, spec);
        if !is_supported(&gate) {
            return reference::gated_rational::<Self>(gate, up, numerator, denominator, spec);
        }
        launch::gated_rational(gate, up, parameters(numerator, denominator, spec))
    }

    fn gated_rational_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        numerator: FloatTensor<Self>,
        denominator: FloatTensor<Self>,
        grad_output: FloatTensor<Self>,
        spec: RationalSpec,
    ) -> GatedGradients<Self> {
        check(&gate, &numerator, &denominator, spec);
        if !is_supported(&gate) {
            return reference::gated_rational_backward::<Self>(gate, up, numerator, denominator, grad_output, spec);
        }
        let parameters = parameters(numerator, denominator, spec);
        let (gate, up, coefficients) = launch::gated_rational_backward(gate, up, grad_output, parameters);
        GatedGradients {
            gate,
            up,
            numerator: coefficients.numerator,
            denominator: coefficients.denominator,
        }
    }
}
