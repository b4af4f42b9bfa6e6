//! Log-likelihoods: the same whatever is scored together, and those of the plain way.

use burn::backend::Flex;
use fixtures::tolerance;
use smollm2_infer::{ContinuationScore, Engine, InferError, ScoreRequest};
use smollm2_model::{FeedForwardKind, SequenceLayout};

use crate::support::{config, engine, engine_of, overflowed, poisoned, prompt, seeded};

/// Contexts of many lengths with none, one and many continuations.
fn requests() -> Vec<ScoreRequest> {
    let shapes: [(usize, &[usize]); 9] = [
        (20, &[3, 1, 7]),
        (1, &[5]),
        (1, &[2, 2, 2]),
        (64, &[1, 1, 1, 1]),
        (31, &[]),
        (13, &[9, 2]),
        (65, &[4]),
        (90, &[30, 3]),
        (128, &[1]),
    ];
    let request = |(seed, (context, continuations)): (usize, (usize, &[usize]))| ScoreRequest {
        context: prompt(context, seed as u64),
        continuations: continuations
            .iter()
            .enumerate()
            .map(|(index, length)| prompt(*length, (100 * seed + index) as u64))
            .collect(),
    };
    shapes.into_iter().enumerate().map(request).collect()
}

/// One forward pass for each continuation, with the last `max_length` tokens before its last.
fn plain(engine: &Engine<Flex>, request: &ScoreRequest) -> Vec<f64> {
    let score = |continuation: &Vec<u32>| {
        let whole = [&request.context[..], continuation].concat();
        let input = &whole[whole.len().saturating_sub(engine.max_length() + 1)..whole.len() - 1];
        let model = engine.model();
        let hidden = model.hidden(model.ids(&[input]), &SequenceLayout::default());
        let positions: Vec<usize> = (input.len() - continuation.len()..input.len()).collect();
        let scores = model.token_logprobs(hidden, &positions, continuation);
        scores.iter().map(|score| f64::from(score.logprob)).sum()
    };
    request.continuations.iter().map(score).collect()
}

fn sums(scores: &[Vec<ContinuationScore>]) -> Vec<f64> {
    scores.iter().flatten().map(ContinuationScore::sum).collect()
}

#[test]
fn every_batch_size_gives_the_scores_of_each_alone() {
    for kind in FeedForwardKind::ALL {
        let engine = engine_of(seeded(&config(kind, 128), 3));
        let requests = requests();
        let expected: Vec<f64> = requests.iter().flat_map(|request| plain(&engine, request)).collect();
        let one = engine.score(&requests, 1).unwrap();
        for rows in [1, 3, 8, 32] {
            let scores = engine.score(&requests, rows).unwrap();
            assert_eq!(scores.len(), requests.len());
            for ((found, one), expected) in sums(&scores).iter().zip(sums(&one)).zip(&expected) {
                assert!((found - one).abs() < 1e-5, "{kind}, {rows} rows: {found} and {one}");
                let bound = tolerance::LM_EVAL_LOGLIKELIHOOD;
                assert!((found - expected).abs() < bound, "{kind}: {found} and {expected}");
            }
        }
    }
}

#[test]
fn a_context_that_is_too_long_loses_its_beginning() {
    let engine = engine(128).with_max_length(24);
    let requests = [ScoreRequest {
        context: prompt(40, 1),
        continuations: vec![prompt(3, 2), prompt(24, 3), prompt(1, 4)],
    }];
    let scores = engine.score(&requests, 2).unwrap();
    for (found, expected) in sums(&scores).iter().zip(plain(&engine, &requests[0])) {
        assert!((found - expected).abs() < 1e-4, "{found} and {expected}");
    }
    // As long as it may be: 24 tokens are read, the last is only predicted.
    let fits = ScoreRequest {
        context: prompt(22, 1),
        continuations: vec![prompt(3, 2), prompt(3, 5)],
    };
    let scores = engine.score(std::slice::from_ref(&fits), 1).unwrap();
    for (found, expected) in sums(&scores).iter().zip(plain(&engine, &fits)) {
        assert!((found - expected).abs() < 1e-4, "{found} and {expected}");
    }
}

#[test]
fn many_continuations_are_scored_in_pieces() {
    let engine = engine(128).with_max_length(24);
    let requests = [ScoreRequest {
        context: prompt(5, 1),
        continuations: (2..9).map(|seed| prompt(9, seed)).collect(),
    }];
    let scores = engine.score(&requests, 4).unwrap();
    assert_eq!(scores[0].len(), 7);
    for (found, expected) in sums(&scores).iter().zip(plain(&engine, &requests[0])) {
        assert!((found - expected).abs() < 1e-4, "{found} and {expected}");
    }
}

#[test]
fn a_request_that_is_not_a_number_leaves_the_others_as_they_are() {
    let engine = poisoned(40);
    let requests = [&[40, 40, 40][..], &[1, 2]].map(|context| ScoreRequest {
        context: context.to_vec(),
        continuations: vec![vec![3]],
    });
    let scores = sums(&engine.score(&requests, 2).unwrap());
    let alone = sums(&engine.score(&requests[1..], 1).unwrap());
    assert!(
        scores[0].is_nan() && (scores[1] - alone[0]).abs() < 1e-5,
        "{scores:?} {alone:?}"
    );
}

#[test]
fn what_cannot_be_scored_is_named() {
    let engine = engine(32);
    let error = |context: Vec<u32>, continuations: Vec<Vec<u32>>| {
        let good = ScoreRequest {
            context: vec![1],
            continuations: vec![vec![2]],
        };
        let bad = ScoreRequest { context, continuations };
        engine.score(&[good, bad], 1).unwrap_err()
    };
    assert!(matches!(error(vec![], vec![]), InferError::EmptyContext { request: 1 }));
    let continuation = |error| match error {
        InferError::Continuation {
            request,
            continuation,
            found,
            ..
        } => (request, continuation, found),
        other => panic!("{other}"),
    };
    assert_eq!(continuation(error(vec![1], vec![vec![1], vec![]])), (1, 1, 0));
    assert_eq!(continuation(error(vec![1], vec![vec![1; 33]])), (1, 0, 33));
    let outside = error(vec![1], vec![vec![5, 400]]).to_string();
    assert!(outside.contains("position 2: token id 400"), "{outside}");
}

#[test]
fn a_model_that_overflows_scores_nan() {
    let request = ScoreRequest {
        context: vec![1, 2],
        continuations: vec![vec![3, 4], vec![5]],
    };
    let scores = overflowed().score(&[request], 1).unwrap();
    assert!(scores[0].iter().all(|score| score.sum().is_nan() && !score.is_greedy()));
}
