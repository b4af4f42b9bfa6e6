//! A run that ends early keeps the steps it has made.

use burn::backend::{Autodiff, Flex};
use serde_json::Value;
use smollm2_model::{FeedForwardKind, weights};
use smollm2_train::{
    MemoryRows, MetricRecord, RowSource, RunOptions, TrainConfig, TrainError, TrainObserver, Trainer, checkpoint,
    read_metrics,
};
use smoltalk_data::PackedRow;
use std::path::Path;

use crate::small_run::{draw, recipe, rows, start};

type B = Autodiff<Flex>;

/// The small model with this recipe.
fn trainer(room: &Path, recipe: TrainConfig) -> Trainer<B> {
    draw(&room.join("model"), FeedForwardKind::SwiGlu);
    let start = start(&room.join("model"));
    Trainer::new(start.model().clone(), recipe).unwrap()
}

fn resumed(options: &RunOptions<'_>, source: &mut dyn RowSource) -> Trainer<B> {
    let newest = checkpoint::latest(&options.checkpoints()).unwrap().checkpoint;
    let recipe = newest.recipe().unwrap();
    Trainer::resume(&newest, recipe, &Default::default(), source).unwrap()
}

/// Asks to stop after one step.
struct StopAt(usize);

impl TrainObserver for StopAt {
    fn stop_requested(&mut self) -> bool {
        self.0 -= 1;
        self.0 == 0
    }
}

#[test]
fn a_run_that_is_asked_to_stop_saves_and_resumes_where_it_was() {
    let room = tempfile::tempdir().unwrap();
    let rare = || TrainConfig {
        checkpoint_every: 0,
        ..recipe(12)
    };
    let (whole, halves) = (room.path().join("whole"), room.path().join("halves"));
    let mut undisturbed = trainer(room.path(), rare());
    let run = |trainer: &mut Trainer<B>, source: &mut MemoryRows, output: &Path, observer: &mut dyn TrainObserver| {
        trainer
            .run(source, &rows()[..3], &RunOptions::new(output), observer)
            .unwrap()
    };
    run(&mut undisturbed, &mut MemoryRows::new(rows()), &whole, &mut ());

    let mut stopped = trainer(room.path(), rare());
    run(&mut stopped, &mut MemoryRows::new(rows()), &halves, &mut StopAt(5));
    assert_eq!(stopped.step_count(), 5);
    let options = RunOptions::new(&halves);
    let mut source = MemoryRows::new(rows());
    let mut continued = resumed(&options, &mut source);
    assert_eq!(continued.step_count(), 5);
    run(&mut continued, &mut source, &halves, &mut ());
    assert!(
        weights::named_tensors(continued.model()) == weights::named_tensors(undisturbed.model()),
        "the weights differ from those of an undisturbed run"
    );
    let losses = |output: &Path| -> Vec<(usize, f64)> {
        let metrics = read_metrics(&output.join("metrics.jsonl")).unwrap().into_iter();
        let losses = metrics.map(|metric| match metric {
            MetricRecord::Train(record) => (record.step, record.loss),
            MetricRecord::Eval(record) => (record.step, record.loss),
        });
        losses.collect()
    };
    assert_eq!(losses(&halves), losses(&whole));
}

/// The steps of all checkpoints after a run whose third step, at this rate, ruins the held-out loss.
fn diverging(rate: f64) -> Vec<usize> {
    let room = tempfile::tempdir().unwrap();
    let options = RunOptions::new(room.path().join("run"));
    let calm = TrainConfig {
        keep_checkpoints: 1,
        ..recipe(2)
    };
    trainer(room.path(), calm.clone())
        .run(&mut MemoryRows::new(rows()), &[], &options, &mut ())
        .unwrap();
    let wild = TrainConfig {
        steps: 12,
        learning_rate: rate,
        warmup_ratio: 0.0,
        eval_every: 3,
        checkpoint_every: 0,
        ..calm
    };
    let newest = checkpoint::latest(&options.checkpoints()).unwrap().checkpoint;
    let mut source = MemoryRows::new(rows());
    let mut trainer = Trainer::<B>::resume(&newest, wild, &Default::default(), &mut source).unwrap();
    let error = trainer.run(&mut source, &rows()[..3], &options, &mut ()).unwrap_err();
    assert!(
        matches!(error, TrainError::HeldOutNotFinite { step: 3, .. }),
        "{rate:e}: {error}"
    );
    let found = checkpoint::list(&options.checkpoints()).unwrap();
    found.iter().map(|checkpoint| checkpoint.step).collect()
}

