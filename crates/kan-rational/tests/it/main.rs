//! One binary for every integration test. The suite runs on [`Device`]: Flex, or WGPU with the feature `wgpu`.

#[cfg(feature = "cuda")]
mod cuda_source;
mod fitting;
mod fused;
mod gradients;
#[cfg(feature = "wgpu")]
mod kernels;
mod modules;
mod oracle;
mod support;
mod tables;

/// The backend under test.
#[cfg(feature = "wgpu")]
pub(crate) type Device = burn::backend::Wgpu;
/// The backend under test.
#[cfg(not(feature = "wgpu"))]
pub(crate) type Device = burn::backend::Flex;
