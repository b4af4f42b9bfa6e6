//! An objective of another kind than fine-tuning goes through the same run: preferences between two rows.

use burn::{
    backend::{Autodiff, Flex},
    tensor::{
        Tensor, TensorData,
        activation::{log_sigmoid, log_softmax},
        backend::Backend,
    },
};
use smollm2_model::{DecoderBackend, FeedForwardKind, SmolLm2};
use smollm2_train::{
    Batch, BatchLoss, MemoryRows, MetricRecord, Objective, RunOptions, RunProgress, StepLine, TrainBackend,
    TrainConfig, TrainError, Trainer, checkpoint, read_metrics,
};

use crate::{
    golden::norm_relative,
    small_run::{draw, recipe, rows, start},
};

type B = Autodiff<Flex>;

/// `-log sigmoid(m)` with `m` the log-likelihood of the first row of a pair less that of the second, and the mean of `m`.
struct Preference;

/// Pairs of a batch: two rows after one another.
fn pairs<B: Backend>(batch: &Batch<B>) -> usize {
    batch.ids().dims()[0] / 2
}

fn margins<B: DecoderBackend>(model: &SmolLm2<B>, batch: &Batch<B>) -> Tensor<B, 2> {
    let tokens = batch.ids().dims()[1];
    let hidden = model.hidden(batch.ids().clone(), batch.layout()); // [2 P, T, D]
    let (hidden, targets) = batch.targets().select(hidden); // [N, D], [N]
    let logits = hidden.matmul(model.output_embedding().transpose()); // [N, V]
    let chosen = log_softmax(logits, 1).gather(1, targets.unsqueeze_dim(1)); // [N, 1]
    let positions = &batch.targets().positions;
    let mut signs = vec![0.0; pairs(batch) * positions.len()];
    for (index, position) in positions.iter().enumerate() {
        let row = *position as usize / tokens;
        signs[row / 2 * positions.len() + index] = if row.is_multiple_of(2) { 1.0 } else { -1.0 };
    }
    let signs = TensorData::new(signs, [pairs(batch), positions.len()]);
    Tensor::<B, 2>::from_data(signs, &chosen.device()).matmul(chosen) // [P, 1]
}

fn preference<B: DecoderBackend>(model: &SmolLm2<B>, batch: &Batch<B>, scale: f64) -> BatchLoss<B> {
    let margins = margins(model, batch); // [P, 1]
    BatchLoss {
        loss: log_sigmoid(margins.clone()).sum().mul_scalar(-scale), // [1]
        // The logarithm of a negative number is none.
        metrics: vec![
            ("margin", margins.clone().sum()),
            ("log", (margins.abs() * -1.0 - 1.0).log().sum()),
        ],
    }
}

impl<AB: TrainBackend> Objective<AB> for Preference {
    fn name(&self) -> &'static str {
        "preference"
    }

    fn terms<B: Backend>(&self, batch: &Batch<B>) -> usize {
        pairs(batch)
    }

    fn loss(&self, model: &SmolLm2<AB>, batch: &Batch<AB>, scale: f64, _chunk: usize) -> BatchLoss<AB> {
        preference(model, batch, scale)
    }

    fn held_out_loss(
        &self,
        model: &SmolLm2<AB::InnerBackend>,
        batch: &Batch<AB::InnerBackend>,
        _chunk: usize,
    ) -> BatchLoss<AB::InnerBackend> {
        preference(model, batch, 1.0)
    }
}

fn batch(rows: &[smoltalk_data::PackedRow]) -> Batch<B> {
    Batch::from_rows(rows, &Default::default()).unwrap()
}

/// A step divides by the pairs of all its micro-batches, as it divides by the tokens that count in fine-tuning.
#[test]
fn micro_batches_of_pairs_are_one_batch() {
    let room = tempfile::tempdir().unwrap();
    draw(room.path(), FeedForwardKind::GatedRational);
    let trainer = start(room.path()).with_objective(Preference);
    let rows = rows();
    let (whole, together) = trainer.gradients(&[batch(&rows[..6])]).unwrap();
    let (parts, apart) = trainer.gradients(&[batch(&rows[..2]), batch(&rows[2..6])]).unwrap();
    assert_eq!((together.target_tokens, apart.target_tokens), (3, 3));
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-5 * b.abs();
    assert!(close(apart.loss, together.loss), "{apart:?} {together:?}");
    assert!(
        close(apart.metrics["margin"], together.metrics["margin"]),
        "{apart:?} {together:?}"
    );
    let gradient = |gradients: &smollm2_train::ModelGradients<Flex>| {
        gradients.get::<2>("model.embed_tokens.weight").unwrap().into_data()
    };
    assert!(norm_relative(&gradient(&parts), &gradient(&whole)) < 1e-5);
}

#[test]
fn a_run_of_another_objective_learns_records_and_resumes() {
    let room = tempfile::tempdir().unwrap();
    draw(&room.path().join("model"), FeedForwardKind::SwiGlu);
    let options = RunOptions::new(room.path().join("run"));
    let calm = TrainConfig {
        gradient_accumulation: 1,
        learning_rate: 1e-2,
        eval_rows: 2,
        ..recipe(12)
    };
    let trainer = start(&room.path().join("model")).into_model();
    let halfway = TrainConfig {
        steps: 6,
        ..calm.clone()
    };
    let pair = || MemoryRows::new(rows()[..2].to_vec());
    let mut trainer = Trainer::<B>::new(trainer, halfway).unwrap().with_objective(Preference);
    trainer.run(&mut pair(), &rows()[..2], &options, &mut ()).unwrap();

    let newest = checkpoint::latest(&options.checkpoints()).unwrap().checkpoint;
    assert_eq!(newest.record().unwrap().unwrap().objective, "preference");
    let mut source = pair();
    let mut resumed = Trainer::<B>::resume(&newest, calm, &Default::default(), &mut source).unwrap();
    let error = resumed.run(&mut source, &[], &options, &mut ()).unwrap_err();
    assert!(
        matches!(&error, TrainError::ResumeMismatch { field, .. } if field == "objective"),
        "{error}"
    );
    assert!(
        error.to_string().contains("preference") && error.to_string().contains("sft"),
        "{error}"
    );
    let mut resumed = resumed.with_objective(Preference);
    assert_eq!(resumed.step_count(), 6);
    let last = resumed
        .run(&mut source, &rows()[..2], &options, &mut ())
        .unwrap()
        .unwrap();

    let mut margins = Vec::new();
    for record in read_metrics(&options.output.join("metrics.jsonl")).unwrap() {
        if let MetricRecord::Train(step) = record {
            assert_eq!(step.target_tokens, 1);
            // Without the mean that is not finite, which JSON could not hold.
            assert_eq!(step.metrics.len(), 1);
            margins.push(step.metrics["margin"]);
            let progress = RunProgress {
                steps: 12,
                remaining: Default::default(),
            };
            assert!(StepLine(&step, &progress).to_string().contains("| margin "));
        }
    }
    assert_eq!(margins.len(), 12);
    assert!(margins[11] > margins[0] + 1.0, "{margins:?}");
    assert!(
        last.metrics["margin"] > margins[0] && last.target_tokens == 1,
        "{last:?}"
    );
}
