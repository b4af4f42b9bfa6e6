//! A run that is interrupted ends as one that is not.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use burn::backend::{Autodiff, Flex};
use burn::tensor::TensorData;
use smollm2_model::{SmolLm2Config, weights};
use smollm2_train::{
    AdamW, AdamWConfig, MemoryRows, Metric, RunOptions, TrainConfig, TrainError, Trainer, checkpoint, read_metrics,
};
use smoltalk_data::PackedRow;

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

pub(crate) fn draw(folder: &Path) {
    let mut config = SmolLm2Config::smollm2_135m();
    (config.vocab_size, config.hidden_size, config.intermediate_size) = (96, 32, 48);
    (config.num_attention_heads, config.num_key_value_heads, config.head_dim) = (2, 1, 16);
    config.num_hidden_layers = 2;
    (config.bos_token_id, config.eos_token_ids, config.pad_token_id) = (Some(1), vec![2], Some(2));
    config.feed_forward.truncate(2);
    weights::save(&config.init::<Flex>(&Default::default()).unwrap(), &config, folder).unwrap();
}

/// Trains in `output` to the end, from a checkpoint where there is one.
fn go_on(model: &Path, output: &Path) -> Trainer<B> {
    let (mut source, options) = (MemoryRows::new(rows()), RunOptions::new(output));
    let resumed = Trainer::resume(recipe(12), &Default::default(), &mut source, &options, &mut ());
    let mut trainer = match resumed {
        Err(TrainError::NoCheckpoint { .. }) => start(model),
        other => other.unwrap(),
    };
    trainer.run(&mut source, &rows()[..3], &options, &mut ()).unwrap();
    trainer
}

/// Everything a run leaves, without its timings.
fn assert_same(found: &Path, expected: &Path) {
    let folder = |root: &Path| root.join("checkpoints/step-00000012");
    for file in ["model.safetensors", "optimizer.safetensors", "state.json", "train.toml"] {
        let read = |root: &Path| fs::read(folder(root).join(file)).unwrap();
        assert!(read(found) == read(expected), "{file} differs");
    }
    let losses = |root: &Path| -> Vec<(usize, u64)> {
        let metrics = read_metrics(&root.join("metrics.jsonl")).unwrap();
        let loss = |metric: &Metric| match metric {
            Metric::Train(record) => (record.step, record.loss.to_bits() ^ record.gradient_norm.to_bits()),
            Metric::Eval(record) => (record.step, record.loss.to_bits()),
        };
        metrics.iter().map(loss).collect()
    };
    assert_eq!(losses(found), losses(expected), "the records of the steps");
    assert!(fs::read_to_string(found.join("loss.svg")).unwrap().contains("<svg"));
}

#[test]
fn n_and_n_steps_are_2n() {
    let room = tempfile::tempdir().unwrap();
    let (model, whole, halves) = (
        room.path().join("model"),
        room.path().join("whole"),
        room.path().join("halves"),
    );
    draw(&model);
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

/// Checkpoints of an earlier run would count as newer than those of this one.
#[test]
fn a_run_from_the_first_step_refuses_a_used_folder() {
    let room = tempfile::tempdir().unwrap();
    let (model, output) = (room.path().join("model"), room.path().join("run"));
    draw(&model);
    go_on(&model, &output);
    let options = RunOptions::new(&output);
    let before = fs::read(output.join("metrics.jsonl")).unwrap();
    let error = start(&model)
        .run(&mut MemoryRows::new(rows()), &[], &options, &mut ())
        .unwrap_err();
    assert!(matches!(&error, TrainError::UsedFolder { step: 12, .. }), "{error}");
    assert!(
        error.to_string().contains("checkpoints") && error.to_string().contains("resume"),
        "{error}"
    );
    assert_eq!(fs::read(output.join("metrics.jsonl")).unwrap(), before);
    assert_eq!(checkpoint::latest(&options.checkpoints()).unwrap().checkpoint.step, 12);
}

/// Fails the checkpoint of step 8, as a full disk would.
fn stop_at_eight(folder: &Path) -> Result<(), TrainError> {
    if folder.ends_with(".partial-step-00000008") {
        let source = std::io::Error::other("no space left");
        return Err(TrainError::Io {
            action: "write",
            path: folder.to_owned(),
            source,
        });
    }
    Ok(())
}

#[test]
fn damaged_checkpoints_are_named_and_passed_over() {
    let room = tempfile::tempdir().unwrap();
    let (model, output) = (room.path().join("model"), room.path().join("run"));
    draw(&model);
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
    draw(&model);
    go_on(&model, &whole);
    let mut kills = 0;
    for attempt in 0..8u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "resume::child", "--test-threads", "1"])
            .env(CHILD, room.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Kill at another moment of the writing each time; later and later, so that the run advances.
        let seen = wait_for_partial(&killed.join("checkpoints"), &mut child);
        std::thread::sleep(Duration::from_micros(700 * attempt * (attempt % 3 + 1)));
        if seen && child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            kills += 1;
        }
        child.wait().unwrap();
    }
    assert!(
        kills >= 3,
        "only {kills} runs were killed while they wrote a checkpoint"
    );
    go_on(&model, &killed);
    assert_same(&killed, &whole);
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

#[test]
fn moments_that_fit_no_parameter_are_named() {
    let room = tempfile::tempdir().unwrap();
    draw(room.path());
    let trainer = start(room.path());
    let restored = |name: &str, shape: &[usize]| {
        let zeros = TensorData::zeros::<f32, _>(shape.to_vec());
        let tensors = [".first_moment", ".second_moment"].map(|part| (format!("{name}{part}"), zeros.clone()));
        let config = trainer.config().optimizer.clone();
        AdamW::from_tensors(config, 1, tensors.into(), trainer.model(), &Default::default())
    };
    let width = trainer.model_config().hidden_size;
    restored("model.norm.weight", &[width]).unwrap();
    let error = restored("model.norm.weight", &[width + 1]).unwrap_err();
    assert!(
        error.contains("model.norm.weight.first_moment") && error.contains(&format!("[{width}]")),
        "{error}"
    );
    let error = restored("model.nrom.weight", &[width]).unwrap_err();
    assert!(
        error.contains("model.nrom.weight") && error.contains("belongs to no parameter"),
        "{error}"
    );
}
