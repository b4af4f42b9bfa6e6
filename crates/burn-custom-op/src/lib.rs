//! # Brief overview
//!
//! What every custom operation on [Burn](https://burn.dev) needs in addition to its arithmetic:
//!
//! - [`wrap`], [`unwrap`], [`as_type`]: from a backend's primitive to a tensor and back.
//! - [`Call`]: the tensors of one call, checked before a value is read.
//! - [`Operation`], [`record`], [`record_keeping`], [`record_recomputed`]: an operation with an explicit backward pass,
//!   recorded on `Autodiff`.
//! - `flex` (feature `flex`): tensors of the CPU backend as slices. [`vectorized!`]: loops over slices, compiled for
//!   the vector instructions that a processor may have.
//! - `cube` (feature `cubecl`): the skeleton of a one-pass elementwise kernel in CubeCL, and the sums it folds.
//!
//! ```
//! use burn::backend::{Autodiff, Flex, autodiff::checkpoint::strategy::NoCheckpointing};
//! use burn::tensor::{Tensor, backend::Backend, ops::FloatTensor};
//! use burn_custom_op::{Operation, record, unwrap, wrap};
//!
//! /// The square of every element.
//! #[derive(Clone, Debug)]
//! struct Square;
//!
//! impl<B: Backend> Operation<B, 1> for Square {
//!     type Kept = [FloatTensor<B>; 1];
//!
//!     fn forward(&self, [x]: [FloatTensor<B>; 1]) -> FloatTensor<B> {
//!         B::float_mul(x.clone(), x)
//!     }
//!
//!     fn gradients(self, [x]: Self::Kept, grad_output: FloatTensor<B>) -> [FloatTensor<B>; 1] {
//!         [B::float_mul(grad_output, B::float_mul_scalar(x, 2.0.into()))]
//!     }
//! }
//!
//! let x = Tensor::<Autodiff<Flex>, 1>::from_floats([1.0, 2.0], &Default::default()).require_grad();
//! let y: Tensor<Autodiff<Flex>, 1> = wrap(record::<_, NoCheckpointing, _, 1>(Square, [unwrap(x.clone())]));
//! let gradients = y.sum().backward();
//! assert_eq!(x.grad(&gradients).unwrap().into_data().to_vec::<f32>().unwrap(), [2.0, 4.0]);
//! ```
//!
//! The crate contains no operation: kan-rational, smollm2-model and smollm2-train bring theirs. The example
//! `inspect-kernel` checks and times those of kan-rational.
#![deny(missing_docs)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod autodiff;
mod call;
#[cfg(feature = "cubecl")]
pub mod cube;
#[cfg(feature = "flex")]
pub mod flex;
mod tensor;
mod vectorized;

pub use autodiff::{Operation, record, record_keeping, record_recomputed};
pub use call::Call;
pub use tensor::{as_type, unwrap, wrap};
