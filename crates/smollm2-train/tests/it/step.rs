//! What holds of a step whatever the weights.

use burn::{
    backend::{Autodiff, Flex},
    tensor::Tensor,
};
use fixtures::tolerance;
use smollm2_model::{
    FeedForwardKind, StoredDtype,
    weights::{self, LoadDtype, LoadOptions},
};
use smollm2_train::{Batch, RunOptions, RunState, TrainConfig, Trainer, checkpoint};
use smoltalk_data::{LoaderConfig, PackedRow};
use std::path::Path;

use crate::{
    golden::{self, norm_relative},
    small_run::{draw, rows, start},
};

type B = Autodiff<Flex>;

fn batch(rows: &[PackedRow]) -> Batch<B> {
    Batch::from_rows(rows, &Default::default()).unwrap()
}

fn masked(mut rows: Vec<PackedRow>) -> Vec<PackedRow> {
    rows.iter_mut().for_each(|row| row.loss_mask.fill(false));
    rows
}

#[test]
fn every_parameter_gets_a_gradient() {
    for kind in FeedForwardKind::ALL {
        let room = tempfile::tempdir().unwrap();
        draw(room.path(), kind);
        let trainer = start(room.path());
        let (gradients, _) = trainer.gradients(&[batch(&rows())]).unwrap();
        let found: Vec<&str> = gradients.names().collect();
        let expected: Vec<String> = weights::named_tensors(trainer.model()).into_keys().collect();
        assert_eq!(found, expected, "{kind:?}: parameters with a gradient");
        let squares: Vec<f64> = gradients.square_sums().unwrap().into_data().iter::<f64>().collect();
        for (name, square) in found.iter().zip(squares) {
            assert!(
                square.is_finite() && square > 0.0,
                "{kind:?}, {name}: the gradient's sum of squares is {square}"
            );
        }
    }
}

#[test]
fn micro_batches_are_one_batch() {
    for kind in FeedForwardKind::ALL {
        let room = tempfile::tempdir().unwrap();
        draw(room.path(), kind);
        let trainer = start(room.path());
        // Unequal parts, and one with every token masked: it must count for nothing.
        let rows = rows();
        let parts = [
            batch(&rows[..1]),
            batch(&rows[1..5]),
            batch(&masked(rows[..2].to_vec())),
            batch(&rows[5..]),
        ];
        let (expected, one) = trainer.gradients(&[batch(&rows)]).unwrap();
        let (found, many) = trainer.gradients(&parts).unwrap();
        assert_eq!(one.target_tokens, many.target_tokens);
        let (one, many) = (one.loss, many.loss);
        assert!(
            (one - many).abs() <= tolerance::TINY_LOSS,
            "{kind:?}: {many} against {one}"
        );
        for name in expected.names() {
            let pair = match (found.get::<1>(name), expected.get::<1>(name)) {
                (Some(a), Some(b)) => [a, b].map(Tensor::into_data),
                _ => [&found, &expected].map(|gradients| gradients.get::<2>(name).unwrap().into_data()),
            };
            let difference = norm_relative(&pair[0], &pair[1]);
            assert!(
                difference <= tolerance::ACCUMULATION,
                "{kind:?}, {name}: off by {difference}"
            );
        }
    }
}

#[test]
fn a_step_without_targets_is_an_error() {
    let room = tempfile::tempdir().unwrap();
    draw(room.path(), FeedForwardKind::SwiGlu);
    let error = start(room.path()).step(&[batch(&masked(rows()))]).unwrap_err();
    assert!(error.to_string().contains("step 1"), "{error}");
}

/// The model of `folder` with weights of the type `dtype`, rounded to bf16 before.
fn rounded(folder: &Path, dtype: StoredDtype) -> Trainer<B> {
    let load = |folder: &Path, dtype| {
        let options = LoadOptions {
            dtype: LoadDtype::Given(dtype),
            ..LoadOptions::default()
        };
        weights::load_with::<B>(folder, &options, &Default::default()).unwrap()
    };
    let half = folder.join("bf16");
    let loaded = load(folder, StoredDtype::Bfloat16);
    weights::save(&loaded.model, &half).unwrap();
    let loaded = load(&half, dtype);
    let recipe = TrainConfig {
        data: LoaderConfig::of_length(24),
        ..golden::recipe()
    };
    Trainer::new(loaded.model, recipe).unwrap()
}

/// bf16 weights next to f32 master copies: the step is f32's up to what rounding does, and a checkpoint holds its bits.
#[test]
fn a_step_in_bf16_is_one_in_f32_and_goes_on_from_its_checkpoint() {
    for kind in FeedForwardKind::ALL {
        let room = tempfile::tempdir().unwrap();
        draw(room.path(), kind);
        let mut half = rounded(room.path(), StoredDtype::Bfloat16);
        let mut full = rounded(room.path(), StoredDtype::Float32);
        for step in 0..2 {
            let (found, expected) = (
                half.step(&[batch(&rows())]).unwrap(),
                full.step(&[batch(&rows())]).unwrap(),
            );
            for (found, expected) in [
                (found.loss, expected.loss),
                (found.gradient_norm, expected.gradient_norm),
            ] {
                let difference = (found / expected - 1.0).abs();
                eprintln!("{kind:?}, step {step}: off by {difference:.1e}");
                assert!(
                    difference <= tolerance::BF16_STEP,
                    "{kind:?}, step {step}: off by {difference:e}"
                );
            }
        }
        let state = RunState {
            step: 2,
            position: 0.into(),
        };
        half.save(&state, &RunOptions::new(room.path())).unwrap();
        let saved = checkpoint::latest(&room.path().join("checkpoints")).unwrap().checkpoint;
        let (mut resumed, _) = Trainer::<B>::load(&saved, half.config().clone(), &Default::default()).unwrap();
        assert!(
            resumed.optimizer().to_tensors() == half.optimizer().to_tensors(),
            "{kind:?}"
        );
        let next = |trainer: &mut Trainer<B>| trainer.step(&[batch(&rows())]).unwrap();
        assert_eq!(next(&mut resumed), next(&mut half), "{kind:?}");
        assert!(
            weights::named_tensors(resumed.model()) == weights::named_tensors(half.model()),
            "{kind:?}"
        );
    }
}

/// bf16 weights must not become f32 on their way to the trainer, and every parameter must get its gradient.
#[test]
fn a_model_loaded_without_gradients_is_tracked_as_it_is() {
    for (kind, dtype) in FeedForwardKind::ALL
        .into_iter()
        .flat_map(|kind| [(kind, StoredDtype::Float32), (kind, StoredDtype::Bfloat16)])
    {
        let room = tempfile::tempdir().unwrap();
        draw(room.path(), kind);
        let options = LoadOptions {
            dtype: LoadDtype::Given(dtype),
            ..LoadOptions::default()
        };
        let loaded = weights::load_with::<Flex>(room.path(), &options, &Default::default()).unwrap();
        let before = weights::named_tensors(&loaded.model);
        let recipe = TrainConfig {
            data: LoaderConfig::of_length(24),
            ..golden::recipe()
        };
        let trainer = Trainer::<B>::new(loaded.model.tracked(), recipe).unwrap();
        assert!(weights::named_tensors(trainer.model()) == before, "{kind:?}, {dtype:?}");
        assert_eq!(trainer.model().config().dtype, dtype, "{kind:?}");
        let (gradients, _) = trainer.gradients(&[batch(&rows())]).unwrap();
        assert!(
            gradients.names().eq(before.keys().map(String::as_str)),
            "{kind:?}, {dtype:?}"
        );
    }
}
