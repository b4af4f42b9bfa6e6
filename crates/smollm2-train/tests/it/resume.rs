//! A run that is interrupted ends as one that is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use burn::backend::{Autodiff, Flex};
use burn::tensor::TensorData;
use smollm2_model::{FeedForwardKind, SmolLm2Config, weights};
use smollm2_train::{
    AdamW, AdamWConfig, Batch, ConversationRows, MemoryRows, Metric, RowSource, RunOptions, TrainConfig, TrainError,
    TrainObserver, Trainer, checkpoint, read_metrics,
};
use smoltalk_data::{
    ChatTokenizer, Conversation, DataError, LoaderConfig, Message, PackedRow, Packing, Source, SystemPrompt,
};

type B = Autodiff<Flex>;

/// Set for the child process: the folder it trains into.
const CHILD: &str = "SMOLLM2_TRAIN_TEST_CHILD";

pub(crate) fn rows() -> Vec<PackedRow> {
    let row = |seed: u32| PackedRow {
        ids: (0..24).map(|t| 3 + (t * (seed + 2) + seed * seed) % 90).collect(),
        loss_mask: (0..24).map(|t| !(t + seed).is_multiple_of(3)).collect(),
        positions: None,
        documents: None,
    };
    (0..7).map(row).collect()
}

pub(crate) fn recipe(steps: usize) -> TrainConfig {
    TrainConfig {
        steps,
        warmup_ratio: 0.2,
        sequence_length: 24,
        gradient_accumulation: 2,
        micro_batch_rows: 2,
        eval_every: 3,
        checkpoint_every: 2,
        keep_checkpoints: 3,
        optimizer: AdamWConfig {
            weight_decay: 0.1,
            rational_input_size: 4.0,
            ..AdamWConfig::default()
        },
        ..TrainConfig::quick()
    }
}

/// A fixed model: drawn once by the parent of a test and read by everyone.
pub(crate) fn start(folder: &Path) -> Trainer<B> {
    let source = smollm2_model::weights::ModelSource::Folder(folder.to_owned());
    let loaded = weights::load::<B>(&source, &Default::default()).unwrap();
    Trainer::new(loaded.model, loaded.config, recipe(12)).unwrap()
}

/// Writes a small model whose matrices are the same at every call: a test with a tolerance must not meet another model
/// each time.
pub(crate) fn draw(folder: &Path, kind: FeedForwardKind) {
    let mut config = SmolLm2Config::smollm2_135m();
    (config.vocab_size, config.hidden_size, config.intermediate_size) = (96, 32, 48);
    (config.num_attention_heads, config.num_key_value_heads, config.head_dim) = (2, 1, 16);
    config.num_hidden_layers = 2;
    (config.bos_token_id, config.eos_token_ids, config.pad_token_id) = (Some(1), vec![2], Some(2));
    let config = config.with_feed_forward(kind);
    let mut tensors = weights::named_tensors(&config.init::<Flex>(&Default::default()).unwrap());
    let mut state = 1u64;
    let mut uniform = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        0.6 * ((state >> 40) as f32 / (1 << 24) as f32 - 0.5)
    };
    for (_, matrix) in tensors
        .iter_mut()
        .filter(|(name, data)| name.ends_with(".weight") && data.shape.len() == 2)
    {
        let values: Vec<f32> = (0..matrix.num_elements()).map(|_| uniform()).collect();
        *matrix = TensorData::new(values, matrix.shape.clone());
    }
    let model = weights::from_named_tensors::<Flex>(&config, tensors, &Default::default()).unwrap();
    weights::save(&model, &config, folder).unwrap();
}

