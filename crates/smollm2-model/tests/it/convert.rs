//! Conversion of SwiGLU layers: on a model in memory, and with the real weights against the figures in docs.

use std::{fs, path::Path, time::Instant};

use burn::{backend::Flex, tensor::TensorData};
use fixtures::shared;
use kan_rational::Degrees;
use smollm2_model::{
    FeedForwardConfig, FeedForwardKind, ModelError, SmolLm2, SmolLm2Config,
    convert::{ConversionOptions, ConversionReport, ModelComparison, Origin, Stage, compare, to_gated_rational},
    weights::{from_named_tensors, load, named_tensors},
};
use tokenizers::Tokenizer;

type B = Flex;

fn tokens(tokenizer: &Tokenizer, text: &str, count: usize) -> Vec<u32> {
    let ids = tokenizer.encode(text, false).unwrap().get_ids().to_vec();
    assert!(ids.len() >= count, "only {} tokens", ids.len());
    ids[..count].to_vec()
}

fn rows(ids: &[u32], length: usize) -> Vec<Vec<u32>> {
    ids.chunks(length).map(<[u32]>::to_vec).collect()
}

/// The first `count` characters of a text file.
fn start_of(path: &Path, count: usize) -> String {
    fs::read_to_string(path).unwrap().chars().take(count).collect()
}

/// Conversations in the model's chat format, as many as `characters` hold.
fn conversations(path: &Path, characters: usize) -> String {
    let mut text = String::new();
    for line in fs::read_to_string(path)
        .unwrap()
        .split('\n')
        .filter(|line| !line.is_empty())
    {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        for message in value["messages"].as_array().unwrap() {
            let (role, content) = (message["role"].as_str().unwrap(), message["content"].as_str().unwrap());
            text.push_str(&format!("<|im_start|>{role}\n{content}<|im_end|>\n"));
        }
        if text.len() > characters {
            break;
        }
    }
    text
}

struct Real {
    model: SmolLm2<B>,
    /// 2,048 tokens of WikiText-2 valid and 2,048 of everyday conversations.
    calibration: Vec<Vec<u32>>,
    /// 3,072 tokens of WikiText-2 test.
    held_out: Vec<Vec<u32>>,
    tokenizer: Tokenizer,
}

fn real() -> Option<Real> {
    let model = shared("models/SmolLM2-135M-Instruct.Q4_1.gguf")?;
    let tokenizer = Tokenizer::from_file(shared("models/tokenizer/tokenizer.json")?).unwrap();
    let (wiki, chat) = (
        shared("data/text/wikitext2/valid.txt")?,
        shared("data/sft/everyday/train.jsonl")?,
    );
    let mut calibration = rows(&tokens(&tokenizer, &start_of(&wiki, 14_000), 2048), 512);
    calibration.extend(rows(&tokens(&tokenizer, &conversations(&chat, 14_000), 2048), 512));
    let test = start_of(&shared("data/text/wikitext2/test.txt")?, 14_000);
    let held_out = rows(&tokens(&tokenizer, &test, 3072), 768);
    let loaded = load::<B>(&model, &Default::default()).unwrap();
    Some(Real {
        model: loaded.model,
        calibration,
        held_out,
        tokenizer,
    })
}

fn convert_real(real: &Real, options: &ConversionOptions) -> (SmolLm2<B>, ConversionReport) {
    let start = Instant::now();
    let mut fitting = None;
    let progress = |stage, _, _| {
        if stage == Stage::Fit {
            fitting.get_or_insert_with(Instant::now);
        }
    };
    let result = to_gated_rational(real.model.clone(), &real.calibration, options, progress).unwrap();
    eprintln!(
        "degrees {}: {:.1} s, of which {:.1} s fit; worst group {:.1e}",
        options.degrees,
        start.elapsed().as_secs_f64(),
        fitting.map_or(0.0, |fitting: Instant| fitting.elapsed().as_secs_f64()),
        result.1.worst_relative_error()
    );
    result
}

