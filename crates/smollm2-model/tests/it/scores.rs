//! Log-probabilities of given tokens against the softmax of all logits.

use burn::backend::Flex;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};
use smollm2_model::weights::{from_named_tensors, named_tensors};
use smollm2_model::{FeedForwardKind, SequenceLayout, SmolLm2};

fn tiny() -> SmolLm2<Flex> {
    let config = crate::weights::tiny_config(FeedForwardKind::SwiGlu);
    let weights = crate::far::fixed_weights(&config);
    from_named_tensors(&config, weights, &Default::default()).unwrap()
}

/// More positions than logits exist for at one time, in any order and some of them twice.
#[test]
fn scores_are_those_of_all_logits() {
    let model = tiny();
    let rows: Vec<Vec<u32>> = (0..20)
        .map(|row| (0..32).map(|t| (7 * t + row) % 64).collect())
        .collect();
    let hidden = model.hidden(model.ids(&rows), &SequenceLayout::default()); // [B, T, D]
    let positions: Vec<usize> = (0..700).map(|i| i * 37 % 640).collect();
    let targets: Vec<u32> = (0..700).map(|i| i * 11 % 64).collect();
    let scores = model.token_logprobs(hidden.clone(), &positions, &targets);
    assert_eq!(scores.len(), targets.len());

    let table = log_softmax(model.logits(hidden), 2); // [B, T, V]
    let best: Vec<i64> = table.clone().argmax(2).into_data().iter::<i64>().collect();
    let table: Vec<f32> = table.into_data().iter::<f32>().collect();
    let mut greedy = 0;
    for ((score, position), target) in scores.iter().zip(&positions).zip(&targets) {
        let expected = table[position * 64 + *target as usize];
        assert!((score.logprob - expected).abs() < 1e-5, "{score:?}, not {expected}");
        assert_eq!(score.is_greedy, best[*position] == i64::from(*target));
        greedy += usize::from(score.is_greedy);
    }
    assert!(greedy > 0);
    let hidden = Tensor::zeros([1, 3, 16], &Default::default());
    assert!(model.token_logprobs(hidden, &[], &[]).is_empty());
}

#[test]
fn a_model_that_overflows_has_no_scores() {
    let model = tiny();
    let mut weights = named_tensors(&model);
    let norm = weights.get_mut("model.norm.weight").unwrap();
    *norm = TensorData::new(vec![f32::NAN; 16], [16]);
    let model = from_named_tensors::<Flex>(model.config(), weights, &Default::default()).unwrap();
    let hidden = model.hidden(model.ids(&[[1, 2, 3]]), &SequenceLayout::default()); // [1, T, D]
    let scores = model.token_logprobs(hidden, &[0, 1], &[0, 3]);
    assert!(scores.iter().all(|score| score.logprob.is_nan() && !score.is_greedy));
}

#[test]
#[should_panic(expected = "position 3 of 1 rows of 3 tokens")]
fn a_position_beyond_the_rows_is_refused() {
    let model = tiny();
    model.token_logprobs(Tensor::zeros([1, 3, 16], &Default::default()), &[3], &[0]);
}

#[test]
#[should_panic(expected = "outside the vocabulary of 64 tokens")]
fn a_target_beyond_the_vocabulary_is_refused() {
    let model = tiny();
    model.token_logprobs(Tensor::zeros([1, 3, 16], &Default::default()), &[0], &[64]);
}
