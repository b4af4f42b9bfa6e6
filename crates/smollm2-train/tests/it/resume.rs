//! A run that is interrupted ends as one that is not.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use burn::tensor::TensorData;
use smollm2_model::FeedForwardKind;
use smollm2_train::{
    AdamW, Batch, MemoryRows, MetricRecord, RowSource, RunOptions, TrainError, checkpoint, read_metrics,
};
use smoltalk_data::{
    ChatTokenizer, Conversation, DataError, DataLoader, LoaderConfig, Message, Packing, Source, SystemPrompt,
};

use crate::small_run::{draw, go_on, go_on_with, names, rows, start, stop_at_eight};

/// Set for the child process: the folder it trains into.
const CHILD: &str = "SMOLLM2_TRAIN_TEST_CHILD";

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
    let records = |root: &Path| -> Vec<MetricRecord> {
        let mut metrics = read_metrics(&root.join("metrics.jsonl")).unwrap();
        for metric in &mut metrics {
            if let MetricRecord::Train(record) = metric {
                (record.seconds, record.mfu) = (0.0, None);
            }
        }
        metrics
    };
    assert_eq!(records(found), records(expected), "the records of the steps");
    assert!(fs::read_to_string(found.join("loss.svg")).unwrap().contains("<svg"));
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

/// Not a test: what [`killed_while_saving`] starts and kills.
#[test]
fn child() {
    if let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) {
        let options = RunOptions {
            companions: &linger,
            ..RunOptions::new(folder.join("killed"))
        };
        go_on_with(&folder.join("model"), &options);
    }
}

/// Gives the parent time to see that a checkpoint is being written.
fn linger(_: &Path) -> Result<(), TrainError> {
    std::thread::sleep(Duration::from_millis(20));
    Ok(())
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
        std::thread::sleep(Duration::from_millis(1 << attempt));
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
fn numbered_rows(first: usize) -> DataLoader {
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
        system_prompt: SystemPrompt::None,
        buffer: 8,
        ..LoaderConfig::default()
    };
    DataLoader::new(source, ChatTokenizer::byte_level().unwrap(), config).unwrap()
}

/// Other data may well be long enough for the place, which means nothing there.
#[test]
fn a_place_in_another_data_set_is_refused() {
    for taken in [1, 13, 43] {
        let mut read = numbered_rows(100);
        read.next_rows(taken).unwrap();
        // By way of a checkpoint's JSON.
        let place = serde_json::from_str(&RowSource::position(&read).unwrap().to_string()).unwrap();
        let mut same = numbered_rows(100);
        RowSource::seek(&mut same, &place).unwrap();
        assert_eq!(same.next_rows(9).unwrap(), read.next_rows(9).unwrap());
        let error = RowSource::seek(&mut numbered_rows(500), &place).unwrap_err();
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
    let width = trainer.model().config().hidden_size;
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
