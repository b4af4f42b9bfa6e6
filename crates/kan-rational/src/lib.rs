//! # Brief overview
//!
//! The group rational function of Kolmogorov-Arnold Transformers.
#![deny(missing_docs)]

mod autodiff;
mod backend;
mod coefficients;
mod error;
mod module;
pub mod reference;
mod spec;

pub use backend::{GatedGradients, RationalBackend, RationalGradients, gated_rational, group_rational};
pub use coefficients::Coefficients;
pub use error::RationalError;
pub use module::{GroupRational, GroupRationalConfig};
pub use spec::{Degrees, Denominator, RationalSpec};
