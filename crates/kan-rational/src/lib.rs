//! # Brief overview
//!
//! A *group rational function* is a learnable activation `F(x) = P(x) / Q(x)` with one pair of polynomials per group of
//! channels. It is the building block of the Kolmogorov-Arnold Transformer. The main types and modules are:
//!
//! - [`RationalSpec`], [`Degrees`], [`Denominator`]: define the kind of function.
//! - [`Coefficients`], [`Activation`], [`fit`]: the coefficients in f64, published and fitted sets of them, and
//!   functions for fitting new ones.
//! - [`RationalBackend`]: the operations that a backend provides. Every method has a default implementation in plain
//!   tensor operations ([`reference`](mod@reference)).
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
//! `docs/kat.md` derives the function and its gradients, and lists where the published code and the paper disagree. The
//! example `inspect` plots every learned function of a model together with its initial curve.
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
