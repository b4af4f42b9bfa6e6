//! How rational coefficients are trained next to all other parameters.

use burn::{
    backend::{Autodiff, Flex},
    tensor::TensorData,
};
use smollm2_model::{FeedForwardKind, weights};
use smollm2_train::{Batch, TrainConfig, Trainer};
use std::collections::BTreeMap;

use crate::{
    golden::recipe,
    small_run::{draw, rows, start},
};

type Weights = BTreeMap<String, TensorData>;

/// The drawn gated model after one step of `recipe`, with its weights before.
fn one_step(recipe: TrainConfig) -> (Weights, Trainer<Autodiff<Flex>>) {
    let room = tempfile::tempdir().unwrap();
    draw(room.path(), FeedForwardKind::GatedRational);
    let drawn = start(room.path());
    let before = weights::named_tensors(drawn.model());
    let mut trainer = Trainer::new(drawn.model().clone(), recipe).unwrap();
    let batch = Batch::from_rows(&rows(), &Default::default()).unwrap();
    trainer.step(&[batch]).unwrap();
    (before, trainer)
}

/// By how much a coefficient of every power moved, the first rational function of the model.
fn moves(before: &Weights, trainer: &Trainer<Autodiff<Flex>>, part: &str) -> Vec<Vec<f64>> {
    let name = format!("model.layers.0.mlp.gate_rational.{part}");
    let after = weights::named_tensors(trainer.model());
    let columns = before[&name].shape[1];
    let moved: Vec<f64> = after[&name]
        .iter::<f64>()
        .zip(before[&name].iter::<f64>())
        .map(|(after, before)| after - before)
        .collect();
    moved.chunks(columns).map(<[f64]>::to_vec).collect()
}

#[test]
fn a_coefficient_moves_less_the_higher_its_power() {
    let mut scaled = recipe();
    scaled.optimizer.rational_input_size = 4.0;
    let ((before, plain), (_, scaled)) = (one_step(recipe()), one_step(scaled));
    for (part, first_power) in [("numerator", 0), ("denominator", 1)] {
        let (plain, scaled) = (moves(&before, &plain, part), moves(&before, &scaled, part));
        for (plain, scaled) in plain.iter().zip(&scaled) {
            for (column, (plain, scaled)) in plain.iter().zip(scaled).enumerate() {
                assert!(
                    plain.abs() > 5e-4,
                    "a first step of AdamW is the learning rate: {plain}"
                );
                let expected = plain / 4f64.powi((column + first_power) as i32);
                // Weights of size 1 are rounded to 6e-8.
                assert!(
                    (scaled - expected).abs() < 2e-7,
                    "{part} {column}: {scaled} against {expected}"
                );
            }
        }
    }
}

/// The decay is decoupled: it takes the same share of every coefficient, whatever its power.
#[test]
fn decay_takes_the_same_share_of_every_power() {
    let with = |decay_rational| {
        let mut recipe = recipe();
        (recipe.optimizer.rational_input_size, recipe.optimizer.decay_rational) = (4.0, decay_rational);
        one_step(recipe)
    };
    let ((before, plain), (_, decayed)) = (with(false), with(true));
    let share = recipe().learning_rate * recipe().optimizer.weight_decay;
    for part in ["numerator", "denominator"] {
        let name = format!("model.layers.0.mlp.gate_rational.{part}");
        let [plain, decayed] = [&plain, &decayed].map(|trainer| moves(&before, trainer, part).concat());
        for ((plain, decayed), before) in plain.iter().zip(&decayed).zip(before[&name].iter::<f64>()) {
            let (found, expected) = (decayed - plain, -share * before);
            // Weights of size 1 are rounded to 6e-8.
            assert!((found - expected).abs() < 2e-7, "{part}: {found} against {expected}");
        }
    }
}

#[test]
fn coefficients_are_clipped_apart_unless_asked() {
    for apart in [true, false] {
        let bound = 1e-3;
        let recipe = TrainConfig {
            max_grad_norm: bound,
            clip_rational_apart: apart,
            ..recipe()
        };
        let (_, trainer) = one_step(recipe);
        // After one step the first moment is a tenth of the clipped gradient.
        let mut squares = [0.0, 0.0];
        for (name, tensor) in trainer.optimizer().to_tensors() {
            if let Some(name) = name.strip_suffix(".first_moment") {
                let rational = name.ends_with("numerator") || name.ends_with("denominator");
                squares[usize::from(rational)] += tensor.iter::<f64>().map(|x| (10.0 * x).powi(2)).sum::<f64>();
            }
        }
        let [others, rational] = squares.map(f64::sqrt);
        let is_bound = |norm: f64| (norm / bound - 1.0).abs() < 1e-2;
        if apart {
            assert!(is_bound(others) && is_bound(rational), "{others} {rational}");
        } else {
            assert!(
                is_bound(others.hypot(rational)) && others < bound && rational < bound,
                "{others} {rational}"
            );
        }
    }
}
