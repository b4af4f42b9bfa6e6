//! Fused CubeCL kernels for CUDA, WGPU and every other CubeCL runtime, bare and behind `Fusion`.
//!
//! One source, compiled per element type, vector width, degrees and form of the denominator, and nothing else: batch,
//! length, width and number of groups are read while the kernel runs, so no new shape compiles anything.
//!
//! - `grid`: which thread works on which elements.
//! - `arithmetic`: the function, its slope and the coefficients' terms at one element, in `f32`.
//! - `forward`, `backward`: the kernels, plain and gated.
//! - `fold`: the deterministic sums of the coefficient gradients.
//! - `layout`, `launch`: the host side. `backend`, `fusion`: what Burn sees.
//! - `source`: the kernels without a device, for reading what a compiler makes of them.
//!
//! `docs/performance.md`, "Rational kernels", has the reasons and the figures.

mod arithmetic;
mod backend;
mod backward;
mod fold;
mod forward;
mod fusion;
mod grid;
mod launch;
mod layout;
mod source;

pub use source::Kernel;