/// Trains in `output` to the end, from a checkpoint where there is one.
fn go_on(model: &Path, output: &Path) -> Trainer<B> {
    let (mut source, options) = (MemoryRows::new(rows()), RunOptions::new(output));
    let mut trainer = match checkpoint::latest(&options.checkpoints()) {
        Err(TrainError::NoCheckpoint { .. }) => start(model),
        found => {
            let checkpoint = found.unwrap().checkpoint;
            let recipe = checkpoint.recipe().unwrap();
            Trainer::resume(&checkpoint, recipe, &Default::default(), &mut source).unwrap()
        }
    };
    trainer.run(&mut source, &rows()[..3], &options, &mut ()).unwrap();
    trainer
}

/// Everything a run leaves, without its timings.
fn assert_same(found: &Path, expected: &Path) {
    let folder = |root: &Path| root.join("checkpoints/step-00000012");
    for file in [
        "model.safetensors",
        "optimizer.safetensors",
        "state.json",
        "train.toml",
        "run.json",
    ] {
        let read = |root: &Path| fs::read(folder(root).join(file)).unwrap();
        assert!(read(found) == read(expected), "{file} differs");
    }
    let records = |root: &Path| -> Vec<Metric> {
        let mut metrics = read_metrics(&root.join("metrics.jsonl")).unwrap();
        for metric in &mut metrics {
            if let Metric::Train(record) = metric {
                (record.seconds, record.mfu) = (0.0, None);
            }
        }
        metrics
    };
    assert_eq!(records(found), records(expected), "the records of the steps");
    assert!(fs::read_to_string(found.join("loss.svg")).unwrap().contains("<svg"));
}

/// Names of all that stands in a folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    entries.map(|name| name.into_string().unwrap()).collect()
}

fn full_disk(folder: &Path) -> TrainError {
    TrainError::Io {
        action: "write",
        path: folder.to_owned(),
        source: std::io::Error::other("no space left"),
    }
}

#[test]
fn n_and_n_steps_are_2n() {
    FeedForwardKind::ALL.into_iter().for_each(interrupted);
}

fn interrupted(kind: FeedForwardKind) {
    let room = tempfile::tempdir().unwrap();
    let (model, whole, halves) = (
        room.path().join("model"),
        room.path().join("whole"),
        room.path().join("halves"),
    );
    draw(&model, kind);
    go_on(&model, &whole);
    // Interrupt after step 7, between two checkpoints: what came after step 6 is made again.
    let mut source = MemoryRows::new(rows());
    let mut trainer = start(&model);
    let options = RunOptions {
        companions: &stop_at_eight,
        ..RunOptions::new(&halves)
    };
    trainer.run(&mut source, &rows()[..3], &options, &mut ()).unwrap_err();
    assert_eq!(checkpoint::latest(&options.checkpoints()).unwrap().checkpoint.step, 6);
    go_on(&model, &halves);
    assert_same(&halves, &whole);
}

