//! Conversations as the trainer's rows: interrupted, and with places that are none.

use std::fs;

use burn::backend::{Autodiff, Flex};
use serde_json::{Value, json};
use smollm2_model::SmolLm2Config;
use smollm2_train::checkpoint::{self, Checkpoint};
use smollm2_train::{MemoryRows, RowSource, RunOptions, RunState, TrainConfig, TrainError, Trainer};
use smoltalk_data::{
    ChatTokenizer, Conversation, DataError, DataLoader, LoaderConfig, Message, Overlong, Packing, Source, SystemPrompt,
};

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

fn conversation_rows(conversations: usize, packing: Packing) -> DataLoader {
    buffered_rows(conversations, packing, 8)
}

fn buffered_rows(conversations: usize, packing: Packing, buffer: usize) -> DataLoader {
    let config = loading(packing, buffer);
    DataLoader::new(source(conversations), ChatTokenizer::byte_level().unwrap(), config).unwrap()
}

fn loading(packing: Packing, buffer: usize) -> LoaderConfig {
    LoaderConfig {
        sequence_length: 64,
        packing,
        system_prompt: SystemPrompt::None,
        buffer,
        ..LoaderConfig::default()
    }
}

/// The position as a checkpoint holds it.
fn position(rows: &DataLoader) -> Value {
    RowSource::position(rows).unwrap()
}

#[test]
fn rows_go_on_where_they_stopped() {
    for packing in [Packing::Concat, Packing::BestFit, Packing::None] {
        let mut whole = conversation_rows(20, packing);
        // More than one pass over the data, and more than one buffer.
        for taken in [0, 3, 9, 31] {
            whole.next_rows(taken).unwrap();
            let place = position(&whole);
            let text = serde_json::to_string(&place).unwrap();
            let mut resumed = conversation_rows(20, packing);
            resumed.next_rows(5).unwrap();
            RowSource::seek(&mut resumed, &serde_json::from_str(&text).unwrap()).unwrap();
            assert_eq!(position(&resumed), place);
            let expected = whole.next_rows(12).unwrap();
            assert_eq!(resumed.next_rows(12).unwrap(), expected, "{packing:?} after {taken}");
        }
        assert!(whole.position().epoch > 0, "{packing:?}: the data were read once only");
    }
}

