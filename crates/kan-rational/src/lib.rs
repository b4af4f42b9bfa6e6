//! # Brief overview
//!
//! A *group rational function* is a learnable activation `F(x) = P(x) / Q(x)`, one pair of polynomials per group of
//! channels: the building block of the Kolmogorov-Arnold Transformer. The nouns:
//!
//! - [`RationalSpec`], [`Degrees`], [`Denominator`]: which function.
//! - [`Coefficients`], [`Activation`], [`fit`]: its numbers in f64, the published ones, ours, and how to make more.
//! - [`RationalBackend`]: who computes it. Every method has a plain-tensor default ([`reference`](mod@reference)).
//! - [`group_rational`], [`gated_rational`]: the differentiable tensor functions.
//! - [`GroupRational`], [`GroupRationalConfig`]: the Burn module.
//!
//! ```
//! use burn::{backend::{Autodiff, Flex}, tensor::Tensor};
//! use kan_rational::GroupRationalConfig;
//!
//! type B = Autodiff<Flex>;
//! let device = Default::default();
//! let activation = GroupRationalConfig::new().with_groups(2).init::<B>(4, &device);
//! let x = Tensor::<B, 2>::from_floats([[-2.0, -1.0, 1.0, 2.0]], &device).require_grad();
//! let y = activation.forward(x.clone());
//! let silu = burn::tensor::activation::silu(x.clone());
//! assert!((y.clone() - silu).abs().max().into_scalar() < 1e-3);
//!
//! let gradients = y.sum().backward();
//! assert!(x.grad(&gradients).is_some());
//! assert_eq!(activation.numerator.grad(&gradients).unwrap().dims(), [2, 6]);
//! ```
//!
//! The derivation of function and gradients, and what the published code and paper disagree on, is in `docs/kat.md`.
//! The example `inspect` plots every learned function of a model against its start.
#![deny(missing_docs)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod activation;
mod autodiff;
mod backend;
mod checked;
mod coefficients;
#[cfg(feature = "cubecl")]
pub mod cube;
mod error;
pub mod fit;
#[cfg(feature = "flex")]
mod flex;
mod module;
pub mod reference;
mod spec;

pub use activation::{Activation, Minimax, Published};
pub use backend::{GatedGradients, RationalBackend, RationalGradients, gated_rational, group_rational};
pub use coefficients::Coefficients;
pub use error::RationalError;
pub use module::{GroupRational, GroupRationalConfig, Init};
pub use spec::{Degrees, Denominator, Geometry, MAX_DEGREES, RationalSpec};
