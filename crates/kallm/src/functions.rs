//! What the rational functions of a model look like, before and after training.

use crate::error::{Result, refuse};
use burn::tensor::TensorData;
use kan_rational::{Coefficients, Denominator};
use llm_bench::report::LearnedFunction;
use smollm2_model::DecoderBackend;
use smollm2_model::weights::named_tensors;
use smollm2_model::{FeedForwardConfig, SmolLm2};
use std::collections::BTreeMap;

const POINTS: usize = 161;

/// One function: the tensor names' common part, the group, its coefficients and form.
pub struct GroupFunction {
    /// Layer, from 0.
    pub layer: usize,
    /// `gate_rational`, `act1` or `act2`.
    pub part: String,
    /// Group, from 0.
    pub group: usize,
    /// The coefficients.
    pub coefficients: Coefficients,
    /// Form of the denominator.
    pub form: Denominator,
    /// Whether SiLU is added to it.
    pub keep_silu: bool,
}

impl GroupFunction {
    /// The value that takes SiLU's place.
    pub fn eval(&self, x: f64) -> f64 {
        let base = if self.keep_silu { silu(x) } else { 0.0 };
        base + self.coefficients.eval(x, self.form)
    }

    /// Which one it is: layer, part and group.
    pub fn label(&self) -> String {
        format!("layer {}, {}, group {}", self.layer, self.part, self.group)
    }
}

/// `x / (1 + e^-x)`.
pub fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

/// Every function of a model, by layer, part and group.
pub fn all<B: DecoderBackend>(model: &SmolLm2<B>) -> Vec<GroupFunction> {
    let tensors = named_tensors(model);
    let mut functions = Vec::new();
    for (layer, feed_forward) in model.config().feed_forward.iter().enumerate() {
        let (rational, keep_silu, parts): (_, _, &[&str]) = match feed_forward {
            FeedForwardConfig::GatedRational(gated) => (&gated.rational, gated.keep_silu, &["gate_rational"]),
            FeedForwardConfig::GroupKan(kan) => (&kan.rational, false, &["act1", "act2"]),
            _ => continue,
        };
        for part in parts {
            for group in 0..rational.groups {
                let name = |which: &str| format!("model.layers.{layer}.mlp.{part}.{which}");
                let coefficients = Coefficients {
                    numerator: row(&tensors, &name("numerator"), group),
                    denominator: row(&tensors, &name("denominator"), group),
                };
                let (part, form) = ((*part).to_string(), rational.denominator_form);
                functions.push(GroupFunction {
                    layer,
                    part,
                    group,
                    coefficients,
                    form,
                    keep_silu,
                });
            }
        }
    }
    functions
}

/// Up to `most` functions, spread over the layers, drawn over `[-range, range]` against their starts.
///
/// # Errors
/// When the two lists are not of the same layers, parts and groups.
pub fn drawn(
    start: &[GroupFunction],
    learned: &[GroupFunction],
    most: usize,
    range: f64,
) -> Result<Vec<LearnedFunction>> {
    check_pairs(start, learned)?;
    let stride = learned.len().div_ceil(most.max(1)).max(1);
    let x: Vec<f64> = (0..POINTS)
        .map(|i| range * (2.0 * i as f64 / (POINTS - 1) as f64 - 1.0))
        .collect();
    let pairs = start.iter().zip(learned).step_by(stride);
    let draw = |(start, learned): (&GroupFunction, &GroupFunction)| LearnedFunction {
        label: learned.label(),
        start: x.iter().map(|x| start.eval(*x)).collect(),
        learned: x.iter().map(|x| learned.eval(*x)).collect(),
        x: x.clone(),
    };
    Ok(pairs.map(draw).collect())
}

fn check_pairs(start: &[GroupFunction], learned: &[GroupFunction]) -> Result<()> {
    for index in 0..start.len().max(learned.len()) {
        let label = |functions: &[GroupFunction]| functions.get(index).map_or("none".to_string(), GroupFunction::label);
        let (expected, found) = (label(learned), label(start));
        if expected != found {
            refuse!(
                "function {} of {} and {}: expected {expected} at the start, found {found}; both models must have the \
                 same rational layers and groups",
                index + 1,
                learned.len(),
                start.len()
            );
        }
    }
    Ok(())
}

/// Row `group` of a coefficient table; a shared table has one row.
fn row(tensors: &BTreeMap<String, TensorData>, name: &str, group: usize) -> Vec<f64> {
    let Some(table) = tensors.get(name) else {
        return Vec::new();
    };
    let (rows, columns) = match table.shape.as_slice() {
        [rows, columns] => (*rows, *columns),
        _ => return Vec::new(),
    };
    let start = if rows == 1 { 0 } else { group * columns };
    table.iter::<f64>().skip(start).take(columns).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(layer: usize, part: &str) -> GroupFunction {
        GroupFunction {
            layer,
            part: part.to_string(),
            group: 0,
            coefficients: Coefficients {
                numerator: vec![0.0, 1.0],
                denominator: vec![0.0],
            },
            form: Denominator::SumOfAbs,
            keep_silu: false,
        }
    }

    #[test]
    fn only_the_same_functions_are_drawn_together() {
        let learned = [function(0, "gate_rational"), function(1, "gate_rational")];
        let drawn_with = |start: &[GroupFunction]| drawn(start, &learned, 8, 50.0).map(|functions| functions.len());
        assert_eq!(
            drawn_with(&[function(0, "gate_rational"), function(1, "gate_rational")]).unwrap(),
            2
        );
        assert!(drawn_with(&[function(0, "gate_rational")]).is_err());
        assert!(drawn_with(&[]).is_err());
        let error = drawn_with(&[function(0, "act1"), function(0, "act2")])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("layer 0, gate_rational") && error.contains("layer 0, act1"),
            "{error}"
        );
    }
}
