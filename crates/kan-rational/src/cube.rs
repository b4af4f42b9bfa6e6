//! Fused CubeCL kernels for CUDA, WGPU and every other CubeCL runtime, with and without `Fusion`.
//!
//! A kernel is compiled once for each combination of element type, vector width, degrees and form of the denominator.
//! Batch, length, width and number of groups are runtime arguments, so a new shape does not compile a new kernel.
//!
//! - `arithmetic`: the function, its slope and the terms of the coefficient gradients at one element, in `f32`.
//! - `forward`, `backward`: the kernels, plain and gated.
//! - `fold`: the coefficient gradients from the sums that the backward kernels leave.
//! - `launch`: the code on the host. `backend`, `fusion`: the interface to Burn.
//! - `source`: the generated source of the kernels without a device, for inspection with a compiler.
//!
//! [`burn_custom_op::cube`] assigns elements to threads and adds up their sums.
//!
//! `docs/performance.md`, "Rational kernels", explains the design and gives measurements.

mod arithmetic;
mod backend;
mod backward;
mod fold;
mod forward;
mod fusion;
mod launch;
mod source;

pub use source::Kernel;
