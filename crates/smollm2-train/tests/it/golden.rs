//! The tiny models against PyTorch: ten AdamW steps.

use std::{collections::BTreeMap, path::Path};

use burn::{
    backend::{Autodiff, Flex},
    tensor::{TensorData, backend::Backend},
};
use smollm2_model::weights;
use smollm2_train::{AdamWConfig, Batch, Schedule, TrainBackend, TrainConfig, Trainer};
use smoltalk_data::{LoaderConfig, PackedRow};

type B = Autodiff<Flex>;

pub(crate) const KINDS: [&str; 4] = ["swiglu", "gated_rational_a", "gated_rational_b", "group_kan_a"];

/// The recipe of `make_tiny.py`.
pub(crate) fn recipe() -> TrainConfig {
    TrainConfig {
        steps: 10,
        learning_rate: 1e-3,
        warmup_ratio: 0.0,
        data: LoaderConfig::of_length(33),
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

pub(crate) fn tiny(folder: &Path) -> Trainer<B> {
    tiny_on::<B>(folder)
}

pub(crate) fn tiny_on<AB: TrainBackend>(folder: &Path) -> Trainer<AB> {
    let loaded = weights::load::<AB>(folder, &Default::default()).unwrap();
    Trainer::new(loaded.model, recipe()).unwrap()
}

pub(crate) fn batch<C: Backend>(golden: &BTreeMap<String, TensorData>, prefix: &str) -> Batch<C> {
    let (ids, mask) = (&golden[&format!("{prefix}ids")], &golden[&format!("{prefix}loss_mask")]);
    let tokens = ids.shape[1];
    let ids: Vec<u32> = ids.iter::<i64>().map(|id| id as u32).collect();
    let mask: Vec<bool> = mask.iter::<f32>().map(|target| target != 0.0).collect();
    let rows = ids.chunks(tokens).zip(mask.chunks(tokens));
    let rows = rows.map(|(ids, mask)| PackedRow {
        ids: ids.to_vec(),
        loss_mask: mask.to_vec(),
        positions: None,
        documents: None,
    });
    Batch::from_rows(&rows.collect::<Vec<_>>(), &Default::default()).unwrap()
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
        let mut trainer = tiny(&folder);
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
