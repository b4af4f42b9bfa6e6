//! Integration tests of kallm, one binary.

mod judge;
mod lm_eval;