/// Checkpoints of a run that got further would count as newer than those of this one.
#[test]
fn a_run_refuses_a_folder_with_checkpoints_beyond_it() {
    let room = tempfile::tempdir().unwrap();
    let (model, output) = (room.path().join("model"), room.path().join("run"));
    draw(&model, FeedForwardKind::SwiGlu);
    go_on(&model, &output);
    let options = RunOptions::new(&output);
    let before = fs::read(output.join("metrics.jsonl")).unwrap();
    let error = start(&model)
        .run(&mut MemoryRows::new(rows()), &[], &options, &mut ())
        .unwrap_err();
    assert!(
        matches!(&error, TrainError::UsedFolder { from: 0, step: 12, .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("checkpoints") && error.to_string().contains("resume"),
        "{error}"
    );
    let earlier = checkpoint::list(&options.checkpoints()).unwrap()[1].clone();
    assert_eq!(earlier.step, 10);
    let (mut trainer, _) = Trainer::<B>::load(&earlier, recipe(12), &Default::default()).unwrap();
    let error = trainer
        .run(&mut MemoryRows::new(rows()), &[], &options, &mut ())
        .unwrap_err();
    assert!(
        matches!(&error, TrainError::UsedFolder { from: 10, step: 12, .. }),
        "{error}"
    );
    assert_eq!(fs::read(output.join("metrics.jsonl")).unwrap(), before);
    assert_eq!(checkpoint::latest(&options.checkpoints()).unwrap().checkpoint.step, 12);
}

/// Writes down when checkpoints begin and end.
#[derive(Default)]
struct Saves(Vec<String>);

impl TrainObserver for Saves {
    fn saving(&mut self, step: usize) {
        self.0.push(format!("saving {step}"));
    }

    fn saved(&mut self, step: usize, folder: &Path) {
        assert!(folder.join("manifest.json").is_file());
        self.0.push(format!("saved {step}"));
    }
}

#[test]
fn an_observer_hears_before_and_after_each_checkpoint() {
    let room = tempfile::tempdir().unwrap();
    let (model, output) = (room.path().join("model"), room.path().join("run"));
    draw(&model, FeedForwardKind::SwiGlu);
    let options = RunOptions {
        companions: &stop_at_eight,
        ..RunOptions::new(&output)
    };
    let mut saves = Saves::default();
    start(&model)
        .run(&mut MemoryRows::new(rows()), &[], &options, &mut saves)
        .unwrap_err();
    let whole = [2, 4, 6].map(|step| [format!("saving {step}"), format!("saved {step}")]);
    assert_eq!(saves.0, [whole.concat(), vec!["saving 8".to_owned()]].concat());
}

/// A second run would remove what the first is writing.
#[test]
fn a_folder_another_run_writes_into_is_refused() {
    let room = tempfile::tempdir().unwrap();
    let (model, output) = (room.path().join("model"), room.path().join("run"));
    draw(&model, FeedForwardKind::SwiGlu);
    let written = output.join("checkpoints/.partial-step-00000002");
    fs::create_dir_all(&written).unwrap();
    let other = File::create(output.join("run.lock")).unwrap();
    other.lock().unwrap();
    let run = || start(&model).run(&mut MemoryRows::new(rows()), &[], &RunOptions::new(&output), &mut ());
    let error = run().unwrap_err();
    assert!(matches!(&error, TrainError::Locked { .. }), "{error}");
    assert!(written.exists() && !output.join("metrics.jsonl").exists());
    drop(other);
    run().unwrap();
    assert!(!written.exists());
}

/// A model is saved by way of a folder beside its own: when that stays, it must stay inside the partial one.
#[test]
fn what_a_killed_process_left_is_removed() {
    let room = tempfile::tempdir().unwrap();
    let root = room.path().join("checkpoints");
    let half = |folder: &Path| fs::create_dir(folder.parent().unwrap().join(".saving-x")).unwrap();
    let killed = checkpoint::write(&root, 3, 2, |folder| {
        half(folder);
        Err(full_disk(folder))
    });
    killed.unwrap_err();
    checkpoint::remove_partial(&root).unwrap();
    assert_eq!(names(&root), BTreeSet::new());
    checkpoint::write(&root, 3, 2, |folder| {
        half(folder);
        Ok(())
    })
    .unwrap();
    assert_eq!(names(&root), BTreeSet::from(["step-00000003".to_owned()]));
}

/// Fails the checkpoint of step 8, as a full disk would.
fn stop_at_eight(folder: &Path) -> Result<(), TrainError> {
    match folder.ends_with("step-00000008") {
        true => Err(full_disk(folder)),
        false => Ok(()),
    }
}

/// As [`stop_at_eight`], at step 10.
fn stop_at_ten(folder: &Path) -> Result<(), TrainError> {
    match folder.ends_with("step-00000010") {
        true => Err(full_disk(folder)),
        false => Ok(()),
    }
}

#[test]
fn damaged_checkpoints_are_named_and_passed_over() {
    let room = tempfile::tempdir().unwrap();
    let (model, output) = (room.path().join("model"), room.path().join("run"));
    draw(&model, FeedForwardKind::SwiGlu);
    go_on(&model, &output);
    let root = output.join("checkpoints");
    let newest = root.join("step-00000012/optimizer.safetensors");
    let mut bytes = fs::read(&newest).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&newest, &bytes).unwrap();
    fs::write(root.join("step-00000010/model.safetensors"), b"short").unwrap();
    let found = checkpoint::latest(&root).unwrap();
    assert_eq!(found.checkpoint.step, 8);
    assert!(found.rejected[0].contains("optimizer.safetensors") && found.rejected[0].contains("SHA-256"));
    assert!(found.rejected[1].contains("model.safetensors") && found.rejected[1].contains("5 bytes"));
    // What the resumed run writes stays, though the damaged ones have higher numbers.
    let options = RunOptions {
        companions: &stop_at_ten,
        ..RunOptions::new(&output)
    };
    let config = TrainConfig {
        checkpoint_every: 1,
        keep_checkpoints: 2,
        ..recipe(12)
    };
    let mut source = MemoryRows::new(rows());
    let mut trainer = Trainer::<B>::resume(&found.checkpoint, config, &Default::default(), &mut source).unwrap();
    trainer.run(&mut source, &[], &options, &mut ()).unwrap_err();
    let found = checkpoint::latest(&root).unwrap();
    assert_eq!((found.checkpoint.step, found.rejected), (9, Vec::new()));
    checkpoint::remove_partial(&root).unwrap();
    assert_eq!(
        names(&root),
        BTreeSet::from([8, 9].map(|step| format!("step-{step:08}")))
    );

    fs::remove_dir_all(root.join("step-00000009")).unwrap();
    fs::remove_file(root.join("step-00000008/manifest.json")).unwrap();
    assert!(
        checkpoint::latest(&root)
            .unwrap_err()
            .to_string()
            .contains("manifest.json")
    );
}

/// Not a test: what [`killed_while_saving`] starts and kills.
#[test]
fn child() {
    if let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) {
        go_on(&folder.join("model"), &folder.join("killed"));
    }
}

