//! Tensors and arguments of a launch.

use burn::tensor::{DType, Shape};
use burn_cubecl::{
    CubeRuntime,
    ops::numeric::{empty_device_contiguous_dtype, zeros_client},
    tensor::CubeTensor,
};
use cubecl::{CubeCount, calculate_cube_count_elemwise, ir::AddressType, prelude::*};

use super::{grid::THREADS, layout::Work};

/// An uninitialised contiguous tensor of the same shape and type.
pub fn like<R: CubeRuntime>(tensor: &CubeTensor<R>) -> CubeTensor<R> {
    let shape = tensor.meta.shape().clone();
    empty_device_contiguous_dtype(tensor.client.clone(), tensor.device.clone(), shape, tensor.dtype)
}

/// Zeros of the same shape and type.
pub fn zeros<R: CubeRuntime>(like: &CubeTensor<R>) -> CubeTensor<R> {
    let shape = like.meta.shape().clone();
    zeros_client(like.client.clone(), like.device.clone(), shape, like.dtype)
}

/// Room for what [`fold_cube`](super::fold_cube) writes, on the device of `like`.
pub fn partial_sums<R: CubeRuntime>(like: &CubeTensor<R>, work: &Work) -> CubeTensor<R> {
    let shape = Shape::from([work.partials()]);
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape, DType::F32)
}

/// How many cubes, and of what size, hold so many threads.
pub fn cubes<R: CubeRuntime>(client: &ComputeClient<R>, threads: usize) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new_1d(THREADS as u32);
    (calculate_cube_count_elemwise(client, threads, dim), dim)
}

/// 32-bit indices unless a tensor needs more.
pub fn address_type<R: CubeRuntime>(tensors: &[&CubeTensor<R>]) -> AddressType {
    tensors
        .iter()
        .map(|tensor| tensor.required_address_type())
        .max()
        .unwrap_or_default()
}
