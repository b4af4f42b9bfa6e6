//! What generation does with its settings, and where it ends.

use std::path::Path;

use burn::backend::Flex;
use smollm2_infer::{Engine, GenerationConfig, InferError, Sampling};
use smollm2_model::weights::{LoadDtype, LoadOptions, load_with, save_as};
use smollm2_model::{FeedForwardKind, StoredDtype};
use smoltalk_data::ChatTokenizer;

use crate::support::{config, drawn, engine, engine_of, most, overflowed, prompt, seeded, tokens};

#[test]
fn it_ends_at_its_limit_at_a_stop_and_at_the_last_position() {
    let engine = engine(32);
    assert!(tokens(&engine, &[1], &most(0)).is_empty());
    let five = tokens(&engine, &[1], &most(5));
    assert_eq!(five.len(), 5);
    let stop = five[2];
    let first = five.iter().position(|id| *id == stop).unwrap();
    let stopping = GenerationConfig {
        stop_ids: vec![stop],
        ..most(5)
    };
    assert_eq!(tokens(&engine, &[1], &stopping), five[..=first]);
    for new in [2, 100, usize::MAX] {
        assert_eq!(tokens(&engine, &[1; 30], &most(new)).len(), 2);
    }
    let shorter = engine.with_max_length(31);
    assert_eq!(tokens(&shorter, &[1; 30], &most(100)).len(), 1);
}

#[test]
fn a_short_prompt_goes_on_beyond_a_long_one() {
    let engine = engine(32);
    let prompts = [vec![1; 30], vec![2, 3]];
    let together = engine.generate_batch(&prompts, &most(12)).unwrap();
    let alone = [0, 1].map(|row| tokens(&engine, &prompts[row], &most(12)));
    assert_eq!(together, alone);
    assert_eq!(together[1].len(), 12);
}

#[test]
fn settings_reach_the_sampler() {
    let engine = engine(32);
    let sampling = Sampling::Sample {
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
    };
    let seeded = |seed| GenerationConfig {
        sampling,
        seed,
        ..most(24)
    };
    let run = |settings: &GenerationConfig| tokens(&engine, &[1, 2], settings);
    assert_eq!(run(&seeded(1)), run(&seeded(1)));
    assert_ne!(run(&seeded(1)), run(&seeded(2)));
    let rows = engine.generate_batch(&[vec![1, 2], vec![1, 2]], &seeded(1)).unwrap();
    assert_eq!(rows[0], run(&seeded(1)));
    assert_ne!(rows[0], rows[1], "every row has a stream of its own");
    // So strong that no token comes twice.
    let penalised = run(&GenerationConfig {
        repetition_penalty: 1e30,
        ..most(24)
    });
    let mut distinct = penalised.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), penalised.len());
}

#[test]
fn ragged_prompts_give_the_tokens_of_each_alone() {
    for kind in FeedForwardKind::ALL {
        let engine = engine_of(seeded(&config(kind, 64), 2));
        let prompts: Vec<Vec<u32>> = [3, 11, 1, 7]
            .iter()
            .zip(0..)
            .map(|(length, seed)| prompt(*length, seed))
            .collect();
        let greedy = GenerationConfig {
            stop_ids: vec![25, 26, 27],
            ..most(12)
        };
        for settings in [greedy.clone(), drawn(greedy)] {
            let together = engine.generate_batch(&prompts, &settings).unwrap();
            for ((prompt, together), row) in prompts.iter().zip(together).zip(0..) {
                let own = GenerationConfig {
                    stream: settings.stream + row,
                    ..settings.clone()
                };
                assert_eq!(tokens(&engine, prompt, &own), together, "{kind}, row {row}");
            }
        }
    }
}

#[test]
fn logits_that_are_no_numbers_are_an_error_and_the_end() {
    let engine = overflowed();
    let mut events = engine.generate(&[1], &most(3)).unwrap();
    let error = events.next().unwrap().unwrap_err();
    assert!(matches!(error, InferError::NotANumber { row: 0, step: 0 }), "{error}");
    assert!(events.next().is_none());
}

