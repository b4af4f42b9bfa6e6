//! The tiny models against PyTorch: ten AdamW steps.

use std::{collections::BTreeMap, path::Path};

use burn::{
    backend::{Autodiff, Flex},
    tensor::{Tensor, TensorData, backend::Backend},
};
use smollm2_model::{
    SmolLm2Config,
    weights::{self, ModelSource},
};
use smollm2_train::{AdamWConfig, Schedule, TrainBackend, TrainConfig, Trainer};
use smoltalk_data::Batch;

type B = Autodiff<Flex>;

pub(crate) const KINDS: [&str; 4] = ["swiglu", "gated_rational_a", "gated_rational_b", "group_kan_a"];

/// The recipe of `make_tiny.py`.
pub(crate) fn recipe() -> TrainConfig {
    TrainConfig {
        steps: 10,
        learning_rate: 1e-3,
        warmup_ratio: 0.0,
        sequence_length: 33,
        loss_chunk: 24,
        clip_rational_apart: false,
        schedule: Schedule::Constant {},
        optimizer: AdamWConfig {
            weight_decay: 0.1,
            ..AdamWConfig::default()
        },
        ..TrainConfig::default()
    }
}

pub(crate) fn tiny(folder: &Path) -> (Trainer<B>, SmolLm2Config) {
    tiny_on::<B>(folder)
}

pub(crate) fn tiny_on<AB: TrainBackend>(folder: &Path) -> (Trainer<AB>, SmolLm2Config) {
    let loaded = weights::load::<AB>(&ModelSource::Folder(folder.to_owned()), &Default::default()).unwrap();
    let config = loaded.config.clone();
    (Trainer::new(loaded.model, loaded.config, recipe()).unwrap(), config)
}

pub(crate) fn batch<C: Backend>(golden: &BTreeMap<String, TensorData>, prefix: &str) -> Batch<C> {
    let device = Default::default();
    let integers = golden[&format!("{prefix}ids")].clone().convert::<i64>();
    let mask = golden[&format!("{prefix}loss_mask")].clone().convert::<f32>();
    Batch {
        ids: Tensor::from_data(integers, &device),
        loss_mask: Tensor::from_data(mask, &device),
        positions: None,
        documents: None,
    }
}

fn numbers(data: &TensorData) -> Vec<f64> {
    data.iter::<f64>().collect()
}

/// `||a - b|| / ||b||`.
pub(crate) fn norm_relative(found: &TensorData, expected: &TensorData) -> f64 {
    let (found, expected) = (numbers(found), numbers(expected));
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut found.iter().zip(&expected).map(|(a, b)| a - b));
    difference / norm(&mut expected.iter().copied()).max(1e-30)
}

#[test]
fn ten_steps_are_pytorchs() {
    for kind in KINDS {
        let Some(folder) = fixtures::shared(&format!("models/tiny-{kind}")) else {
            return;
        };
        let golden = weights::read_safetensors(&folder.join("golden.safetensors")).unwrap();
        let (mut trainer, _) = tiny(&folder);
        let (losses, norms) = (numbers(&golden["train.losses"]), numbers(&golden["train.grad_norms"]));
        for step in 0..10 {
            let outcome = trainer.step(&[batch(&golden, &format!("batch.{step}."))]).unwrap();
            let difference = (outcome.loss - losses[step]).abs();
            assert!(
                difference <= fixtures::tolerance::TINY_TRAIN_LOSS,
                "{kind}, step {step}: loss off by {difference}"
            );
            let difference = (outcome.gradient_norm - norms[step]).abs() / norms[step];
            assert!(
                difference <= fixtures::tolerance::TINY_TRAIN_WEIGHTS,
                "{kind}, step {step}: norm off by {difference}"
            );
        }
        for (name, found) in weights::named_tensors(trainer.model()) {
            let difference = norm_relative(&found, &golden[&format!("after10.{name}")]);
            assert!(
                difference <= fixtures::tolerance::TINY_TRAIN_WEIGHTS,
                "{kind}, {name}: off by {difference}"
            );
        }
    }
}

#[test]
fn every_parameter_gets_a_gradient() {
    for kind in KINDS {
        let Some(folder) = fixtures::shared(&format!("models/tiny-{kind}")) else {
            return;
        };
        let golden = weights::read_safetensors(&folder.join("golden.safetensors")).unwrap();
        let (trainer, config) = tiny(&folder);
        let (gradients, _) = trainer.gradients(&[batch(&golden, "")]).unwrap();
        let found: Vec<&str> = gradients.names().collect();
        let model = config.init::<Flex>(&Default::default()).unwrap();
        let expected: Vec<String> = weights::named_tensors(&model).into_keys().collect();
        assert_eq!(found, expected, "{kind}: parameters with a gradient");
        let squares: Vec<f64> = gradients.square_sums().unwrap().into_data().iter::<f64>().collect();
        for (name, square) in found.iter().zip(squares) {
            assert!(
                square.is_finite() && square > 0.0,
                "{kind}, {name}: the gradient's sum of squares is {square}"
            );
        }
    }
}

#[test]
fn micro_batches_are_one_batch() {
    let Some(folder) = fixtures::shared("models/tiny-gated_rational_a") else {
        return;
    };
    let golden = weights::read_safetensors(&folder.join("golden.safetensors")).unwrap();
    let (trainer, _) = tiny(&folder);
    let parts: Vec<Batch<B>> = (0..3).map(|i| batch(&golden, &format!("batch.{i}."))).collect();
    // One more with every token masked: it must count for nothing.
    let mut masked = parts.clone();
    let mut empty = parts[0].clone();
    empty.loss_mask = empty.loss_mask.zeros_like();
    masked.push(empty);
    let whole = Batch {
        ids: Tensor::cat(parts.iter().map(|part| part.ids.clone()).collect(), 0),
        loss_mask: Tensor::cat(parts.iter().map(|part| part.loss_mask.clone()).collect(), 0),
        positions: None,
        documents: None,
    };
    let (expected, one) = trainer.gradients(&[whole]).unwrap();
    let (found, many) = trainer.gradients(&masked).unwrap();
    assert_eq!(one.target_tokens, many.target_tokens);
    assert!(
        (one.loss - many.loss).abs() < 1e-6,
        "{} against {}",
        one.loss,
        many.loss
    );
    for name in expected.names() {
        let pair = match (found.get::<1>(name), expected.get::<1>(name)) {
            (Some(a), Some(b)) => (a.into_data(), b.into_data()),
            _ => (
                found.get::<2>(name).unwrap().into_data(),
                expected.get::<2>(name).unwrap().into_data(),
            ),
        };
        let difference = norm_relative(&pair.0, &pair.1);
        assert!(
            difference <= fixtures::tolerance::ACCUMULATION,
            "{name}: off by {difference}"
        );
    }
}

#[test]
fn a_step_without_targets_is_an_error() {
    let Some(folder) = fixtures::shared("models/tiny-swiglu") else {
        return;
    };
    let golden = weights::read_safetensors(&folder.join("golden.safetensors")).unwrap();
    let (mut trainer, _) = tiny(&folder);
    let mut empty: Batch<B> = batch(&golden, "");
    empty.loss_mask = empty.loss_mask.zeros_like();
    let error = trainer.step(&[empty]).unwrap_err();
    assert!(error.to_string().contains("step 1"), "{error}");
}
