//! The code that `sft` and `compare` share: reading data as rows, and creating the initial model of a run.

use crate::error::Result;
use crate::open;
use smollm2_model::convert::{self, Stage};
use smollm2_model::weights::{from_named_tensors, named_tensors};
use smollm2_model::{DecoderBackend, FeedForwardKind, SmolLm2, SmolLm2Config};
use smollm2_train::{StepBackend, TrainConfig, TrainError};
use smoltalk_data::{ChatTokenizer, DataLoader, LoaderConfig, LoaderObserver, PackedRow, Source, SystemPrompt};
use std::path::Path;

/// Typical size of the larger gates of a pretrained SmolLM2, used as [`rational_input_size`] when training one.
///
/// [`rational_input_size`]: smollm2_train::AdamWConfig::rational_input_size
pub const PRETRAINED_GATE: f64 = 16.0;

/// Observes the work before the first step. `()` ignores all events.
pub trait StartObserver {
    /// Conversations are read and tokenised next. Returns the observer of that.
    fn reading(&mut self) -> Box<dyn LoaderObserver> {
        Box::new(())
    }
    /// Work without progress reports begins, such as loading weights.
    fn working(&mut self, on: &str) {
        let _ = on;
    }
    /// A pretrained model's layers are being converted: `done` of `total` of a stage.
    fn converting(&mut self, stage: Stage, done: usize, total: usize) {
        let _ = (stage, done, total);
    }
    /// A warning for the user.
    fn note(&mut self, note: &str) {
        let _ = note;
    }
}

impl StartObserver for () {}

/// Splits a source into training data and this share of held-out conversations.
///
/// # Errors
/// When the share is not between 0 and 1.
pub fn hold_out(source: Source, share: f64) -> Result<(Source, Source)> {
    Ok(source.split(share)?)
}

/// The first rows of the conversations, as many as the recipe evaluates on: the same for every seed.
///
/// # Errors
/// When they cannot be read or yield no row.
pub fn held_out_rows(
    source: Source,
    tokenizer: &ChatTokenizer,
    recipe: &TrainConfig,
    observer: Box<dyn LoaderObserver>,
) -> Result<Vec<PackedRow>> {
    let config = LoaderConfig {
        shuffle: false,
        ..recipe.data.clone()
    };
    let loader = DataLoader::new(source, tokenizer.clone(), config)?.with_observer(observer);
    Ok(loader.one_pass(recipe.eval_rows)?)
}

/// Puts the tokenizer into every checkpoint, so that its folder is a complete model.
pub fn tokenizer_saver(tokenizer: &ChatTokenizer) -> impl Fn(&Path) -> Result<(), TrainError> {
    |folder| Ok(tokenizer.save(folder)?)
}

/// Prepares a model to learn to chat: its end-of-text token becomes the token that ends a turn. With a base model's
/// token, programs that read `config.json` or `generation_config.json` would not stop at the end of an answer.
///
/// # Errors
/// When a token of the tokenizer is not in the model's vocabulary.
pub fn with_chat_tokens<B: DecoderBackend>(model: SmolLm2<B>, tokenizer: &ChatTokenizer) -> Result<SmolLm2<B>> {
    let end_of_turn = tokenizer.end_of_turn_id();
    if model.config().eos_token_ids.contains(&end_of_turn) {
        return Ok(model);
    }
    let (bos, pad) = (tokenizer.bos_id(), tokenizer.pad_id());
    Ok(model.with_special_tokens(Some(bos), vec![end_of_turn], Some(pad))?)
}

/// Converts a SwiGLU model, with gates fitted to their inputs on the beginning of `source`, rendered as in training.
///
/// # Errors
/// When the source holds too little, or the model cannot be converted.
pub fn to_gated_rational<B: StepBackend>(
    model: SmolLm2<B>,
    source: &Source,
    tokenizer: &ChatTokenizer,
    system_prompt: SystemPrompt,
    progress: impl FnMut(Stage, usize, usize),
) -> Result<SmolLm2<B>> {
    let (length, tokens) = (open::CALIBRATION_ROW, open::CALIBRATION_TOKENS);
    let rows = open::conversation_rows(source, tokenizer, system_prompt, length, tokens)?;
    let options = convert::ConversionOptions::default();
    let (model, _) = convert::to_gated_rational(model, &rows, &options, progress)?;
    Ok(model)
}

