//! SmolLM2-135M-Instruct against transformers, and against itself in batches.

use burn::backend::Flex;
use fixtures::shared;
use smollm2_infer::{Engine, GenerationConfig, ScoreRequest};

use crate::support::tokens;

/// Ids of a list of numbers.
fn numbers(value: &serde_json::Value) -> Vec<u32> {
    let values = value.as_array().into_iter().flatten();
    values
        .filter_map(serde_json::Value::as_u64)
        .map(|id| id as u32)
        .collect()
}

#[test]
fn it_continues_as_transformers_does_and_scores_alike_in_every_batch() {
    let (Some(path), Some(reference)) = (
        shared("models/SmolLM2-135M-Instruct.Q4_1.gguf"),
        shared("reference/golden_135m_instruct_q4_1.json"),
    ) else {
        return;
    };
    let engine = Engine::<Flex>::open(&path, &Default::default()).expect("the model");
    let text = std::fs::read_to_string(reference).expect("the reference");
    let reference: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let mut cases = Vec::new();
    for (name, case) in reference.as_object().expect("cases") {
        let (prompt, expected) = (numbers(&case["ids"]), numbers(&case["greedy_48"]));
        assert!(
            !prompt.is_empty() && !expected.is_empty(),
            "{name} holds no continuation"
        );
        let settings = GenerationConfig {
            max_new_tokens: 48,
            stop_ids: vec![2, 0],
            ..Default::default()
        };
        assert_eq!(tokens(&engine, &prompt, &settings), expected, "{name}");
        cases.push((prompt, expected));
    }
    assert!(cases.len() >= 8, "the reference holds {} continuations", cases.len());
    check_batches(&engine, &cases);
}

/// Every batch size gives the same scores, and greedy text is greedy.
fn check_batches(engine: &Engine<Flex>, cases: &[(Vec<u32>, Vec<u32>)]) {
    let requests: Vec<ScoreRequest> = cases
        .iter()
        .map(|(prompt, continuation)| ScoreRequest {
            context: prompt.clone(),
            continuations: vec![
                continuation.clone(),
                continuation[..1].to_vec(),
                continuation.iter().rev().copied().collect(),
            ],
        })
        .collect();
    let one = engine.score(&requests, 1).unwrap();
    let mut worst = 0.0f64;
    for rows in [3, 8, 32] {
        let scores = engine.score(&requests, rows).unwrap();
        for (found, one) in scores.iter().flatten().zip(one.iter().flatten()) {
            let difference = (found.sum() - one.sum()).abs();
            assert!(difference < 1e-5, "{rows} rows: {} and {}", found.sum(), one.sum());
            assert_eq!(found.is_greedy(), one.is_greedy());
            worst = worst.max(difference);
        }
    }
    assert!(one.iter().all(|scores| scores[0].is_greedy() && scores[1].is_greedy()));
    eprintln!("largest difference between batch sizes: {worst:.1e}");
}
