//! Integration tests of kallm, one binary.

#[cfg(feature = "hub")]
mod hub;
mod judge;
mod lm_eval;
