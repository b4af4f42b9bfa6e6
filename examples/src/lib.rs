//! Shared glue.

pub mod device;
