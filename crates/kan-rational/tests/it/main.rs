//! One binary for every integration test.
//!
//! The suite runs on [`Device`]: Flex, or with the feature `wgpu` or `cuda` what people use on a GPU. There a test that
//! says `on_every_backend!` runs without fusion too.

/// Calls a check for the backend under test and, on a GPU, for the same backend without fusion.
macro_rules! on_every_backend {
    ($check:ident($($argument:expr),* $(,)?)) => {{
        #[cfg(any(feature = "cuda", feature = "wgpu"))]
        $check::<crate::Bare>($($argument),*);
        $check::<crate::Device>($($argument),*);
    }};
}

mod agreement;
#[cfg(feature = "cuda")]
mod cuda_source;
mod edges;
mod fitting;
mod gradients;
mod graphs;
mod mismatches;
mod modules;
mod oracle;
mod support;
mod tables;

/// The backend under test.
#[cfg(feature = "wgpu")]
pub(crate) type Device = burn::backend::Wgpu;
/// The backend under test.
#[cfg(all(feature = "cuda", not(feature = "wgpu")))]
pub(crate) type Device = burn::backend::Cuda;
/// The backend under test.
#[cfg(not(any(feature = "cuda", feature = "wgpu")))]
pub(crate) type Device = burn::backend::Flex;

/// The backend under test without fusion.
#[cfg(feature = "wgpu")]
pub(crate) type Bare = burn_cubecl::CubeBackend<cubecl::wgpu::WgpuRuntime, f32, i32, u32>;
/// The backend under test without fusion.
#[cfg(all(feature = "cuda", not(feature = "wgpu")))]
pub(crate) type Bare = burn_cubecl::CubeBackend<cubecl::cuda::CudaRuntime, f32, i32, u8>;
