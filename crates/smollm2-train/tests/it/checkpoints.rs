//! What makes a checkpoint complete, and what is left when one is replaced.

use std::{fs, path::Path};

use burn::backend::{Autodiff, Flex};
use serde_json::{Value, json};
use smollm2_model::FeedForwardKind;
use smollm2_train::{Batch, MemoryRows, RunOptions, RunOrigin, RunState, TrainConfig, TrainError, Trainer, checkpoint};

use crate::small_run::{draw, recipe, rows, start};

type B = Autodiff<Flex>;

/// A trainer that has made one step, and options that write below `room`.
fn one_step(room: &Path) -> (Trainer<B>, RunOptions<'static>) {
    let model = room.join("model");
    draw(&model, FeedForwardKind::GatedRational);
    let mut trainer = start(&model);
    let batch = Batch::from_rows(&rows()[..2], &Default::default()).unwrap();
    trainer.step(&[batch]).unwrap();
    (trainer, RunOptions::new(room.join("run")))
}

fn state(step: usize, position: u64) -> RunState {
    RunState {
        step,
        position: position.into(),
    }
}

/// Changes the manifest of a checkpoint.
fn edit(folder: &Path, change: impl FnOnce(&mut Value)) {
    let path = folder.join("manifest.json");
    let mut manifest = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    fs::write(&path, manifest.to_string()).unwrap();
}

fn entry() -> Value {
    json!({ "bytes": 0, "sha256": "" })
}

/// What the error names, and a change of the manifest that gives it.
type Change = (&'static str, fn(&mut Value));

#[test]
fn a_manifest_names_every_needed_file_and_none_elsewhere() {
    let room = tempfile::tempdir().unwrap();
    let (trainer, options) = one_step(room.path());
    let folder = trainer.save(&state(1, 2), &options).unwrap();
    checkpoint::verify(&folder).unwrap();
    let whole = fs::read(folder.join("manifest.json")).unwrap();
    let changes: [Change; 7] = [
        ("an entry for model.safetensors", |manifest| *manifest = json!({})),
        ("an entry for optimizer.safetensors", |manifest| {
            manifest.as_object_mut().unwrap().remove("optimizer.safetensors");
        }),
        ("an entry for state.json", |manifest| {
            manifest.as_object_mut().unwrap().remove("state.json");
        }),
        ("/dev/zero", |manifest| manifest["/dev/zero"] = entry()),
        ("../model/config.json", |manifest| {
            manifest["../model/config.json"] = entry()
        }),
        ("./config.json", |manifest| manifest["./config.json"] = entry()),
        ("\"\"", |manifest| manifest[""] = entry()),
    ];
    for (text, change) in changes {
        edit(&folder, change);
        let error = checkpoint::verify(&folder).unwrap_err().to_string();
        assert!(
            error.contains("manifest.json") && error.contains(text),
            "{text}: {error}"
        );
        fs::write(folder.join("manifest.json"), &whole).unwrap();
    }
    checkpoint::verify(&folder).unwrap();
    fs::remove_file(folder.join("config.json")).unwrap();
    fs::create_dir(folder.join("config.json")).unwrap();
    let error = checkpoint::verify(&folder).unwrap_err().to_string();
    assert!(error.contains("config.json: expected a file"), "{error}");
}

#[test]
fn a_checkpoint_that_is_replaced_counts_until_the_new_one_is_in_place() {
    let room = tempfile::tempdir().unwrap();
    let (trainer, options) = one_step(room.path());
    let root = options.checkpoints();
    trainer.save(&state(1, 2), &options).unwrap();
    let position = || {
        let newest = checkpoint::latest(&root).unwrap().checkpoint;
        Trainer::<B>::load(&newest, recipe(12), &Default::default())
            .unwrap()
            .1
            .position
    };
    // A failure while the new one is written leaves the old one alone.
    let failing = RunOptions {
        companions: &|folder| {
            Err(TrainError::Io {
                action: "write",
                path: folder.to_owned(),
                source: std::io::Error::other("no space left"),
            })
        },
        ..options.clone()
    };
    trainer.save(&state(1, 3), &failing).unwrap_err();
    assert_eq!(position(), 2);
    // Killed between the two renames: only the old one is there, under its other name.
    let (place, aside) = (root.join("step-00000001"), root.join(".replaced-step-00000001"));
    fs::rename(&place, &aside).unwrap();
    assert_eq!(position(), 2);
    checkpoint::remove_partial(&root).unwrap();
    assert!(place.exists() && !aside.exists());
    // Killed after both renames: the new one counts, and the next one to write removes the old one.
    trainer.save(&state(1, 4), &options).unwrap();
    assert_eq!(position(), 4);
    assert!(!aside.exists());
    copy(&place, &aside);
    edit(&aside, |manifest| *manifest = json!({}));
    assert_eq!(position(), 4);
    trainer.save(&state(1, 5), &options).unwrap();
    assert_eq!(position(), 5);
    assert!(!aside.exists());
    // The new one is damaged: the old one counts, and gets its name back.
    copy(&place, &aside);
    edit(&place, |manifest| *manifest = json!({}));
    assert_eq!(position(), 5);
    checkpoint::remove_partial(&root).unwrap();
    assert!(!aside.exists());
    assert_eq!(position(), 5);
    assert_eq!(checkpoint::list(&root).unwrap().len(), 1);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// safetensors writes files that only their owner may read; a checkpoint is readable by anyone who can read its folder.
#[cfg(unix)]
#[test]
fn all_files_have_the_permissions_of_new_files() {
    use std::os::unix::fs::PermissionsExt;
    let room = tempfile::tempdir().unwrap();
    let (trainer, options) = one_step(room.path());
    let folder = trainer.save(&state(1, 2), &options).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
    let new = room.path().join("new");
    fs::write(&new, "").unwrap();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), mode(&new), "{}", path.display());
    }
}

