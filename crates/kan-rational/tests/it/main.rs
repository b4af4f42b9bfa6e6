//! One binary for every integration test. The suite runs on [`Device`]: Flex, or WGPU with the feature `wgpu`.

mod fitting;
mod fused;
mod gradients;
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