#[test]
fn killed_while_saving() {
    let room = tempfile::tempdir().unwrap();
    let (model, whole, killed) = (
        room.path().join("model"),
        room.path().join("whole"),
        room.path().join("killed"),
    );
    draw(&model, FeedForwardKind::GatedRational);
    go_on(&model, &whole);
    let root = killed.join("checkpoints");
    let mut halves = 0;
    for attempt in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "resume::child", "--test-threads", "1"])
            .env(CHILD, room.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Kill at another moment of the writing each time, twice as late as before, so that the run advances.
        let seen = wait_for_partial(&root, &mut child);
        std::thread::sleep(Duration::from_micros(50 << attempt));
        if seen && child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
        }
        child.wait().unwrap();
        halves += usize::from(seen && half_written(&root));
    }
    assert!(
        halves >= 2,
        "only {halves} runs were killed in the middle of writing a checkpoint"
    );
    go_on(&model, &killed);
    assert_same(&killed, &whole);
    let left = names(&killed.join("checkpoints"));
    assert!(left.iter().all(|name| name.starts_with("step-")), "{left:?}");
}

/// Whether part of a checkpoint stands there. A whole one has left the partial folder, which may stay behind empty.
fn half_written(root: &Path) -> bool {
    let steps = names(root)
        .into_iter()
        .filter(|name| name.starts_with(".partial-step-"));
    let mut inner = steps.map(|name| root.join(&name).join(name.replace(".partial-", "")));
    inner.any(|folder| folder.exists())
}

