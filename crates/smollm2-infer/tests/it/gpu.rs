//! The decoder loop and scores on a GPU API next to Flex.

use std::collections::BTreeMap;

use burn::backend::Flex;
use fixtures::tolerance::GPU_LOGLIKELIHOOD;
use smollm2_infer::{Decoder, Engine, ScoreRequest};
use smollm2_model::weights::{from_named_tensors, named_tensors};
use smollm2_model::{DecoderBackend, FeedForwardKind};

use crate::support::{config, engine_of, most, prompt, seeded};

#[cfg(feature = "wgpu")]
type Gpu = burn::backend::Wgpu;
#[cfg(not(feature = "wgpu"))]
type Gpu = burn::backend::Cuda;

/// The same weights on another backend.
fn engine_on<B: DecoderBackend>(kind: FeedForwardKind) -> Engine<B> {
    let config = config(kind, 96);
    let tensors = named_tensors(&seeded(&config, 5));
    engine_of(from_named_tensors::<B>(&config, tensors, &Default::default()).unwrap())
}

/// What follows ragged prompts, of which the last is admitted when the others run and outlives them.
fn answers<B: DecoderBackend>(engine: &Engine<B>) -> BTreeMap<usize, Vec<u32>> {
    let mut decoder = Decoder::new(engine);
    decoder.admit(&prompt(9, 1), &most(6)).unwrap();
    decoder.admit(&prompt(2, 2), &most(12)).unwrap();
    let mut answers = BTreeMap::<usize, Vec<u32>>::new();
    for step in 0.. {
        if step == 3 {
            decoder.admit(&prompt(30, 3), &most(20)).unwrap();
        }
        if decoder.is_idle() {
            return answers;
        }
        for event in decoder.step().unwrap() {
            answers.entry(event.row).or_default().push(event.token);
        }
    }
    answers
}

fn scores<B: DecoderBackend>(engine: &Engine<B>) -> Vec<f64> {
    let requests = [(20, 3), (4, 9), (1, 1)].map(|(context, continuation)| ScoreRequest {
        context: prompt(context, 7),
        continuations: vec![prompt(continuation, 8), prompt(2, 9)],
    });
    let scores = engine.score(&requests, 3).unwrap();
    scores.iter().flatten().map(|score| score.sum()).collect()
}

#[test]
fn tokens_and_scores_are_those_of_flex() {
    for kind in [FeedForwardKind::SwiGlu, FeedForwardKind::GatedRational] {
        let (flex, gpu) = (engine_on::<Flex>(kind), engine_on::<Gpu>(kind));
        assert_eq!(answers(&gpu), answers(&flex), "{kind}");
        for (found, expected) in scores(&gpu).iter().zip(scores(&flex)) {
            assert!(
                (found - expected).abs() < GPU_LOGLIKELIHOOD,
                "{kind}: {found} and {expected}"
            );
        }
    }
}
