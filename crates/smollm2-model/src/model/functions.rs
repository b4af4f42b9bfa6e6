//! The rational functions of a model, as functions that can be evaluated.

use std::fmt;

use burn::tensor::{Tensor, backend::Backend};
use kan_rational::{Activation, Coefficients, Denominator};

use crate::SmolLm2;

/// The learned function of one channel group.
#[derive(Clone, Debug, PartialEq)]
pub struct RationalFunction {
    /// Layer, from 0.
    pub layer: usize,
    /// The module that holds it: `gate_rational`, `act1` or `act2`.
    pub module: &'static str,
    /// Group, from 0.
    pub group: usize,
    /// The group's coefficients; groups that share a numerator or a denominator have the same.
    pub coefficients: Coefficients,
    /// Form of the denominator.
    pub denominator: Denominator,
    /// Whether SiLU is added to the function.
    pub keep_silu: bool,
}

impl RationalFunction {
    /// Its value at `x`, including SiLU if it is added.
    pub fn eval(&self, x: f64) -> f64 {
        let base = if self.keep_silu { Activation::Swish.eval(x) } else { 0.0 };
        base + self.coefficients.eval(x, self.denominator)
    }
}

/// The place in the model: `layer 3, gate_rational, group 2`.
impl fmt::Display for RationalFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "layer {}, {}, group {}", self.layer, self.module, self.group)
    }
}

impl<B: Backend> SmolLm2<B> {
    /// Every rational function of the model, by layer, module and group; empty for a model without any.
    pub fn rational_functions(&self) -> Vec<RationalFunction> {
        let mut functions = Vec::new();
        for (layer, block) in self.model.layers.iter().enumerate() {
            let keep_silu = block.mlp.keeps_silu();
            for (module, rational) in block.mlp.rationals() {
                let spec = rational.spec();
                let (numerators, denominators) = (rows(&rational.numerator.val()), rows(&rational.denominator.val()));
                functions.extend((0..spec.groups).map(|group| RationalFunction {
                    layer,
                    module,
                    group,
                    coefficients: Coefficients {
                        numerator: row(&numerators, group),
                        denominator: row(&denominators, group),
                    },
                    denominator: spec.denominator,
                    keep_silu,
                }));
            }
        }
        functions
    }
}

/// Rows of a table of coefficients, `[G or 1, K]`.
fn rows<B: Backend>(table: &Tensor<B, 2>) -> Vec<Vec<f64>> {
    let columns = table.dims()[1];
    let values: Vec<f64> = table.to_data().iter::<f64>().collect();
    values.chunks_exact(columns).map(<[f64]>::to_vec).collect()
}

/// The row of a group: a shared table has one row for all.
fn row(rows: &[Vec<f64>], group: usize) -> Vec<f64> {
    rows[if rows.len() == 1 { 0 } else { group }].clone()
}
