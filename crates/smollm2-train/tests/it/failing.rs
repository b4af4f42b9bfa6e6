//! A loss or a gradient that is no number ends the run and spoils nothing.

use std::{collections::BTreeMap, fs, path::Path};

use burn::{
    backend::{Autodiff, Flex},
    tensor::TensorData,
};
use smollm2_model::{
    FeedForwardKind, SmolLm2Config,
    weights::{from_named_tensors, named_tensors},
};
use smollm2_train::{Batch, MemoryRows, RunOptions, TrainConfig, TrainError, Trainer, checkpoint};

use crate::small_run::{draw, recipe, rows, start};

type B = Autodiff<Flex>;

fn one_batch() -> Batch<B> {
    Batch::from_rows(&rows()[..2], &Default::default()).unwrap()
}

/// The model of `folder` with its last norm's weights set to `value`.
fn spoiled(folder: &Path, value: f32) -> Trainer<B> {
    let trainer = start(folder);
    let config: SmolLm2Config = trainer.model().config().clone();
    let mut tensors = named_tensors(trainer.model());
    let norm = tensors.get_mut("model.norm.weight").unwrap();
    *norm = TensorData::new(vec![value; config.hidden_size], [config.hidden_size]);
    let model = from_named_tensors::<B>(&config, tensors, &Default::default()).unwrap();
    Trainer::new(model, recipe(12)).unwrap()
}

fn bits(trainer: &Trainer<B>) -> BTreeMap<String, Vec<u8>> {
    let tensors = named_tensors(trainer.model()).into_iter();
    tensors.map(|(name, data)| (name, data.as_bytes().to_vec())).collect()
}

#[test]
fn a_loss_that_is_no_number_changes_nothing() {
    let room = tempfile::tempdir().unwrap();
    draw(room.path(), FeedForwardKind::SwiGlu);
    for (value, quantity) in [(f32::NAN, "loss"), (f32::INFINITY, "loss"), (1e30, "gradient norm")] {
        let mut trainer = spoiled(room.path(), value);
        let before = bits(&trainer);
        let error = trainer.step(&[one_batch()]).unwrap_err();
        let TrainError::NotFinite {
            step: 1,
            quantity: found,
            value: number,
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!(*found, quantity, "norm weights of {value}");
        assert!(!number.is_finite());
        assert!(error.to_string().contains("step 1") && error.to_string().contains("learning_rate"));
        assert_eq!(trainer.step_count(), 0);
        assert!(bits(&trainer) == before, "the weights changed");
        assert!(trainer.optimizer().to_tensors().is_empty(), "the optimiser has moments");
    }
}

#[test]
fn a_held_out_loss_that_is_no_number_names_the_weights_it_met() {
    let room = tempfile::tempdir().unwrap();
    draw(room.path(), FeedForwardKind::SwiGlu);
    let mut trainer = start(room.path());
    // A rate that is infinite in f32 leaves no number among the weights.
    let wild = TrainConfig {
        learning_rate: 1e300,
        warmup_ratio: 0.0,
        ..recipe(12)
    };
    trainer = Trainer::new(trainer.model().clone(), wild).unwrap();
    trainer.step(&[one_batch()]).unwrap();
    let held_out = Batch::from_rows(&rows()[..1], &Default::default()).unwrap();
    let error = trainer.evaluate(&[held_out]).unwrap_err();
    assert!(matches!(error, TrainError::HeldOutNotFinite { step: 1, .. }), "{error}");
    assert!(error.to_string().contains("after step 1 "), "{error}");
}

/// Found out before the first step, not after the last, and before any file is touched.
#[test]
fn held_out_rows_without_targets_are_refused_at_once() {
    let room = tempfile::tempdir().unwrap();
    let (model, output) = (room.path().join("model"), room.path().join("run"));
    draw(&model, FeedForwardKind::SwiGlu);
    let mut masked = rows();
    masked.iter_mut().for_each(|row| row.loss_mask.fill(false));
    let error = start(&model)
        .run(
            &mut MemoryRows::new(rows()),
            &masked,
            &RunOptions::new(&output),
            &mut (),
        )
        .unwrap_err();
    assert!(matches!(error, TrainError::NoHeldOutTargets), "{error}");
    assert!(!output.exists());
}

/// Every file of a folder with its bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = entries.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path));
    named.map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}

#[test]
fn a_run_that_diverges_stops_and_its_last_checkpoint_stays_whole() {
    let room = tempfile::tempdir().unwrap();
    let (model, output) = (room.path().join("model"), room.path().join("run"));
    draw(&model, FeedForwardKind::SwiGlu);
    let options = RunOptions::new(&output);
    let mut source = MemoryRows::new(rows());
    let calm = TrainConfig { steps: 4, ..recipe(4) };
    let mut trainer = Trainer::new(start(&model).into_model(), calm).unwrap();
    trainer.run(&mut source, &[], &options, &mut ()).unwrap();
    let folder = options.checkpoints().join("step-00000004");
    let before = files(&folder);
    assert!(before.contains_key("model.safetensors") && before.contains_key("optimizer.safetensors"));

    // Step 5 throws the weights far away, step 6 finds what comes of it.
    let wild = TrainConfig {
        learning_rate: 1e30,
        warmup_ratio: 0.0,
        checkpoint_every: 4,
        ..recipe(12)
    };
    let mut source = MemoryRows::new(rows());
    let resume = |config: TrainConfig, source: &mut MemoryRows| {
        let newest = checkpoint::latest(&options.checkpoints()).unwrap().checkpoint;
        Trainer::<B>::resume(&newest, config, &Default::default(), source)
    };
    let mut trainer = resume(wild, &mut source).unwrap();
    let error = trainer.run(&mut source, &rows()[..3], &options, &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::NotFinite { step: 6, .. }), "{error}");
    assert!(error.to_string().contains("after step 5"), "{error}");

    let found = checkpoint::latest(&options.checkpoints()).unwrap();
    assert_eq!((found.checkpoint.step, found.rejected.len()), (4, 0));
    assert!(files(&folder) == before, "the checkpoint changed");
    let partial = fs::read_dir(options.checkpoints()).unwrap().flatten();
    let partial = partial.filter(|entry| entry.file_name().to_string_lossy().starts_with(".partial"));
    assert_eq!(partial.count(), 0);

    // What the error advises works: from there on, a calmer run ends well.
    let mut source = MemoryRows::new(rows());
    let mut trainer = resume(recipe(12), &mut source).unwrap();
    let last = trainer.run(&mut source, &rows()[..3], &options, &mut ()).unwrap();
    assert!(last.is_some_and(|evaluation| evaluation.loss.is_finite()));
    assert_eq!(trainer.step_count(), 12);
}