/// The pretrained model with new feed-forward layers of `kind`; everything else keeps its weights.
///
/// # Errors
/// When the configuration is impossible.
pub fn fresh_feed_forward<B: StepBackend>(model: &SmolLm2<B>, kind: FeedForwardKind, seed: u64) -> Result<SmolLm2<B>> {
    let (config, device) = (model.config().clone().with_feed_forward(kind), model.device());
    B::seed(&device, seed);
    let mut tensors = named_tensors(&config.init::<B>(&device)?);
    let mut own = named_tensors(model);
    for parameter in config.parameters().filter(|parameter| !parameter.in_feed_forward) {
        let tensor = own
            .remove(&parameter.name)
            .expect("outside the feed-forward models are alike");
        tensors.insert(parameter.name, tensor);
    }
    Ok(from_named_tensors(&config, tensors, &device)?)
}

/// The kinds of feed-forward a model has, each once: `swiglu`, or `swiglu, gated_rational`.
pub fn kinds(config: &SmolLm2Config) -> String {
    let has = |kind: &FeedForwardKind| config.feed_forward.iter().any(|layer| layer.kind() == *kind);
    let names: Vec<&str> = FeedForwardKind::ALL
        .into_iter()
        .filter(has)
        .map(FeedForwardKind::name)
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::Flex;
    use smoltalk_data::{Conversation, Mask, Message, Packing};

    fn source() -> Source {
        let conversation = |index: usize| Conversation {
            messages: vec![
                Message::user(format!("{index}?")),
                Message::assistant(format!("{}.", 3 * index)),
            ],
            source: None,
        };
        Source::from_conversations((0..200).map(conversation).collect())
    }

    /// Held-out losses of two seeds are comparable only on the same rows.
    #[test]
    fn what_is_held_out_does_not_depend_on_the_seed() {
        let tokenizer = ChatTokenizer::byte_level().unwrap();
        for packing in [Packing::Concat, Packing::BestFit, Packing::None] {
            let rows = |seed| {
                let recipe = TrainConfig {
                    eval_rows: 4,
                    data: LoaderConfig {
                        seed,
                        sequence_length: 256,
                        packing,
                        ..LoaderConfig::default()
                    },
                    ..TrainConfig::quick()
                };
                let (_, held_out) = hold_out(source(), 0.2).unwrap();
                held_out_rows(held_out, &tokenizer, &recipe, Box::new(())).unwrap()
            };
            assert_eq!(rows(1), rows(2), "{packing:?}");
        }
    }

    #[test]
    fn gates_are_fitted_on_what_training_reads() {
        let tokenizer = ChatTokenizer::byte_level().unwrap();
        for system_prompt in [SystemPrompt::Default, SystemPrompt::Empty, SystemPrompt::None] {
            let rows = open::conversation_rows(&source(), &tokenizer, system_prompt, 512, 512).unwrap();
            let first = source().conversations().next().unwrap().unwrap();
            let read = tokenizer.encode_conversation(&first, Mask::All, system_prompt).unwrap();
            assert_eq!(rows[0][..read.ids.len()], read.ids, "{system_prompt:?}");
        }
    }

    #[test]
    fn base_weights_get_the_end_of_a_turn() {
        let tokenizer = ChatTokenizer::byte_level().unwrap();
        let mut base = SmolLm2Config::smollm2_135m();
        (base.vocab_size, base.hidden_size, base.intermediate_size) = (512, 64, 64);
        base.num_hidden_layers = 1;
        base.feed_forward.truncate(1);
        assert_eq!(
            (base.bos_token_id, base.eos_token_ids.as_slice()),
            (Some(0), [0].as_slice())
        );
        let with_tokens = |config: &SmolLm2Config| {
            let model = config.init::<Flex>(&Default::default()).unwrap();
            with_chat_tokens(model, &tokenizer).unwrap().config().clone()
        };
        let instruct = base.clone().with_instruct_tokens();
        assert_eq!(with_tokens(&base), instruct);
        assert!(with_tokens(&base).to_json().contains("\"eos_token_id\": 2"));
        assert_eq!(with_tokens(&instruct), instruct);
    }
}
