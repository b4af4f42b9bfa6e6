//! The judge on a small model with random weights: batches and single requests agree, and so do shared and repeated
//! contexts.

use std::sync::Arc;

use burn::backend::Flex;
use burn::tensor::TensorData;
use fixtures::shared;
use kallm::judge::Judged;
use llm_bench::{BenchError, GenerationRequest, LanguageModel, Loglikelihood, LoglikelihoodRequest, Turn};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use smollm2_infer::Engine;
use smollm2_model::weights::{from_named_tensors, load, named_tensors, save};
use smollm2_model::{SmolLm2, SmolLm2Config};
use smoltalk_data::ChatTokenizer;

type B = Flex;

fn judged() -> Judged<B> {
    Judged::new("random", engine())
}

fn engine() -> Engine<B> {
    let (model, tokenizer) = parts();
    Engine::new(model, tokenizer).unwrap()
}

/// The judge with shorter sequences than the model's.
fn shorter(max_length: usize) -> Judged<B> {
    Judged::new("random", engine().with_max_length(max_length))
}

fn parts() -> (SmolLm2<B>, ChatTokenizer) {
    let tokenizer = ChatTokenizer::byte_level().unwrap();
    let json = format!(
        r#"{{"model_type": "llama", "vocab_size": {}, "hidden_size": 32, "intermediate_size": 48,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0, "max_position_embeddings": 128, "tie_word_embeddings": true,
            "initializer_range": 0.3, "bos_token_id": {}, "eos_token_id": {}}}"#,
        tokenizer.vocab_size(),
        tokenizer.bos_id(),
        tokenizer.eos_id()
    );
    let config = SmolLm2Config::from_json(&json).unwrap();
    (seeded(&config, 1), tokenizer)
}

/// Weights drawn by this test's own generator: the backend's is shared by all tests that run at the same time.
fn seeded(config: &SmolLm2Config, seed: u64) -> SmolLm2<B> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut tensors = named_tensors(&config.init::<B>(&Default::default()).unwrap());
    for (_, data) in tensors.iter_mut().filter(|(name, _)| !name.contains("norm")) {
        let values: Vec<f32> = (0..data.num_elements())
            .map(|_| random.random_range(-0.5..0.5))
            .collect();
        *data = TensorData::new(values, data.shape.clone());
    }
    from_named_tensors(config, tensors, &Default::default()).unwrap()
}

fn requests() -> Vec<LoglikelihoodRequest> {
    let long = "x".repeat(120);
    let pairs = [
        ("Question: why?\nAnswer:", " because"),
        ("Question: why?\nAnswer:", " y"),
        ("Question: why?\nAnswer:", " no one knows for sure"),
        ("", "nothing before"),
        ("a", "b"),
        (long.as_str(), " one continuation"),
        (long.as_str(), " two"),
    ];
    let mut requests: Vec<LoglikelihoodRequest> =
        pairs.map(|(context, continuation)| asked(context, continuation)).into();
    // Choices of one document share its context.
    for index in 1..requests.len() {
        if requests[index].context == requests[index - 1].context {
            requests[index].context = Arc::clone(&requests[index - 1].context);
        }
    }
    requests
}

fn asked(context: &str, continuation: &str) -> LoglikelihoodRequest {
    LoglikelihoodRequest {
        context: context.into(),
        special: vec![],
        continuation: continuation.into(),
    }
}

fn assert_close(a: &[Loglikelihood], b: &[Loglikelihood]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!(
            (a.sum - b.sum).abs() < fixtures::tolerance::LM_EVAL_LOGLIKELIHOOD,
            "{a:?} {b:?}"
        );
        assert_eq!(a.is_greedy, b.is_greedy);
        assert!(a.sum < 0.0);
    }
}

#[test]
fn requests_score_the_same_with_a_shared_context_and_in_every_batch() {
    let requests = requests();
    let expected = judged().loglikelihood(&requests).unwrap();
    for rows in [1, 3, 8, 32] {
        let scores = judged().with_batch_size(rows).loglikelihood(&requests).unwrap();
        assert_close(&scores, &expected);
        for (score, expected) in scores.iter().zip(&expected) {
            assert!(
                (score.sum - expected.sum).abs() < 1e-5,
                "{rows} contexts: {score:?} {expected:?}"
            );
        }
    }
    // Contexts of their own, though with equal text.
    let apart: Vec<LoglikelihoodRequest> = requests
        .iter()
        .map(|request| asked(&request.context, &request.continuation))
        .collect();
    let mut model = judged();
    assert_close(&model.loglikelihood(&apart).unwrap(), &expected);
    let single: Vec<Loglikelihood> = apart
        .iter()
        .map(|request| model.loglikelihood(std::slice::from_ref(request)).unwrap()[0])
        .collect();
    assert_close(&single, &expected);
    assert!(model.requests_per_second().unwrap() > 0.0);
}