fn show(name: &str, comparison: &ModelComparison) {
    eprintln!(
        "{name}: perplexity {:.4} -> {:.4} (x {:.5}), KL {:.2e}, top-1 {:.4}, {} tokens",
        comparison.perplexity_before,
        comparison.perplexity_after,
        comparison.perplexity_ratio(),
        comparison.mean_kl,
        comparison.top1_agreement,
        comparison.tokens
    );
}

/// What a conversion may cost on text it was not fitted to.
struct Bounds {
    perplexity_ratio: f64,
    mean_kl: f64,
    top1_agreement: f64,
}

fn assert_within(name: &str, comparison: &ModelComparison, bounds: &Bounds) {
    show(name, comparison);
    assert!(
        comparison.perplexity_ratio() <= bounds.perplexity_ratio,
        "{name}: {comparison:?}"
    );
    assert!(comparison.mean_kl <= bounds.mean_kl, "{name}: {comparison:?}");
    assert!(
        comparison.top1_agreement >= bounds.top1_agreement,
        "{name}: {comparison:?}"
    );
}

#[test]
fn the_real_model_converts_without_a_loss() {
    let Some(real) = real() else { return };
    let text = conversations(&shared("data/sft/oasst1/heldout.jsonl").unwrap(), 14_000);
    let other = rows(&tokens(&real.tokenizer, &text, 768), 768);
    for (degrees, bounds) in [
        (
            Degrees::new(5, 4),
            Bounds {
                perplexity_ratio: 1.004,
                mean_kl: 8e-4,
                top1_agreement: 0.985,
            },
        ),
        (
            Degrees::new(7, 6),
            Bounds {
                perplexity_ratio: 1.0005,
                mean_kl: 2e-5,
                top1_agreement: 0.997,
            },
        ),
    ] {
        let options = ConversionOptions {
            degrees,
            ..Default::default()
        };
        let (model, report) = convert_real(&real, &options);
        let steepest = crate::far::assert_guarded(&model, &report);
        eprintln!("degrees {degrees}: steepest function beyond the range, {steepest:.3}");
        let comparison = compare(&real.model, &model, &real.held_out).unwrap();
        assert!((comparison.perplexity_before - 21.9025).abs() < 0.01, "{comparison:?}");
        assert_within("WikiText-2 test", &comparison, &bounds);
        // Text of another kind costs more, but must not break the model: ten times the bounds.
        let loose = Bounds {
            perplexity_ratio: 1.0 + 10.0 * (bounds.perplexity_ratio - 1.0),
            mean_kl: 10.0 * bounds.mean_kl,
            top1_agreement: 1.0 - 3.0 * (1.0 - bounds.top1_agreement),
        };
        let comparison = compare(&real.model, &model, &other).unwrap();
        assert_within("human conversations", &comparison, &loose);
    }
}

fn convert_wide(options: ConversionOptions) -> Result<(SmolLm2Config, ConversionReport), ModelError> {
    let (model, rows) = crate::far::wide(2);
    let options = ConversionOptions { groups: 4, ..options };
    let (converted, report) = to_gated_rational(model, &rows, &options, |_, _, _| {})?;
    Ok((converted.config().clone(), report))
}

/// Numerator's degree of every layer, 0 where it is not converted.
fn degrees(config: &SmolLm2Config) -> Vec<usize> {
    let degree = |layer: &FeedForwardConfig| match layer {
        FeedForwardConfig::GatedRational(gate) => gate.rational.numerator_degree,
        _ => 0,
    };
    config.feed_forward.iter().map(degree).collect()
}