/// Waits until a new partial folder appears; false when the child ended first.
fn wait_for_partial(root: &Path, child: &mut std::process::Child) -> bool {
    let partial = || -> Option<PathBuf> {
        let entries = fs::read_dir(root).ok()?.flatten().map(|entry| entry.path());
        entries
            .into_iter()
            .find(|path| path.to_string_lossy().contains(".partial-step"))
    };
    let (stale, start) = (partial(), Instant::now());
    // The child removes what the last kill left before it writes its own.
    let mut cleared = stale.is_none();
    while start.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none() {
        match partial() {
            None => cleared = true,
            Some(_) if cleared => return true,
            Some(_) => {}
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    false
}

/// Conversations of the same shape, from this number on.
fn numbered_rows(first: usize) -> ConversationRows {
    let message = |role: &str, content: String| Message {
        role: role.to_owned(),
        content,
    };
    let conversation = |number: usize| Conversation {
        messages: vec![
            message("user", format!("{number}?")),
            message("assistant", format!("{}.", number % 7)),
        ],
        source: None,
    };
    let source = Source::from_conversations((first..first + 40).map(conversation).collect());
    let config = LoaderConfig {
        sequence_length: 64,
        packing: Packing::None,
        system: SystemPrompt::None,
        buffer: 8,
        ..LoaderConfig::default()
    };
    ConversationRows::new(source, ChatTokenizer::byte_level().unwrap(), config).unwrap()
}

/// Other data may well be long enough for the place, which means nothing there.
#[test]
fn a_place_in_another_data_set_is_refused() {
    for taken in [1, 13, 43] {
        let mut read = numbered_rows(100);
        read.next_rows(taken).unwrap();
        // By way of a checkpoint's JSON.
        let place = serde_json::from_str(&read.position().unwrap().to_string()).unwrap();
        let mut same = numbered_rows(100);
        same.resume(&place).unwrap();
        assert_eq!(same.next_rows(9).unwrap(), read.next_rows(9).unwrap());
        let error = numbered_rows(500).resume(&place).unwrap_err();
        assert!(
            matches!(&error, TrainError::Data(DataError::PositionData { .. })),
            "{error}"
        );
        assert!(error.to_string().contains("data position"), "{error}");
    }
}

#[test]
fn moments_that_do_not_fit_are_named() {
    let room = tempfile::tempdir().unwrap();
    draw(room.path(), FeedForwardKind::SwiGlu);
    let mut trainer = start(room.path());
    trainer
        .step(&[Batch::from_rows(&rows()[..2], &Default::default()).unwrap()])
        .unwrap();
    let whole = trainer.optimizer().to_tensors();
    let restored = |updates, tensors: &BTreeMap<String, TensorData>| {
        let config = trainer.config().optimizer.clone();
        AdamW::from_tensors(config, updates, tensors.clone(), trainer.model(), &Default::default())
    };
    let (first, second) = ("model.norm.weight.first_moment", "model.norm.weight.second_moment");
    assert!(restored(1, &whole).unwrap().to_tensors() == whole);
    restored(0, &BTreeMap::new()).unwrap();
    let without = |names: &[&str]| {
        let mut tensors = whole.clone();
        tensors.retain(|name, _| !names.contains(&name.as_str()));
        tensors
    };
    let with = |name: &str, length: usize| {
        let mut tensors = whole.clone();
        tensors.insert(name.to_owned(), TensorData::zeros::<f32, _>([length]));
        tensors
    };
    let width = trainer.model_config().hidden_size;
    for (wrong, expected) in [
        (without(&[first]), "only [\".second_moment\"] of model.norm.weight"),
        (without(&[second]), "only [\".first_moment\"] of model.norm.weight"),
        (without(&[first, second]), "only [] of model.norm.weight"),
        (with("model.norm.weight.master", width), "which is F32"),
        (
            with(second, width + 1),
            "model.norm.weight.second_moment of shape [33] for a parameter of shape [32]",
        ),
        (
            with("model.nrom.weight.first_moment", width),
            "model.nrom.weight.first_moment, which belongs to no parameter",
        ),
    ] {
        let error = restored(1, &wrong).unwrap_err();
        assert!(matches!(error, TrainError::OptimizerState { .. }));
        assert!(error.to_string().contains(expected), "{expected}: {error}");
    }
}