/// Weights that are numbers are saved, without removing the earlier checkpoint; others would be of no use.
#[test]
fn a_held_out_loss_that_is_not_finite_loses_no_step() {
    assert_eq!(diverging(1e18), [2, 3]);
    assert_eq!(diverging(1e300), [2]);
}

/// Rows that cannot be read from some row on, as on a network file system that is gone.
struct Broken {
    rows: MemoryRows,
    left: usize,
}

impl RowSource for Broken {
    fn next_rows(&mut self, count: usize) -> Result<Vec<PackedRow>, TrainError> {
        let given = count.min(self.left);
        self.left -= given;
        let rows = self.rows.next_rows(given)?;
        if given < count {
            return Err(TrainError::Io {
                action: "read",
                path: "train.jsonl".into(),
                source: std::io::Error::other("stale file handle"),
            });
        }
        Ok(rows)
    }

    fn position(&self) -> Result<Value, TrainError> {
        self.rows.position()
    }

    fn seek(&mut self, position: &Value) -> Result<(), TrainError> {
        self.rows.seek(position)
    }
}

#[test]
fn data_that_cannot_be_read_on_lose_no_step() {
    let room = tempfile::tempdir().unwrap();
    let rare = TrainConfig {
        checkpoint_every: 0,
        ..recipe(12)
    };
    let options = RunOptions::new(room.path().join("run"));
    // A step takes four rows: three steps and the first half of the fourth.
    let mut source = Broken {
        rows: MemoryRows::new(rows()),
        left: 14,
    };
    let error = trainer(room.path(), rare)
        .run(&mut source, &[], &options, &mut ())
        .unwrap_err();
    assert!(error.to_string().contains("stale file handle"), "{error}");
    let mut source = MemoryRows::new(rows());
    assert_eq!(resumed(&options, &mut source).step_count(), 3);
    assert_eq!(
        source.position().unwrap(),
        12,
        "the rows of the step that was not made are read again"
    );
}

/// Rows of which one, the last but one of the fourth step, has an id that the model lacks.
struct Foreign(MemoryRows);

impl RowSource for Foreign {
    fn next_rows(&mut self, count: usize) -> Result<Vec<PackedRow>, TrainError> {
        let mut given = self.0.next_rows(count)?;
        if self.0.position()? == 16 {
            given[0].ids[0] = 1000;
        }
        Ok(given)
    }

    fn position(&self) -> Result<Value, TrainError> {
        self.0.position()
    }

    fn seek(&mut self, position: &Value) -> Result<(), TrainError> {
        self.0.seek(position)
    }
}

#[test]
fn a_batch_that_cannot_be_used_loses_no_step() {
    let room = tempfile::tempdir().unwrap();
    let rare = TrainConfig {
        checkpoint_every: 0,
        ..recipe(12)
    };
    let options = RunOptions::new(room.path().join("run"));
    let error = trainer(room.path(), rare)
        .run(&mut Foreign(MemoryRows::new(rows())), &[], &options, &mut ())
        .unwrap_err();
    assert!(matches!(error, TrainError::BeyondModel { step: 4, .. }), "{error}");
    let mut source = MemoryRows::new(rows());
    assert_eq!(resumed(&options, &mut source).step_count(), 3);
    assert_eq!(source.position().unwrap(), 12);
}

/// A disk that is full when the steps should be saved must not hide why the run ended.
#[test]
fn an_error_whose_steps_cannot_be_saved_names_both_reasons() {
    let room = tempfile::tempdir().unwrap();
    let options = RunOptions {
        companions: &|folder| {
            Err(TrainError::Io {
                action: "write",
                path: folder.to_owned(),
                source: std::io::Error::other("no space left"),
            })
        },
        ..RunOptions::new(room.path().join("run"))
    };
    let mut source = Broken {
        rows: MemoryRows::new(rows()),
        left: 4,
    };
    let error = trainer(room.path(), recipe(12))
        .run(&mut source, &[], &options, &mut ())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("stale file handle") && error.contains("no space left"),
        "{error}"
    );
}