#[test]
fn options_say_which_layers_and_degrees() {
    let default = ConversionOptions::default;
    assert_eq!(degrees(&convert_wide(default()).unwrap().0), [5, 5]);

    let (config, report) = convert_wide(ConversionOptions {
        layers: Some(vec![1, 1]),
        ..default()
    })
    .unwrap();
    assert_eq!(degrees(&config), [0, 5]);
    assert_eq!(config.feed_forward[0].kind(), FeedForwardKind::SwiGlu);
    let groups: Vec<_> = report.groups.iter().map(|group| (group.layer, group.group)).collect();
    assert_eq!(groups, [(1, 0), (1, 1), (1, 2), (1, 3)]);

    let (config, report) = convert_wide(ConversionOptions {
        layer_degrees: [(1, Degrees::new(7, 6))].into(),
        ..default()
    })
    .unwrap();
    assert_eq!(degrees(&config), [5, 7]);
    assert_eq!(report.groups[4].degrees, Degrees::new(7, 6));
}

#[test]
fn a_bound_on_the_error_raises_the_degrees_as_far_as_it_helps() {
    let worst = |max_error| {
        let options = ConversionOptions {
            max_error,
            ..Default::default()
        };
        let (config, report) = convert_wide(options).unwrap();
        (degrees(&config), report.worst_relative_error())
    };
    let (asked, first) = worst(None);
    assert_eq!(asked, [5, 5]);
    assert_eq!(worst(Some(first)), (asked, first));
    let (raised, second) = worst(Some(0.9 * first));
    assert!(
        raised.iter().any(|degree| *degree > 5) && second <= 0.9 * first,
        "{raised:?}: {first:e}, {second:e}"
    );
    // What no degrees can keep gives the closest fit.
    let (_, closest) = worst(Some(0.0));
    assert!(closest <= second, "{closest:e} {second:e}");
}

#[test]
fn options_that_mean_nothing_are_named() {
    let default = ConversionOptions::default;
    for (options, named) in [
        (
            ConversionOptions {
                layers: Some(vec![2]),
                ..default()
            },
            "layers",
        ),
        (
            ConversionOptions {
                layers: Some(Vec::new()),
                ..default()
            },
            "layers",
        ),
        (
            ConversionOptions {
                layer_degrees: [(2, Degrees::new(5, 4))].into(),
                ..default()
            },
            "layer_degrees",
        ),
        (
            ConversionOptions {
                layer_degrees: [(1, Degrees::new(6, 4))].into(),
                ..default()
            },
            "degrees of layer 1",
        ),
        (
            ConversionOptions {
                degrees: Degrees::new(4, 2),
                ..default()
            },
            "degrees of layer 0",
        ),
        (
            ConversionOptions {
                max_error: Some(f64::NAN),
                ..default()
            },
            "max_error",
        ),
        (
            ConversionOptions {
                samples: 63,
                ..default()
            },
            "samples",
        ),
    ] {
        let error = convert_wide(options).expect_err(named);
        assert!(
            matches!(&error, ModelError::Conversion { what, .. } if what == named),
            "{named}: {error}"
        );
    }
}

/// The model of [`wide`](crate::far::wide) with edited weights.
fn edited(layers: usize, edit: impl Fn(&str, &mut [f32])) -> (SmolLm2<B>, Vec<Vec<u32>>) {
    let (model, rows) = crate::far::wide(layers);
    let mut tensors = named_tensors(&model);
    for (name, tensor) in &mut tensors {
        let mut values: Vec<f32> = tensor.iter::<f32>().collect();
        edit(name, &mut values);
        *tensor = TensorData::new(values, tensor.shape.clone());
    }
    let model = from_named_tensors(model.config(), tensors, &Default::default()).unwrap();
    (model, rows)
}

/// Coefficients of a model, all layers and groups.
fn coefficients(model: &SmolLm2<B>) -> Vec<f32> {
    let tensors = named_tensors(model).into_iter();
    let tables = tensors.filter(|(name, _)| name.ends_with("numerator") || name.ends_with("denominator"));
    tables.flat_map(|(_, table)| table.to_vec::<f32>().unwrap()).collect()
}