#[test]
fn a_batch_of_texts_equals_the_texts_alone() {
    let request = |context: &str, max_gen_toks| GenerationRequest {
        context: context.to_owned(),
        special: vec![],
        until: vec!["<|im_end|>".to_owned()],
        max_gen_toks,
        sampling: None,
        repeats: 1,
    };
    let requests = [request("one", 9), request("a longer prompt", 5), request("two", 12)];
    let mut model = judged();
    let batch = model.generate_until(&requests).unwrap();
    for (request, text) in requests.iter().zip(&batch) {
        let alone = model.generate_until(std::slice::from_ref(request)).unwrap();
        assert_eq!(alone, std::slice::from_ref(text));
    }
    assert!(model.generate_until(&[]).unwrap().is_empty());
}

fn text(context: &str, max_gen_toks: usize) -> GenerationRequest {
    GenerationRequest {
        context: context.to_owned(),
        special: vec![],
        until: vec![],
        max_gen_toks,
        sampling: None,
        repeats: 1,
    }
}

#[test]
fn a_prompt_that_leaves_no_room_is_cut_on_the_left() {
    // 500 different enough letters, of which the last 128 - 16 fit.
    let context: String = (0..500u32).map(|i| char::from(b'a' + (i * i % 26) as u8)).collect();
    let mut model = judged();
    let long = model.generate_until(&[text(&context, 16)]).unwrap();
    assert_eq!(long, model.generate_until(&[text(&context[500 - 112..], 16)]).unwrap());
    assert_ne!(long, model.generate_until(&[text(&context[500 - 12..], 16)]).unwrap());
    // The same with a limit of the engine's own.
    let mut short = shorter(40);
    let long = short.generate_until(&[text(&context, 16)]).unwrap();
    assert_eq!(long, model.generate_until(&[text(&context[500 - 24..], 16)]).unwrap());
}

#[test]
fn an_answer_that_leaves_a_prompt_no_room_is_refused() {
    let requests = [text("a", 39), text("a", 40)];
    let error = shorter(40).generate_until(&requests).unwrap_err();
    assert!(matches!(error, BenchError::Request { index: 1, .. }), "{error}");
}

#[test]
fn a_long_prompt_does_not_shorten_a_neighbours_answer() {
    // Together the longest prompt and the longest answer do not fit; each row by itself does.
    let requests = [text(&"ab".repeat(60), 2), text("begin", 100)];
    let mut model = judged();
    let batch = model.generate_until(&requests).unwrap();
    let alone = model.generate_until(&requests[1..]).unwrap();
    assert!(alone[0].chars().count() > 10, "{alone:?}");
    assert_eq!(batch[1], alone[0]);
}

#[test]
fn generated_text_has_the_likelihood_of_greedy_text() {
    let (model, tokenizer) = parts();
    let mut compared = 0;
    for seed in 0..20 {
        let model = seeded(model.config(), seed);
        let mut model = Judged::new("random", Engine::new(model, tokenizer.clone()).unwrap());
        let continuation = model.generate_until(&[text("begin", 1)]).unwrap().remove(0);
        // Random weights may produce a byte that is not text by itself; then there is nothing to compare.
        if continuation.len() == 1 && !continuation.trim().is_empty() {
            let request = asked("begin", &continuation);
            assert!(model.loglikelihood(&[request]).unwrap()[0].is_greedy);
            compared += 1;
        }
    }
    assert!(compared > 0);
}

/// The byte-level tokenizer with one more token, `ab`, and a merge that makes it or none.
fn with_merge(merge: bool) -> ChatTokenizer {
    let folder = tempfile::tempdir().unwrap();
    ChatTokenizer::byte_level().unwrap().save(folder.path()).unwrap();
    let path = folder.path().join("tokenizer.json");
    let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    json["model"]["vocab"]["ab"] = 273.into();
    if merge {
        json["model"]["merges"] = serde_json::json!([["a", "b"]]);
    }
    std::fs::write(&path, json.to_string()).unwrap();
    ChatTokenizer::from_folder(folder.path()).unwrap()
}

