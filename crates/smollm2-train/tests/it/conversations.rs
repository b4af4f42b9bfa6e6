//! Conversations as the trainer's rows: interrupted, and with places that are none.

use burn::backend::{Autodiff, Flex};
use serde_json::json;
use smollm2_model::SmolLm2Config;
use smollm2_train::{
    ConversationRows, MemoryRows, RowSource, RunOptions, TrainConfig, TrainError, Trainer, checkpoint,
};
use smoltalk_data::{ChatTokenizer, Conversation, DataError, LoaderConfig, Message, Packing, Source, SystemPrompt};

type B = Autodiff<Flex>;

fn source(conversations: usize) -> Source {
    let message = |role: &str, content: String| Message {
        role: role.to_string(),
        content,
    };
    let conversation = |index: usize| Conversation {
        messages: vec![
            message("user", format!("{index} and {index}?")),
            message("assistant", format!("{}.", 2 * index)),
        ],
        source: None,
    };
    Source::from_conversations((0..conversations).map(conversation).collect())
}

fn conversation_rows(conversations: usize, packing: Packing) -> ConversationRows {
    buffered_rows(conversations, packing, 8)
}

fn buffered_rows(conversations: usize, packing: Packing, buffer: usize) -> ConversationRows {
    let config = LoaderConfig {
        sequence_length: 64,
        packing,
        system: SystemPrompt::None,
        buffer,
        ..LoaderConfig::default()
    };
    ConversationRows::new(source(conversations), ChatTokenizer::byte_level().unwrap(), config).unwrap()
}

#[test]
fn rows_go_on_where_they_stopped() {
    for packing in [Packing::Concat, Packing::BestFit, Packing::None] {
        let mut whole = conversation_rows(20, packing);
        // More than one pass over the data, and more than one buffer.
        for taken in [0, 3, 9, 31] {
            whole.next_rows(taken).unwrap();
            let position = whole.position().unwrap();
            let text = serde_json::to_string(&position).unwrap();
            let mut resumed = conversation_rows(20, packing);
            resumed.next_rows(5).unwrap();
            resumed.resume(&serde_json::from_str(&text).unwrap()).unwrap();
            assert_eq!(resumed.position().unwrap(), position);
            let expected = whole.next_rows(12).unwrap();
            assert_eq!(resumed.next_rows(12).unwrap(), expected, "{packing:?} after {taken}");
        }
        assert!(
            whole.loader().position().epoch > 0,
            "{packing:?}: the data were read once only"
        );
    }
}

#[test]
fn places_that_are_none_are_named() {
    for wrong in [
        json!(17),
        json!(null),
        json!({"epoch": 0}),
        json!({"epoch": 0, "conversations": 0, "rows": 0}),
        json!({"loader": {}, "position": {"epoch": -1, "conversations": 0, "rows": 0}}),
    ] {
        let mut rows = conversation_rows(20, Packing::BestFit);
        let before = rows.position().unwrap();
        let error = rows.resume(&wrong).unwrap_err();
        assert!(matches!(error, TrainError::Position { .. }), "{wrong}: {error}");
        assert!(error.to_string().contains("data position") && error.to_string().contains("conversations"));
        assert_eq!(rows.position().unwrap(), before);
    }
    let error = MemoryRows::new(Vec::new())
        .resume(&json!({"epoch": 0, "conversations": 0, "rows": 0}))
        .unwrap_err();
    assert!(matches!(error, TrainError::Position { .. }), "{error}");

    let mut shrunken = conversation_rows(10, Packing::BestFit).position().unwrap();
    shrunken["position"]["conversations"] = json!(20);
    let error = conversation_rows(10, Packing::BestFit).resume(&shrunken).unwrap_err();
    assert!(
        matches!(
            error,
            TrainError::Data(DataError::Position {
                expected: 20,
                found: 10
            })
        ),
        "{error}"
    );
}

/// A place counts rows, and another buffer or packing makes other rows.
#[test]
fn a_place_of_another_loader_is_refused() {
    let mut rows = buffered_rows(20, Packing::BestFit, 16);
    rows.next_rows(5).unwrap();
    let place = rows.position().unwrap();
    let error = conversation_rows(20, Packing::BestFit).resume(&place).unwrap_err();
    assert!(
        matches!(
            error,
            TrainError::ResumeMismatch { ref field, .. } if field == "data loader"
        ),
        "{error}"
    );
    assert!(
        error.to_string().contains("buffer: 16") && error.to_string().contains("buffer: 8"),
        "{error}"
    );
}

#[test]
fn data_without_rows_are_an_error_of_the_run() {
    let room = tempfile::tempdir().unwrap();
    let mut rows = conversation_rows(0, Packing::BestFit);
    let error = trainer(4)
        .run(&mut rows, &[], &RunOptions::new(room.path()), &mut ())
        .unwrap_err();
    assert!(matches!(error, TrainError::Data(DataError::NoRows { .. })), "{error}");
    let error = trainer(4)
        .run(
            &mut MemoryRows::new(Vec::new()),
            &[],
            &RunOptions::new(room.path()),
            &mut (),
        )
        .unwrap_err();
    let expected = matches!(
        error,
        TrainError::NoData {
            step: 1,
            sequence_length: 64
        }
    );
    assert!(expected, "{error}");
}

fn config() -> SmolLm2Config {
    let mut config = SmolLm2Config::smollm2_135m();
    (config.vocab_size, config.hidden_size, config.intermediate_size) = (273, 32, 48);
    (config.num_attention_heads, config.num_key_value_heads, config.head_dim) = (2, 1, 16);
    config.num_hidden_layers = 1;
    (config.bos_token_id, config.eos_token_ids, config.pad_token_id) = (Some(1), vec![2], Some(2));
    config.feed_forward.truncate(1);
    config
}

fn recipe(steps: usize) -> TrainConfig {
    TrainConfig {
        steps,
        sequence_length: 64,
        micro_batch_rows: 2,
        checkpoint_every: 3,
        eval_every: 0,
        packing: Packing::BestFit,
        system_prompt: SystemPrompt::None,
        ..TrainConfig::quick()
    }
}

fn trainer(steps: usize) -> Trainer<B> {
    let config = config();
    Trainer::new(config.init(&Default::default()).unwrap(), recipe(steps)).unwrap()
}

/// The row counter of one kind of source is no place in another.
#[test]
fn a_checkpoint_of_other_data_is_refused() {
    let room = tempfile::tempdir().unwrap();
    let options = RunOptions::new(room.path());
    let mut rows = conversation_rows(20, Packing::BestFit);
    trainer(3).run(&mut rows, &[], &options, &mut ()).unwrap();

    let mut same = conversation_rows(20, Packing::BestFit);
    let newest = checkpoint::latest(&options.checkpoints()).unwrap().checkpoint;
    let resumed = Trainer::<B>::resume(&newest, recipe(3), &Default::default(), &mut same).unwrap();
    assert_eq!(resumed.step_count(), 3);
    assert_eq!(same.next_rows(4).unwrap(), rows.next_rows(4).unwrap());

    let mut other = MemoryRows::new(rows.next_rows(4).unwrap());
    let error = Trainer::<B>::resume(&newest, recipe(3), &Default::default(), &mut other).unwrap_err();
    assert!(matches!(error, TrainError::Position { .. }), "{error}");
}
