//! The folder of a run: who may write into it, and what is left of what was written.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::Path,
};

use burn::backend::{Autodiff, Flex};
use smollm2_model::FeedForwardKind;
use smollm2_train::{MemoryRows, RunOptions, TrainConfig, TrainError, TrainObserver, Trainer, checkpoint};

use crate::small_run::{draw, full_disk, go_on, names, recipe, rows, start, stop_at_eight};

type B = Autodiff<Flex>;

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

/// A run replaces files of these names.
#[test]
fn files_that_no_run_has_written_are_refused_and_stay() {
    let room = tempfile::tempdir().unwrap();
    let (model, output) = (room.path().join("model"), room.path().join("run"));
    draw(&model, FeedForwardKind::SwiGlu);
    fs::create_dir(&output).unwrap();
    let run = || start(&model).run(&mut MemoryRows::new(rows()), &[], &RunOptions::new(&output), &mut ());
    for name in ["train.toml", "run.json", "metrics.jsonl", "loss.svg"] {
        let path = output.join(name);
        fs::write(&path, "# my own").unwrap();
        let error = run().unwrap_err();
        assert!(
            matches!(&error, TrainError::ForeignFile { path: found } if *found == path),
            "{error}"
        );
        assert!(
            error.to_string().contains(name) && error.to_string().contains("move"),
            "{error}"
        );
        assert_eq!(names(&output), BTreeSet::from([name.to_owned()]));
        assert_eq!(fs::read_to_string(&path).unwrap(), "# my own");
        fs::remove_file(&path).unwrap();
    }
    fs::write(output.join("notes.txt"), "mine").unwrap();
    run().unwrap();
}

/// A run that was killed before its first checkpoint starts again in its folder.
#[test]
fn metrics_of_a_run_without_checkpoints_are_kept() {
    let room = tempfile::tempdir().unwrap();
    let (model, output) = (room.path().join("model"), room.path().join("run"));
    draw(&model, FeedForwardKind::SwiGlu);
    let metrics = || fs::read(output.join("metrics.jsonl")).unwrap();
    for number in 1..=2 {
        go_on(&model, &output);
        let before = metrics();
        fs::remove_dir_all(output.join("checkpoints")).unwrap();
        go_on(&model, &output);
        fs::remove_dir_all(output.join("checkpoints")).unwrap();
        let earlier = output.join(format!("metrics.earlier-{}.jsonl", 2 * number - 1));
        assert_eq!(fs::read(earlier).unwrap(), before);
    }
}

/// Two runs can write into one folder where the file system has no locks, and a program can save without a run.
#[test]
fn a_save_removes_only_damaged_checkpoints_beyond_it() {
    let room = tempfile::tempdir().unwrap();
    let (model, output) = (room.path().join("model"), room.path().join("run"));
    draw(&model, FeedForwardKind::SwiGlu);
    go_on(&model, &output);
    let options = RunOptions::new(&output);
    let found = checkpoint::list(&options.checkpoints()).unwrap();
    let steps: Vec<usize> = found.iter().map(|checkpoint| checkpoint.step).collect();
    assert_eq!(steps, [8, 10, 12]);
    let (trainer, state) = Trainer::<B>::load(&found[0], recipe(12), &Default::default()).unwrap();
    fs::write(found[1].folder.join("model.safetensors"), "short").unwrap();
    trainer.save(&state, &options).unwrap();
    let left = [8, 12].map(|step| format!("step-{step:08}"));
    assert_eq!(names(&options.checkpoints()), BTreeSet::from(left));
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

/// A model is saved by way of a folder next to its own: when that stays, it must stay inside the partial one.
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