/// A digest of a model with a tokenizer, under one name.
fn fingerprint(model: &SmolLm2<B>, tokenizer: &ChatTokenizer, max_length: usize) -> String {
    let engine = Engine::new(model.clone(), tokenizer.clone()).unwrap();
    Judged::new("one name", engine.with_max_length(max_length)).fingerprint()
}

/// The small model with a larger vocabulary.
fn with_vocabulary(vocab_size: usize) -> SmolLm2<B> {
    let config = parts().0.config().clone();
    seeded(&SmolLm2Config { vocab_size, ..config }, 1)
}

#[test]
fn the_fingerprint_is_of_the_merges_too() {
    let model = with_vocabulary(274);
    let of = |tokenizer: &ChatTokenizer| fingerprint(&model, tokenizer, 128);
    let [merged, apart] = [with_merge(true), with_merge(false)];
    assert_eq!((merged.vocab_size(), merged.encode("ab").unwrap().len()), (274, 1));
    assert_eq!((apart.vocab_size(), apart.encode("ab").unwrap().len()), (274, 2));
    assert_eq!(of(&merged), of(&with_merge(true)));
    assert_ne!(of(&merged), of(&apart));
    assert_ne!(of(&merged), of(&merged.clone().with_special_tokens_in_text(true)));
}

/// The scores of ` y` after a question, with a tokenizer recognising special tokens in text or not.
fn scores(recognize: bool, requests: &[LoglikelihoodRequest]) -> Vec<f64> {
    let (model, tokenizer) = parts();
    let tokenizer = tokenizer.with_special_tokens_in_text(recognize);
    let mut model = Judged::new("random", Engine::new(model, tokenizer).unwrap());
    let scores = model.loglikelihood(requests).unwrap();
    scores.iter().map(|score| score.sum).collect()
}

#[test]
fn a_documents_text_is_no_special_token() {
    let tokenizer = ChatTokenizer::byte_level().unwrap();
    let turns = |content: &str| {
        [Turn {
            role: "user",
            content: content.to_owned(),
        }]
    };
    let chat = |content: &str| {
        let prompt = judged().apply_chat_template(&turns(content), true).unwrap();
        LoglikelihoodRequest {
            context: prompt.text.into(),
            special: prompt.special,
            continuation: " y".to_owned(),
        }
    };
    // The template's tokens are special, as in transformers.
    assert_eq!(scores(false, &[chat("Why?")]), scores(true, &[chat("Why?")]));
    assert_ne!(
        scores(false, &[chat("Why?<|im_end|>")]),
        scores(true, &[chat("Why?<|im_end|>")])
    );
    let request = chat("Why?<|im_end|>");
    let ends = tokenizer.decode_with_special(&[tokenizer.end_of_turn_id()]).unwrap();
    assert_eq!(request.context.matches(&ends).count(), 3);
    let special = request
        .special
        .iter()
        .filter(|range| request.context[(*range).clone()] == ends);
    assert_eq!(special.count(), 2);
    // A plain prompt has none.
    let plain = asked("Why?<|im_end|>", " y<|im_end|>");
    let plain = std::slice::from_ref(&plain);
    assert_ne!(scores(false, plain), scores(true, plain));
}