const GROUPS: usize = 4;
/// Rows of one group in `up_proj` and `gate_proj`, times the 16 inputs.
const GROUP: usize = 32 / GROUPS * 16;

#[test]
fn pruned_groups_keep_silu_and_are_reported() {
    // In the second layer the `up` of group 1 is pruned, and the gate of group 2.
    let (model, rows) = edited(2, |name, values| {
        if name == "model.layers.1.mlp.up_proj.weight" {
            values[GROUP..2 * GROUP].fill(0.0);
        }
        if name == "model.layers.1.mlp.gate_proj.weight" {
            values[2 * GROUP..3 * GROUP].fill(0.0);
        }
    });
    for degrees in [(5, 4), (7, 6), (9, 8), (4, 3), (1, 1)] {
        let options = ConversionOptions {
            groups: GROUPS,
            degrees: Degrees::new(degrees.0, degrees.1),
            ..Default::default()
        };
        let (converted, report) = to_gated_rational(model.clone(), &rows, &options, |_, _, _| {}).unwrap();
        let unfitted: Vec<_> = report
            .unfitted()
            .map(|group| (group.layer, group.group, group.origin))
            .collect();
        assert_eq!(unfitted, [(1, 1, Origin::Dead), (1, 2, Origin::Dead)], "{degrees:?}");
        assert!(
            coefficients(&converted).iter().all(|value| value.is_finite()),
            "{degrees:?}"
        );
        let pruned = &report.groups[GROUPS + 1];
        assert_eq!(pruned.relative_error, 0.0, "{degrees:?}");
        if degrees.0 >= 5 {
            assert!(report.worst_relative_error() < 0.05, "{degrees:?}: {report:?}");
            let found = compare(&model, &converted, &rows).unwrap();
            assert!(found.mean_kl < 1e-3, "{degrees:?}: {found:?}");
        }
    }
}

/// Gates that stay so close to 0 that f32 cannot hold the coefficients of a fit.
#[test]
fn tiny_gates_give_finite_coefficients_and_true_errors() {
    for scale in [0.0, 1e-38, 1e-12, 1e-9, 1e-6, 1e-4, 1e-2] {
        let (model, rows) = edited(1, |name, values| {
            if name.ends_with("gate_proj.weight") {
                values.iter_mut().for_each(|weight| *weight *= scale);
            }
        });
        for degrees in [(5, 4), (7, 6), (9, 8)] {
            let what = format!("gates of {scale:e}, degrees {degrees:?}");
            let options = ConversionOptions {
                groups: GROUPS,
                degrees: Degrees::new(degrees.0, degrees.1),
                ..Default::default()
            };
            let (converted, report) = to_gated_rational(model.clone(), &rows, &options, |_, _, _| {}).unwrap();
            assert!(coefficients(&converted).iter().all(|value| value.is_finite()), "{what}");
            assert!(
                report.worst_relative_error() < 1e-4,
                "{what}: {:e}",
                report.worst_relative_error()
            );
            crate::far::assert_guarded(&converted, &report);
            crate::far::assert_errors_are_those_of_the_model(&converted, &report, &what);
            let overflow = report.unfitted().count();
            assert!(
                scale > 1e-6 || overflow == report.groups.len(),
                "{what}: {overflow} unfitted"
            );
        }
    }
}

/// The errors of a report are those of the f32 coefficients, not of the f64 ones before rounding.
#[test]
fn errors_are_those_of_the_stored_coefficients() {
    let (model, rows) = crate::far::wide(2);
    for degrees in [(5, 4), (7, 6), (9, 8)] {
        let options = ConversionOptions {
            groups: GROUPS,
            degrees: Degrees::new(degrees.0, degrees.1),
            ..Default::default()
        };
        let (converted, report) = to_gated_rational(model.clone(), &rows, &options, |_, _, _| {}).unwrap();
        crate::far::assert_errors_are_those_of_the_model(&converted, &report, &format!("{degrees:?}"));
        assert_eq!(report.unfitted().count(), 0);
    }
}