/// The output folder says from the first step on what is being made there, and so does every checkpoint.
#[test]
fn recipe_and_record_are_in_the_output_and_in_every_checkpoint() {
    let room = tempfile::tempdir().unwrap();
    let (trainer, options) = one_step(room.path());
    let options = RunOptions {
        origin: RunOrigin {
            model: "owner/model".to_owned(),
            data: "train.jsonl".to_owned(),
            held_out: "share 0.05".to_owned(),
            device: "cpu".to_owned(),
        },
        ..options
    };
    let mut broken = MemoryRows::new(Vec::new());
    let mut fresh = Trainer::new(trainer.model().clone(), recipe(4)).unwrap();
    fresh.run(&mut broken, &[], &options, &mut ()).unwrap_err();
    let read = |folder: &Path, file: &str| fs::read_to_string(folder.join(file)).unwrap();
    let written = read(&options.output, "train.toml");
    assert_eq!(&TrainConfig::from_toml(&written).unwrap(), fresh.config());
    let record = read(&options.output, "run.json");
    for text in [
        "\"version\": \"0.1.0\"",
        "\"model\": \"owner/model\"",
        "\"data\": \"train.jsonl\"",
        "\"held_out\": \"share 0.05\"",
        "\"device\": \"cpu\"",
        "\"gated_rational\"",
        "\"dtype\": \"float32\"",
    ] {
        assert!(record.contains(text), "{text}: {record}");
    }
    fresh.run(&mut MemoryRows::new(rows()), &[], &options, &mut ()).unwrap();
    let newest = checkpoint::latest(&options.checkpoints()).unwrap().checkpoint;
    assert_eq!(&newest.recipe().unwrap(), fresh.config());
    assert_eq!(newest.record().unwrap(), Some(fresh.record(&options.origin)));
    assert_eq!(read(&newest.folder, "run.json"), record);
    fs::remove_file(newest.folder.join("run.json")).unwrap();
    assert_eq!(newest.record().unwrap(), None, "a checkpoint of an older version");
}
