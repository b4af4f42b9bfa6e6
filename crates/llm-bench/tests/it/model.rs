//! The evaluator on a small model with random weights: both ways of scoring agree, and so do batches and single
//! requests.

use burn::backend::Flex;
use burn::tensor::TensorData;
use fixtures::shared;
use llm_bench::{GenerationRequest, LanguageModel, Loglikelihood, LoglikelihoodRequest, Scoring, SmolLm2Evaluator};
use smollm2_model::weights::{ModelSource, from_named_tensors, load, named_tensors, save};
use smollm2_model::{SmolLm2, SmolLm2Config};
use smoltalk_data::ChatTokenizer;

type B = Flex;

/// New random weights at every call.
fn evaluator() -> SmolLm2Evaluator<B> {
    let (model, config, tokenizer) = parts();
    SmolLm2Evaluator::new("random", model, config, tokenizer, Default::default())
}

fn parts() -> (SmolLm2<B>, SmolLm2Config, ChatTokenizer) {
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
    let model = config.init(&Default::default()).unwrap();
    (model, config, tokenizer)
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
    pairs
        .map(|(context, continuation)| LoglikelihoodRequest {
            context: context.into(),
            continuation: continuation.into(),
        })
        .to_vec()
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
fn a_shared_prefix_scores_as_the_plain_way_does() {
    let requests = requests();
    let mut model = evaluator();
    let shared = model.loglikelihood(&requests).unwrap();
    model = model.with_scoring(Scoring::Plain { rows: 4 });
    let plain = model.loglikelihood(&requests).unwrap();
    model = model.with_scoring(Scoring::Plain { rows: 1 });
    let single = model.loglikelihood(&requests).unwrap();
    assert_close(&shared, &plain);
    assert_close(&plain, &single);
}

#[test]
fn a_batch_of_texts_equals_the_texts_alone() {
    let request = |context: &str, max_gen_toks| GenerationRequest {
        context: context.to_owned(),
        until: vec!["<|im_end|>".to_owned()],
        max_gen_toks,
    };
    let requests = [request("one", 9), request("a longer prompt", 5), request("two", 12)];
    let mut model = evaluator();
    let batch = model.generate_until(&requests).unwrap();
    for (request, text) in requests.iter().zip(&batch) {
        let alone = model.generate_until(std::slice::from_ref(request)).unwrap();
        assert_eq!(alone, std::slice::from_ref(text));
    }
    assert!(model.generate_until(&[]).unwrap().is_empty());
}

#[test]
fn a_prompt_that_leaves_no_room_is_cut_on_the_left() {
    let request = GenerationRequest {
        context: "y".repeat(500),
        until: vec![],
        max_gen_toks: 16,
    };
    evaluator().generate_until(&[request]).unwrap();
}

#[test]
fn generated_text_has_the_likelihood_of_greedy_text() {
    let request = GenerationRequest {
        context: "begin".to_owned(),
        until: vec![],
        max_gen_toks: 1,
    };
    let mut model = evaluator();
    let text = model.generate_until(&[request]).unwrap().remove(0);
    // Random weights may produce a byte that is not text by itself; then there is nothing to compare.
    if text.len() == 1 && !text.trim().is_empty() {
        let request = LoglikelihoodRequest {
            context: "begin".to_owned(),
            continuation: text,
        };
        assert!(model.loglikelihood(&[request]).unwrap()[0].is_greedy);
    }
}

#[test]
fn the_fingerprint_is_of_weights_configuration_tokenizer_and_length() {
    let (model, config, tokenizer) = parts();
    let of = |model: &SmolLm2<B>, config: &SmolLm2Config, tokenizer: &ChatTokenizer, length: usize| {
        SmolLm2Evaluator::new(
            "one name",
            model.clone(),
            config.clone(),
            tokenizer.clone(),
            Default::default(),
        )
        .with_max_length(length)
        .fingerprint()
    };
    let same = of(&model, &config, &tokenizer, 128);
    assert_eq!(same.len(), 64);
    // The same through a file: the bits count, not the object.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    save(&model, &config, &path).unwrap();
    let loaded = load::<B>(&ModelSource::Folder(path), &Default::default()).unwrap();
    assert_eq!(of(&loaded.model, &config, &tokenizer, 128), same);
    // One bit of one weight of every tensor in turn.
    let tensors = named_tensors(&model);
    for name in tensors.keys() {
        let mut changed = tensors.clone();
        let data = changed.get_mut(name).unwrap();
        let mut values = data.to_vec::<f32>().unwrap();
        values[0] = f32::from_bits(values[0].to_bits() ^ 1);
        *data = TensorData::new(values, data.shape.clone());
        let other = from_named_tensors::<B>(&config, changed, &Default::default()).unwrap();
        assert_ne!(of(&other, &config, &tokenizer, 128), same, "{name}");
    }
    assert_ne!(of(&model, &config, &tokenizer, 64), same);
    let other = SmolLm2Config {
        rope_theta: 10001.0,
        ..config.clone()
    };
    assert_ne!(of(&model, &other, &tokenizer, 128), same);
    let Some(folder) = shared("models/tokenizer") else {
        return;
    };
    assert_ne!(of(&model, &config, &ChatTokenizer::open(&folder).unwrap(), 128), same);
}
