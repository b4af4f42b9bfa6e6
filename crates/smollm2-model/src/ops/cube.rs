//! GPU backends run the plain-tensor reference. Burn's fusion combines its elementwise operations; only the matrix
//! products remain separate.

use burn_cubecl::{CubeBackend, CubeRuntime, FloatElement, IntElement, element::BoolElement};
use burn_fusion::{Fusion, FusionBackend};
use kan_rational::RationalBackend;

use super::DecoderBackend;

impl<R, F, I, BT> DecoderBackend for CubeBackend<R, F, I, BT>
where
    R: CubeRuntime,
    F: FloatElement,
    I: IntElement,
    BT: BoolElement,
{
}

impl<B: FusionBackend + RationalBackend> DecoderBackend for Fusion<B> {}
