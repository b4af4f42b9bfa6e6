//! `cargo bench -p benches --bench train`: a training step with each feed-forward, and its passes against the
//! plain-tensor reference.
//!
//! The model has the shapes of SmolLM2-135M with four of its thirty blocks and a vocabulary of 4,096, so that the
//! feed-forwards weigh what they weigh in the whole model; one sequence of 512 tokens, f32, Flex.

use burn::{
    backend::{Autodiff, Flex},
    tensor::{Distribution, Int, Tensor},
};
use criterion::{Criterion, criterion_group, criterion_main};
use smollm2_model::{FeedForwardKind, SmolLm2Config};
use smollm2_train::{
    Batch, StepBackend, TrainConfig, Trainer,
    ops::{AdamWState, AdamWStep, reference},
};
use smoltalk_data::{LoaderConfig, PackedRow};
use std::hint::black_box;

const TOKENS: usize = 512;

fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    group.sample_size(10);
    for kind in FeedForwardKind::ALL {
        let mut config = SmolLm2Config::smollm2_135m().with_feed_forward(kind);
        (config.num_hidden_layers, config.vocab_size) = (4, 4096);
        config.feed_forward.truncate(4);
        let recipe = TrainConfig {
            data: LoaderConfig::of_length(TOKENS),
            ..TrainConfig::default()
        };
        let model = config.init(&Default::default()).expect("a valid configuration");
        let mut trainer = Trainer::<Autodiff<Flex>>::new(model, recipe).expect("a valid recipe");
        let row = PackedRow {
            ids: (0..TOKENS as u32).map(|token| 3 + token * 7919 % 4000).collect(),
            loss_mask: vec![true; TOKENS],
            positions: None,
            documents: None,
        };
        let batch = Batch::from_rows(std::slice::from_ref(&row), &Default::default()).expect("one whole row");
        group.bench_function(format!("{kind:?}"), |bencher| {
            bencher.iter(|| trainer.step(std::slice::from_ref(&batch)).expect("a finite loss"))
        });
    }
}

fn normal(shape: [usize; 2]) -> Tensor<Flex, 2> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Default::default())
}

fn updates(criterion: &mut Criterion) {
    let gradient = normal([1536, 576]);
    let step = AdamWStep {
        clip: 1.0,
        beta1: 0.9,
        beta2: 0.999,
        step_size: 1e-3,
        epsilon: 1e-8,
        decay: 0.0,
    };
    for_both(criterion.benchmark_group("adamw"), |fused| {
        let mut state = Some(AdamWState {
            weight: normal([1536, 576]),
            first: normal([1536, 576]),
            second: normal([1536, 576]).square(),
        });
        let (gradient, step) = (gradient.clone(), step);
        move || {
            let before = state.take().expect("put back after every update");
            let gradient = gradient.clone();
            state = Some(if fused {
                Flex::adamw(before, gradient, &step)
            } else {
                reference::adamw(before, gradient, &step)
            });
        }
    });
}

fn losses(criterion: &mut Criterion) {
    let targets = Tensor::<Flex, 1, Int>::zeros([64], &Default::default());
    let logits = normal([64, 49_152]);
    for_both(criterion.benchmark_group("softmax_loss"), |fused| {
        let (logits, targets) = (logits.clone(), targets.clone());
        move || {
            // A copy of the logits, because the product that makes them leaves no other handle.
            let owned = logits.clone().add_scalar(0.0);
            let _ = black_box(if fused {
                Flex::softmax_loss(owned, targets.clone())
            } else {
                reference::softmax_loss(owned, targets.clone())
            });
        }
    });
}

/// Times what `make` returns for the one-pass operation and for the reference.
fn for_both<F: FnMut()>(
    mut group: criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    make: impl Fn(bool) -> F,
) {
    for (name, fused) in [("one pass", true), ("reference", false)] {
        let mut run = make(fused);
        group.bench_function(name, |bencher| bencher.iter(&mut run));
    }
}

criterion_group!(benches, steps, updates, losses);
criterion_main!(benches);