#[test]
fn impossible_prompts_and_settings_are_named_errors() {
    let engine = engine(64);
    let error =
        |prompt: &[u32], settings: GenerationConfig| engine.generate(prompt, &settings).unwrap_err().to_string();
    assert!(error(&[], most(1)).contains("empty"));
    assert!(error(&[1; 64], most(1)).contains("at most 64"));
    assert!(error(&[1, 273], most(1)).contains("position 1: token id 273 is outside the vocabulary"));
    let hot = Sampling::Sample {
        temperature: -1.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
    };
    let settings = GenerationConfig {
        sampling: hot,
        ..most(1)
    };
    assert!(error(&[1], settings).contains("temperature"));
    for repetition_penalty in [0.0, 1e-40, 1e39, f64::NAN] {
        let settings = GenerationConfig {
            repetition_penalty,
            ..most(1)
        };
        assert!(error(&[1], settings).contains("repetition"), "{repetition_penalty}");
    }
    let settings = GenerationConfig {
        stop_strings: vec!["a".into(), String::new()],
        ..most(1)
    };
    assert!(error(&[1], settings).contains("stop_strings"));
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let mut config = config(FeedForwardKind::SwiGlu, 32);
    config.vocab_size = 272;
    let error = Engine::new(seeded(&config, 1), ChatTokenizer::byte_level().unwrap()).unwrap_err();
    assert!(error.to_string().contains("ids below 272"), "{error}");
}

/// What opening a path says is wrong.
fn refused(path: &Path) -> InferError {
    Engine::<Flex>::open(path, &Default::default()).unwrap_err()
}

#[test]
fn a_path_without_a_model_is_named_with_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    for (path, found) in [
        (folder.path().to_owned(), "found a folder without config.json"),
        (folder.path().join("absent.gguf"), "found nothing"),
    ] {
        let error = refused(&path);
        assert!(matches!(error, InferError::NoModel { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.starts_with(&path.display().to_string()) && text.contains(found),
            "{text}"
        );
    }
    // A model, and the tokenizer of a larger one.
    let mut small = config(FeedForwardKind::SwiGlu, 32);
    small.vocab_size -= 1;
    smollm2_model::weights::save(&seeded(&small, 1), folder.path()).unwrap();
    ChatTokenizer::byte_level().unwrap().save(folder.path()).unwrap();
    let InferError::Files { path, source } = refused(folder.path()) else {
        panic!("the folder is expected to be named")
    };
    assert_eq!(path, folder.path());
    assert!(matches!(*source, InferError::Vocabulary { .. }), "{source}");
}

#[test]
fn a_saved_model_opens_with_its_tokenizer_and_answers_the_same() {
    let engine = engine(32);
    let folder = tempfile::tempdir().unwrap();
    smollm2_model::weights::save(engine.model(), folder.path()).unwrap();
    engine.tokenizer().save(folder.path()).unwrap();
    let opened = Engine::<Flex>::open(folder.path(), &Default::default()).unwrap();
    assert_eq!(tokens(&opened, &[1, 2], &most(9)), tokens(&engine, &[1, 2], &most(9)));
    assert_eq!(opened.stop_ids(), engine.stop_ids());
}

#[test]
fn a_model_in_bf16_generates() {
    let folder = tempfile::tempdir().unwrap();
    save_as(engine(32).model(), StoredDtype::Bfloat16, folder.path()).unwrap();
    let options = LoadOptions {
        dtype: LoadDtype::Stored,
        ..Default::default()
    };
    let loaded = load_with::<Flex>(folder.path(), &options, &Default::default()).unwrap();
    let engine = engine_of(loaded.model);
    let rows = engine.generate_batch(&[vec![1, 2], vec![3]], &most(3)).unwrap();
    assert!(rows.iter().all(|row| row.len() == 3));
}
