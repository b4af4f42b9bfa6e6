//! CubeCL backends (CUDA, WGPU, ..), bare and behind `Fusion`.

use crate::RationalBackend;
use burn_cubecl::{CubeBackend, CubeRuntime, FloatElement, IntElement, element::BoolElement};
use burn_fusion::{Fusion, FusionBackend};

impl<R, F, I, BT> RationalBackend for CubeBackend<R, F, I, BT>
where
    R: CubeRuntime,
    F: FloatElement,
    I: IntElement,
    BT: BoolElement,
{
}

impl<B: FusionBackend + RationalBackend> RationalBackend for Fusion<B> {}
