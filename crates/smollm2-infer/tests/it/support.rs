//! Small models with the byte-level tokenizer.

use burn::backend::Flex;
use burn::tensor::TensorData;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use smollm2_infer::{Engine, GenerationConfig, Sampling};
use smollm2_model::weights::{from_named_tensors, named_tensors};
use smollm2_model::{DecoderBackend, FeedForwardKind, SmolLm2, SmolLm2Config};
use smoltalk_data::ChatTokenizer;

/// Two layers of four heads in two groups.
pub(crate) fn config(kind: FeedForwardKind, positions: usize) -> SmolLm2Config {
    let tokenizer = ChatTokenizer::byte_level().unwrap();
    let mut config = SmolLm2Config::smollm2_135m().with_instruct_tokens();
    (config.vocab_size, config.hidden_size, config.intermediate_size) = (tokenizer.vocab_size(), 32, 64);
    (config.num_attention_heads, config.num_key_value_heads, config.head_dim) = (4, 2, 8);
    (config.num_hidden_layers, config.max_position_embeddings) = (2, positions);
    config.feed_forward.truncate(2);
    config.with_feed_forward(kind)
}

/// Weights drawn by this test's own generator: the backend's is shared by all tests that run at the same time.
pub(crate) fn seeded(config: &SmolLm2Config, seed: u64) -> SmolLm2<Flex> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut tensors = named_tensors(&config.init::<Flex>(&Default::default()).unwrap());
    let kept = |name: &str| name.contains("norm") || name.contains("rational");
    for (_, data) in tensors.iter_mut().filter(|(name, _)| !kept(name)) {
        let values: Vec<f32> = (0..data.num_elements())
            .map(|_| random.random_range(-0.5..0.5))
            .collect();
        *data = TensorData::new(values, data.shape.clone());
    }
    from_named_tensors(config, tensors, &Default::default()).unwrap()
}

pub(crate) fn engine_of<B: DecoderBackend>(model: SmolLm2<B>) -> Engine<B> {
    Engine::new(model, ChatTokenizer::byte_level().unwrap()).unwrap()
}

/// A SwiGLU model of that many positions.
pub(crate) fn engine(positions: usize) -> Engine<Flex> {
    engine_of(seeded(&config(FeedForwardKind::SwiGlu, positions), 1))
}

/// A model whose logits are not numbers.
pub(crate) fn overflowed() -> Engine<Flex> {
    let config = config(FeedForwardKind::SwiGlu, 32);
    let mut tensors = named_tensors(&seeded(&config, 1));
    let norm = tensors.get_mut("model.norm.weight").unwrap();
    *norm = TensorData::new(vec![f32::NAN; 32], [32]);
    engine_of(from_named_tensors(&config, tensors, &Default::default()).unwrap())
}

/// A model to which one token is not a number, and what follows the token neither.
pub(crate) fn poisoned(token: u32) -> Engine<Flex> {
    let mut config = config(FeedForwardKind::SwiGlu, 64);
    // Otherwise the logits of every row hold the token's.
    config.tie_word_embeddings = false;
    let mut tensors = named_tensors(&seeded(&config, 1));
    let embedding = tensors.get_mut("model.embed_tokens.weight").unwrap();
    let mut values: Vec<f32> = embedding.iter::<f32>().collect();
    values[token as usize * 32..][..32].fill(f32::NAN);
    *embedding = TensorData::new(values, embedding.shape.clone());
    engine_of(from_named_tensors(&config, tensors, &Default::default()).unwrap())
}

/// Ids of ordinary tokens.
pub(crate) fn prompt(length: usize, seed: u64) -> Vec<u32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..length).map(|_| random.random_range(20..270)).collect()
}

pub(crate) fn most(max_new_tokens: usize) -> GenerationConfig {
    GenerationConfig {
        max_new_tokens,
        ..Default::default()
    }
}

/// Draws with every filter.
pub(crate) fn drawn(settings: GenerationConfig) -> GenerationConfig {
    GenerationConfig {
        sampling: Sampling::Sample {
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.01,
        },
        repetition_penalty: 1.2,
        stream: 3,
        ..settings
    }
}

/// Tokens that follow one prompt.
pub(crate) fn tokens(engine: &Engine<Flex>, prompt: &[u32], settings: &GenerationConfig) -> Vec<u32> {
    let events = engine.generate(prompt, settings).unwrap();
    events.map(|event| event.unwrap().token).collect()
}