#[test]
fn places_that_are_none_are_named() {
    for wrong in [
        json!(17),
        json!(null),
        json!({"epoch": 0}),
        json!({"epoch": 0, "conversations": 0, "rows": 0}),
        json!({"epoch": -1, "conversations": 0, "rows": 0, "fingerprint": 0}),
        json!({"loader": {}, "position": {"epoch": -1, "conversations": 0, "rows": 0}}),
    ] {
        let mut rows = conversation_rows(20, Packing::BestFit);
        let before = rows.position();
        let error = RowSource::seek(&mut rows, &wrong).unwrap_err();
        assert!(matches!(error, TrainError::Position { .. }), "{wrong}: {error}");
        assert!(error.to_string().contains("data position") && error.to_string().contains("conversations"));
        assert_eq!(rows.position(), before);
    }
    let error = MemoryRows::new(Vec::new())
        .seek(&json!({"epoch": 0, "conversations": 0, "rows": 0}))
        .unwrap_err();
    assert!(matches!(error, TrainError::Position { .. }), "{error}");

    let mut rows = conversation_rows(10, Packing::BestFit);
    let mut shrunken = position(&rows);
    shrunken["conversations"] = json!(20);
    let error = RowSource::seek(&mut rows, &shrunken).unwrap_err();
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

/// The position as it is written where the recipe has no `buffer`: next to a loader configuration that calls the system
/// prompt `system`.
fn wrapped(rows: &DataLoader) -> Value {
    let mut loader = serde_json::to_value(rows.config()).unwrap();
    let fields = loader.as_object_mut().unwrap();
    let system = fields.remove("system_prompt").unwrap();
    fields.insert("system".to_owned(), system);
    json!({"loader": loader, "position": position(rows)})
}

#[test]
fn a_position_next_to_a_loader_configuration_is_read() {
    let mut rows = conversation_rows(20, Packing::BestFit);
    rows.next_rows(5).unwrap();
    let mut resumed = conversation_rows(20, Packing::BestFit);
    RowSource::seek(&mut resumed, &wrapped(&rows)).unwrap();
    assert_eq!(resumed.next_rows(4).unwrap(), rows.next_rows(4).unwrap());
}

/// A place counts rows, and another buffer or packing makes other rows.
#[test]
fn a_place_of_another_loader_is_refused() {
    let mut rows = buffered_rows(20, Packing::BestFit, 16);
    rows.next_rows(5).unwrap();
    let error = RowSource::seek(&mut conversation_rows(20, Packing::BestFit), &wrapped(&rows)).unwrap_err();
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
        micro_batch_rows: 2,
        checkpoint_every: 3,
        eval_every: 0,
        data: loading(Packing::BestFit, 8),
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

/// The recipe of a checkpoint says how its position counts.
#[test]
fn a_checkpoint_of_other_buffers_is_refused() {
    let room = tempfile::tempdir().unwrap();
    let options = RunOptions::new(room.path());
    let mut rows = conversation_rows(20, Packing::BestFit);
    trainer(3).run(&mut rows, &[], &options, &mut ()).unwrap();
    let newest = checkpoint::latest(&options.checkpoints()).unwrap().checkpoint;

    let mut other = buffered_rows(20, Packing::BestFit, 16);
    let error = Trainer::<B>::resume(&newest, recipe(3), &Default::default(), &mut other).unwrap_err();
    assert!(
        matches!(error, TrainError::OtherRows { ref field, .. } if field == "buffer"),
        "{error}"
    );
    let changed = TrainConfig {
        data: other.config().clone(),
        ..recipe(3)
    };
    let error = Trainer::<B>::resume(&newest, changed, &Default::default(), &mut other).unwrap_err();
    assert!(
        matches!(error, TrainError::ResumeMismatch { ref field, .. } if field == "buffer"),
        "{error}"
    );

    // What is skipped at most decides about no row.
    let mut stricter = recipe(3);
    stricter.data.max_bad_records = 7;
    let tokenizer = ChatTokenizer::byte_level().unwrap();
    let mut strict = DataLoader::new(source(20), tokenizer, stricter.data.clone()).unwrap();
    Trainer::<B>::resume(&newest, stricter, &Default::default(), &mut strict).unwrap();
}

/// A checkpoint as it is where recipes have only five fields of the loader, and the position the whole loader.
#[test]
fn a_checkpoint_with_a_shorter_recipe_is_resumed() {
    let room = tempfile::tempdir().unwrap();
    // None of these is the default, which a recipe without them would mean.
    let data = LoaderConfig {
        overlong: Overlong::Drop,
        shuffle: false,
        buffer_rows: 7,
        ..loading(Packing::BestFit, 8)
    };
    let config = TrainConfig {
        data: data.clone(),
        ..recipe(3)
    };
    let rows = || DataLoader::new(source(20), ChatTokenizer::byte_level().unwrap(), data.clone()).unwrap();
    let mut read = rows();
    read.next_rows(4).unwrap();
    let model = self::config().init(&Default::default()).unwrap();
    let mut trainer = Trainer::<B>::new(model, config).unwrap();
    let state = RunState {
        step: 0,
        position: wrapped(&read),
    };
    let folder = trainer.save(&state, &RunOptions::new(room.path())).unwrap();
    let checkpoint = Checkpoint { step: 0, folder };
    let path = checkpoint.folder.join("train.toml");
    let text = fs::read_to_string(&path).unwrap();
    let kept = text.lines().filter(|line| {
        let name = line.split(' ').next().unwrap();
        !["overlong", "shuffle", "buffer", "buffer_rows", "max_bad_records"].contains(&name)
    });
    let shorter: String = kept.map(|line| format!("{line}\n")).collect();
    assert!(shorter.len() < text.len() && shorter.contains("system_prompt = \"none\""));
    fs::write(&path, shorter).unwrap();
    let mut source = rows();
    trainer = Trainer::resume(
        &checkpoint,
        checkpoint.recipe().unwrap(),
        &Default::default(),
        &mut source,
    )
    .unwrap();
    assert_eq!(trainer.config().data, data);
    assert_eq!(source.next_rows(4).unwrap(), read.next_rows(4).unwrap());
}
