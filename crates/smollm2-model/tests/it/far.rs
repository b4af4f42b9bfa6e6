//! Converted functions far outside the gates they were fitted to.

use std::collections::BTreeMap;

use burn::backend::Flex;
use burn::tensor::{Tensor, TensorData};
use kan_rational::{Activation, GroupRationalConfig, Init};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use smollm2_model::{
    FeedForwardKind, RationalFunction, SmolLm2, SmolLm2Config,
    convert::{ConversionOptions, ConversionReport, to_gated_rational},
    weights::{from_named_tensors, named_tensors},
};

/// The functions of one layer at one gate value, in the f32 arithmetic of the model.
fn values(functions: &[RationalFunction], x: f64) -> Vec<f64> {
    let coefficients = functions.iter().map(|function| function.coefficients.clone());
    let config = GroupRationalConfig {
        groups: functions.len(),
        degrees: functions[0].coefficients.degrees(),
        denominator: functions[0].denominator,
        init: Init::PerGroup(coefficients.collect()),
        ..GroupRationalConfig::new()
    };
    let rational = config.init::<Flex>(functions.len(), &Default::default());
    let points = Tensor::<Flex, 2>::full([1, functions.len()], x, &Default::default()); // [1, G]
    rational.forward(points).into_data().iter::<f64>().collect()
}

/// What [`to_gated_rational`] promises of every function of a model: near SiLU up to twice the range seen (a quarter
/// of the reach), and beyond it linear at most. Returns the steepest of all slopes to the origin found beyond.
pub(crate) fn assert_guarded(model: &SmolLm2<Flex>, report: &ConversionReport) -> f64 {
    let mut steepest = 0.0f64;
    let mut groups = report.groups.iter().peekable();
    let all = model.rational_functions();
    let layers: Vec<&[RationalFunction]> = all.chunk_by(|a, b| a.layer == b.layer).collect();
    assert_eq!(layers.len(), model.blocks().len(), "every layer was converted");
    for (layer, functions) in layers.into_iter().enumerate() {
        let far: Vec<(f64, Vec<f64>)> = [-1e4, -1e3, 1e3, 1e4].map(|x| (x, values(functions, x))).to_vec();
        for (group, found) in functions.iter().enumerate() {
            let (function, form) = (&found.coefficients, found.denominator);
            assert_eq!(
                (found.layer, found.module, found.group),
                (layer, "gate_rational", group)
            );
            let seen = groups
                .next_if(|seen| (seen.layer, seen.group) == (layer, group))
                .unwrap();
            assert!(seen.guarded);
            let place = format!("layer {layer}, group {group}, fitted on {:?}", seen.range);
            let (low, high) = (2.0 * seen.range.0.min(0.0), 2.0 * seen.range.1.max(0.0));
            let reach = low.abs().max(high);
            for step in 0..=200 {
                let x = low + (high - low) * f64::from(step) / 200.0;
                let error = (function.eval(x, form) - Activation::Swish.eval(x)).abs();
                assert!(error <= 0.25 * reach, "{place}: off by {error} at {x}");
            }
            assert!(function.growth() <= 1, "{place}: grows like |x|^{}", function.growth());
            for (x, _) in &far {
                let slope = function.derivative(*x, form).abs();
                assert!(slope <= 2.0, "{place}: a slope of {slope} at {x}");
            }
            for (x, values) in &far {
                let (found, exact) = (values[group], function.eval(*x, form));
                assert!(found.is_finite(), "{place}: {found} at {x}");
                // f32 powers of the gate: a few roundings each.
                assert!(
                    (found - exact).abs() <= 1e-4 * exact.abs().max(1.0),
                    "{place}: {found}, not {exact}, at {x}"
                );
                steepest = steepest.max((found / x).abs());
            }
        }
    }
    assert!(groups.next().is_none());
    steepest
}

/// Over the range seen no stored function is farther from SiLU than its report says of the samples, save between them.
pub(crate) fn assert_errors_are_those_of_the_model(model: &SmolLm2<Flex>, report: &ConversionReport, what: &str) {
    let functions = model.rational_functions();
    for group in &report.groups {
        let function = functions
            .iter()
            .find(|function| (function.layer, function.group) == (group.layer, group.group))
            .unwrap();
        let found =
            function
                .coefficients
                .max_error(function.denominator, |x| Activation::Swish.eval(x), group.range, 501);
        assert!(
            found <= 2.0 * group.max_error + f64::MIN_POSITIVE,
            "{what}, layer {}, group {}: {found:e}, reported {:e}",
            group.layer,
            group.group,
            group.max_error
        );
    }
}

/// Weights of a model that are the same in every run: uniform within 0.05, norms as they start.
pub(crate) fn fixed_weights(config: &SmolLm2Config) -> BTreeMap<String, TensorData> {
    let mut tensors = named_tensors(&config.init::<Flex>(&Default::default()).unwrap());
    let mut generator = ChaCha8Rng::seed_from_u64(5);
    for (_, tensor) in tensors.iter_mut().filter(|(name, _)| !name.contains("norm")) {
        let count: usize = tensor.shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| generator.random_range(-0.05..0.05)).collect();
        *tensor = TensorData::new(values, tensor.shape.clone());
    }
    tensors
}

/// A tiny model of `layers` blocks whose gates reach as far as those of the published checkpoints, and rows for it.
pub(crate) fn wide(layers: usize) -> (SmolLm2<Flex>, Vec<Vec<u32>>) {
    let mut config = crate::weights::tiny_config(FeedForwardKind::SwiGlu);
    config.num_hidden_layers = layers;
    let config = config.with_feed_forward(FeedForwardKind::SwiGlu);
    let mut tensors = fixed_weights(&config);
    for (_, gate) in tensors.iter_mut().filter(|(name, _)| name.contains("gate_proj")) {
        let wide: Vec<f32> = gate.iter::<f32>().map(|weight| 100.0 * weight).collect();
        *gate = TensorData::new(wide, gate.shape.clone());
    }
    let model = from_named_tensors(&config, tensors, &Default::default()).unwrap();
    let row = |row: u32| -> Vec<u32> { (0..32).map(|t| (t * (row + 1) + row) % 64).collect() };
    (model, (0..8).map(row).collect())
}

#[test]
fn functions_stay_finite_and_linear_far_from_what_they_saw() {
    let (model, rows) = wide(1);
    for degrees in [(5, 4), (7, 6), (9, 8)] {
        let options = ConversionOptions {
            groups: 4,
            degrees: kan_rational::Degrees::new(degrees.0, degrees.1),
            ..Default::default()
        };
        let (converted, report) = to_gated_rational(model.clone(), &rows, &options, |_, _, _| {}).unwrap();
        let widest = report
            .groups
            .iter()
            .map(|group| group.range.1 - group.range.0)
            .fold(0.0, f64::max);
        assert!(widest > 20.0, "the gates span only {widest}");
        let steepest = assert_guarded(&converted, &report);
        eprintln!("{degrees:?}: gates span {widest:.0}, steepest {steepest:.3}");
    }
}