#[test]
fn the_fingerprint_is_of_weights_configuration_tokenizer_and_length() {
    let (model, tokenizer) = parts();
    let of = fingerprint;
    let same = of(&model, &tokenizer, 128);
    assert_eq!(same.len(), 64);
    // The same through a file: the bits count, not the object.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    save(&model, &path).unwrap();
    let loaded = load::<B>(&path, &Default::default()).unwrap();
    assert_eq!(of(&loaded.model, &tokenizer, 128), same);
    // One bit of one weight of every tensor in turn.
    let tensors = named_tensors(&model);
    for name in tensors.keys() {
        let mut changed = tensors.clone();
        let data = changed.get_mut(name).unwrap();
        let mut values = data.to_vec::<f32>().unwrap();
        values[0] = f32::from_bits(values[0].to_bits() ^ 1);
        *data = TensorData::new(values, data.shape.clone());
        let other = from_named_tensors::<B>(model.config(), changed, &Default::default()).unwrap();
        assert_ne!(of(&other, &tokenizer, 128), same, "{name}");
    }
    assert_ne!(of(&model, &tokenizer, 64), same);
    let other = SmolLm2Config {
        rope_theta: 10001.0,
        ..model.config().clone()
    };
    let other = from_named_tensors::<B>(&other, tensors, &Default::default()).unwrap();
    assert_ne!(of(&other, &tokenizer, 128), same);
    let other = model.clone().with_special_tokens(Some(3), vec![4], None).unwrap();
    assert_ne!(of(&other, &tokenizer, 128), same);
    let Some(folder) = shared("models/tokenizer") else {
        return;
    };
    let (large, official) = (with_vocabulary(49_152), ChatTokenizer::open(&folder).unwrap());
    assert_ne!(of(&large, &official, 128), of(&large, &tokenizer, 128));
}

#[test]
fn documents_without_context_score_the_same_in_every_batch() {
    let requests = ["the first", "a second one", "and a third sentence"].map(|text| asked("", text));
    let mut model = judged();
    let together = model.loglikelihood(&requests).unwrap();
    for (request, score) in requests.iter().zip(&together) {
        let alone = model.loglikelihood(std::slice::from_ref(request)).unwrap()[0];
        assert!((alone.sum - score.sum).abs() < 1e-5, "{alone:?} {score:?}");
        assert_eq!(alone.is_greedy, score.is_greedy);
    }
}

#[test]
fn a_whole_text_is_scored_in_pieces_of_the_longest_sequence() {
    let text: String = (0..300u32).map(|i| char::from(b'a' + (i * i % 26) as u8)).collect();
    let mut model = judged();
    let expected: f64 = [("", 0..128), (&text[127..128], 128..256), (&text[171..256], 256..300)]
        .map(|(context, piece)| model.loglikelihood(&[asked(context, &text[piece])]).unwrap()[0].sum)
        .iter()
        .sum();
    let texts = [text, String::new(), "short".to_owned()];
    let found = model.loglikelihood_rolling(&texts).unwrap();
    assert!((found[0] - expected).abs() < 1e-3, "{found:?} {expected}");
    assert_eq!(found[1], 0.0);
    let short = model.loglikelihood(&[asked("", "short")]).unwrap()[0].sum;
    assert!((found[2] - short).abs() < 1e-4);
}

#[test]
fn a_text_ends_at_a_stop_of_several_tokens() {
    let mut model = judged();
    let whole = model.generate_until(&[text("begin", 60)]).unwrap().remove(0);
    let letters: Vec<(usize, char)> = whole.char_indices().collect();
    let mut compared = 0;
    for window in letters.windows(4).step_by(5) {
        let stop = &whole[window[0].0..window[3].0];
        let mut request = text("begin", 60);
        request.until = vec!["never in it".to_owned(), stop.to_owned()];
        let found = model.generate_until(&[request]).unwrap().remove(0);
        assert_eq!(found, whole[..whole.find(stop).unwrap()], "{stop:?}");
        compared += 1;
    }
    assert!(compared > 3, "{whole:?}");
}

/// A model whose logits are not numbers.
fn overflowed() -> Judged<B> {
    let (model, tokenizer) = parts();
    let mut tensors = named_tensors(&model);
    let norm = tensors.get_mut("model.norm.weight").unwrap();
    *norm = TensorData::new(vec![f32::NAN; 32], norm.shape.clone());
    let model = from_named_tensors::<B>(model.config(), tensors, &Default::default()).unwrap();
    Judged::new("overflowed", Engine::new(model, tokenizer).unwrap())
}

#[test]
fn a_model_that_overflows_answers_nothing() {
    let error = overflowed().generate_until(&[text("a", 3), text("b", 5)]).unwrap_err();
    assert!(
        matches!(error, BenchError::Request { index: 0, .. }) && error.to_string().contains("token 1"),
        "{error}"
    );
    let scores = overflowed().loglikelihood(&requests()).unwrap();
    assert!(scores.iter().all(|score| score.sum.is_nan()));
}

#[test]
fn a_model_is_described_with_its_type_and_device() {
    let description = judged().description();
    assert_eq!(description.dtype.as_deref(), Some("f32"));
    assert!(description.device.is_some_and(|device| !device.is_empty()));
}
