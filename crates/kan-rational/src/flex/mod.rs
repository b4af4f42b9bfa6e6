//! One-pass implementation on the CPU backend Flex.

use crate::RationalBackend;
use burn_flex::Flex;

impl RationalBackend for Flex {}
