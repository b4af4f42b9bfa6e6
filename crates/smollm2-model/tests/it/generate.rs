//! What generation does with its settings, and where it ends.

use burn::backend::Flex;
use smollm2_model::generate::{GenerationConfig, Sampling, generate, generate_batch};
use smollm2_model::weights::{
    LoadDtype, LoadOptions, ModelSource, from_named_tensors, load_with, named_tensors, save_as,
};
use smollm2_model::{FeedForwardKind, ModelError, SmolLm2, StoredDtype};

/// A model of 32 positions.
fn tiny() -> SmolLm2<Flex> {
    let config = crate::weights::tiny_config(FeedForwardKind::SwiGlu);
    let weights = crate::far::fixed_weights(&config);
    from_named_tensors(&config, weights, &Default::default()).unwrap()
}

fn run(prompt: &[u32], settings: &GenerationConfig) -> Vec<u32> {
    let model = tiny();
    generate(&model, prompt, settings)
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

fn most(max_new_tokens: usize) -> GenerationConfig {
    GenerationConfig {
        max_new_tokens,
        ..Default::default()
    }
}

#[test]
fn it_ends_at_its_limit_at_a_stop_and_at_the_last_position() {
    assert!(run(&[1], &most(0)).is_empty());
    let five = run(&[1], &most(5));
    assert_eq!(five.len(), 5);
    let stop = five[2];
    let first = five.iter().position(|id| *id == stop).unwrap();
    assert_eq!(
        run(
            &[1],
            &GenerationConfig {
                stop_ids: vec![stop],
                ..most(5)
            }
        ),
        five[..=first]
    );
    for new in [2, 100, usize::MAX] {
        assert_eq!(run(&[1; 30], &most(new)).len(), 2);
    }
}

#[test]
fn a_short_prompt_goes_on_beyond_a_long_one() {
    let model = tiny();
    let prompts = [vec![1; 30], vec![2, 3]];
    let together = generate_batch(&model, &prompts, &most(12)).unwrap();
    assert_eq!(together, [run(&prompts[0], &most(12)), run(&prompts[1], &most(12))]);
    assert_eq!(together[1].len(), 12);
}

#[test]
fn settings_reach_the_sampler() {
    let sampling = Sampling::Sample {
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
    };
    let seeded = |seed| {
        run(
            &[1, 2],
            &GenerationConfig {
                sampling,
                seed,
                ..most(24)
            },
        )
    };
    assert_eq!(seeded(1), seeded(1));
    assert_ne!(seeded(1), seeded(2));
    let model = tiny();
    let settings = GenerationConfig {
        sampling,
        seed: 1,
        ..most(24)
    };
    let rows = generate_batch(&model, &[vec![1, 2], vec![1, 2]], &settings).unwrap();
    assert_eq!(rows[0], seeded(1));
    assert_ne!(rows[0], rows[1], "every row has a stream of its own");
    // So strong that no token comes twice.
    let penalised = run(
        &[1, 2],
        &GenerationConfig {
            repetition_penalty: 1e30,
            ..most(24)
        },
    );
    let mut distinct = penalised.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), penalised.len());
}

#[test]
fn logits_that_are_no_numbers_are_an_error_and_the_end() {
    let model = tiny();
    let mut weights = named_tensors(&model);
    let norm = weights.get_mut("model.norm.weight").unwrap();
    *norm = burn::tensor::TensorData::new(vec![f32::NAN; 16], [16]);
    let model = from_named_tensors::<Flex>(model.config(), weights, &Default::default()).unwrap();
    let mut tokens = generate(&model, &[1], &most(3)).unwrap();
    assert!(matches!(
        tokens.next(),
        Some(Err(ModelError::NotANumber { row: 0, step: 0 }))
    ));
    assert!(tokens.next().is_none());
}

#[test]
fn a_model_in_bf16_generates() {
    let model = tiny();
    let folder = tempfile::tempdir().unwrap();
    save_as(&model, StoredDtype::Bfloat16, folder.path()).unwrap();
    let options = LoadOptions {
        dtype: LoadDtype::Stored,
        ..Default::default()
    };
    let source = ModelSource::Folder(folder.path().to_owned());
    let loaded = load_with::<Flex>(&source, &options, &Default::default()).unwrap();
    let rows = generate_batch(&loaded.model, &[vec![1, 2], vec![3]], &most(3)).unwrap();
    assert!(rows.iter().all(|row| row.len() == 3));
}
