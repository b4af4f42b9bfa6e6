//! GPU backends run the plain-tensor reference. Burn's fusion combines its elementwise operations.

use burn_cubecl::{CubeBackend, CubeRuntime, FloatElement, IntElement, element::BoolElement};
use burn_fusion::{Fusion, FusionBackend};
use kan_rational::RationalBackend;

use super::StepBackend;

impl<R, F, I, BT> StepBackend for CubeBackend<R, F, I, BT>
where
    R: CubeRuntime,
    F: FloatElement,
    I: IntElement,
    BT: BoolElement,
{
}

impl<B: FusionBackend + RationalBackend> StepBackend for Fusion<B> {}
