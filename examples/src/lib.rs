//! Shared glue.
