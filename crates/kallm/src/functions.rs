//! Curves of the rational functions of a model, before and after training.

use crate::error::{KallmError, Result};
use llm_bench::report::LearnedFunction;
use smollm2_model::RationalFunction;

const POINTS: usize = 161;

/// Up to `most` functions, spread over the layers, drawn over `[-range, range]` with their initial curves.
///
/// # Errors
/// When the two lists differ in layers, modules or groups.
pub fn drawn(
    start: &[RationalFunction],
    learned: &[RationalFunction],
    most: usize,
    range: f64,
) -> Result<Vec<LearnedFunction>> {
    check_pairs(start, learned)?;
    let stride = learned.len().div_ceil(most.max(1)).max(1);
    let x: Vec<f64> = (0..POINTS)
        .map(|i| range * (2.0 * i as f64 / (POINTS - 1) as f64 - 1.0))
        .collect();
    let pairs = start.iter().zip(learned).step_by(stride);
    let drawn = pairs.map(|(start, learned)| LearnedFunction {
        label: learned.to_string(),
        start: x.iter().map(|x| start.eval(*x)).collect(),
        learned: x.iter().map(|x| learned.eval(*x)).collect(),
        x: x.clone(),
    });
    Ok(drawn.collect())
}

fn check_pairs(start: &[RationalFunction], learned: &[RationalFunction]) -> Result<()> {
    for index in 0..start.len().max(learned.len()) {
        let (expected, found) = (label(learned.get(index)), label(start.get(index)));
        if expected != found {
            let place = format!("function {} of {} and {}", index + 1, learned.len(), start.len());
            let remedy = "both models must have the same rational layers and groups";
            return Err(KallmError::unusable(
                place,
                format!("{expected} at the start"),
                found,
                remedy,
            ));
        }
    }
    Ok(())
}

fn label(function: Option<&RationalFunction>) -> String {
    function.map_or("none".to_owned(), RationalFunction::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kan_rational::{Coefficients, Denominator};

    fn function(layer: usize, module: &'static str) -> RationalFunction {
        RationalFunction {
            layer,
            module,
            group: 0,
            coefficients: Coefficients {
                numerator: vec![0.0, 1.0],
                denominator: vec![0.0],
            },
            denominator: Denominator::SumOfAbs,
            keep_silu: false,
        }
    }

    #[test]
    fn only_the_same_functions_are_drawn_together() {
        let learned = [function(0, "gate_rational"), function(1, "gate_rational")];
        let drawn_with = |start: &[RationalFunction]| drawn(start, &learned, 8, 50.0).map(|functions| functions.len());
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
