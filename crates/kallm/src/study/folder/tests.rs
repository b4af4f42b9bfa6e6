use super::*;
use crate::files::tests::names;
use llm_bench::report::Run;
use serde_json::json;

fn settings(steps: usize, rate: f64, program: &str) -> Value {
    json!({
        "plan": { "recipe": { "steps": steps, "rate": rate } },
        "device": "cpu",
        "data": { "held_out": format!("of {steps}") },
        "program": { "sha256": program },
    })
}

fn settle(folder: &StudyFolder, settings: &Value) -> Result<bool> {
    folder.settle(&StudyPlan::synthetic(), settings)
}

/// The message with which settings are refused.
fn refused(folder: &StudyFolder, settings: &Value) -> String {
    settle(folder, settings).unwrap_err().to_string()
}

#[test]
fn the_first_difference_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let ours = StudyFolder::lock(folder.path(), false).unwrap();
    settle(&ours, &settings(3, 3e-3, "a")).unwrap();
    settle(&ours, &settings(3, 3e-3, "a")).unwrap();
    // What a flag sets, before the digests that follow from it and before another build.
    let error = refused(&ours, &settings(4, 3e-3, "b"));
    assert!(error.contains("recipe.steps is 3 there and 4"), "{error}");
    let mut without = settings(3, 3e-3, "a");
    without["plan"] = json!({ "recipe": { "steps": 3 } });
    let error = refused(&ours, &without);
    assert!(error.contains("recipe.rate is 0.003 there and null"), "{error}");
    let error = refused(&ours, &settings(3, 3e-3, "b"));
    assert!(error.contains("another build of this program"), "{error}");
    // Merging needs the plan alone to be the same.
    ours.check_plan(&settings(3, 3e-3, "b")["plan"]).unwrap();
    let error = ours
        .check_plan(&settings(4, 3e-3, "a")["plan"])
        .unwrap_err()
        .to_string();
    assert!(error.contains("recipe.steps is 3 there and 4"), "{error}");
}

/// A folder with a finished cell, one in progress, and files of somebody else.
fn finished_study(root: &Path) {
    let folder = StudyFolder::lock(root, false).unwrap();
    settle(&folder, &settings(3, 3e-3, "a")).unwrap();
    for file in [
        "swiglu/seed-1/outcome.json",
        "swiglu/seed-1/model/config.json",
        "swiglu/seed-1/metrics.damaged-2.jsonl",
        "swiglu/seed-1.lock",
        "swiglu/seed-2.partial/metrics.jsonl",
        "synthetic/seed-1/train.jsonl",
        "tokenizer/tokenizer.json",
        "report.html",
        "notes/mine.txt",
    ] {
        write_whole(&root.join(file), "{}").unwrap();
    }
}

#[test]
fn a_replaced_study_leaves_nothing_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    finished_study(folder.path());
    let ours = StudyFolder::lock(folder.path(), true).unwrap();
    // Nothing to replace: the settings are the same.
    assert!(!settle(&ours, &settings(3, 3e-3, "a")).unwrap());
    assert!(folder.path().join("swiglu/seed-1/model/config.json").exists());
    assert!(settle(&ours, &settings(4, 3e-3, "a")).unwrap());
    assert_eq!(names(folder.path()), ["notes", PLAN, SETTINGS, LOCK]);
    assert!(folder.path().join("notes/mine.txt").exists());
    assert!(!settle(&ours, &settings(4, 3e-3, "a")).unwrap());
}

#[test]
fn nothing_is_replaced_where_something_was_added() {
    for (added, place) in [
        ("swiglu/seed-1/converted/config.json", "converted"),
        ("swiglu/mine.txt", "mine.txt"),
        ("synthetic/mine.jsonl", "mine.jsonl"),
        ("synthetic/seed-1/mine.jsonl", "mine.jsonl"),
        ("tokenizer/mine.json", "mine.json"),
        ("mine/seed-7/model/config.json", "seed-7"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        finished_study(folder.path());
        write_whole(&folder.path().join(added), "{}").unwrap();
        let ours = StudyFolder::lock(folder.path(), true).unwrap();
        let before = names(folder.path());
        let error = refused(&ours, &settings(4, 3e-3, "a"));
        assert!(error.contains(place), "{error}");
        assert_eq!(names(folder.path()), before);
        assert!(folder.path().join("swiglu/seed-1/model/config.json").exists());
        assert!(folder.path().join("swiglu/seed-2.partial/metrics.jsonl").exists());
        settle(&ours, &settings(3, 3e-3, "a")).unwrap();
    }
}

#[test]
fn a_folder_without_permission_to_replace_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    finished_study(folder.path());
    for ours in [StudyFolder::lock, |root: &Path, _| StudyFolder::share(root)] {
        let ours = ours(folder.path(), false).unwrap();
        refused(&ours, &settings(4, 3e-3, "a"));
        assert!(folder.path().join("swiglu/seed-1/model/config.json").exists());
    }
}

#[test]
fn settings_that_were_never_finished_are_not_foreign() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("study.json.partial-a1B2c3"), "{").unwrap();
    let ours = StudyFolder::lock(folder.path(), false).unwrap();
    settle(&ours, &settings(3, 3e-3, "a")).unwrap();
}

#[test]
fn a_foreign_folder_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("swiglu")).unwrap();
    for result in [
        StudyFolder::lock(folder.path(), true),
        StudyFolder::share(folder.path()),
    ] {
        let error = result.err().unwrap().to_string();
        assert!(error.contains("swiglu"), "{error}");
    }
    assert_eq!(children(folder.path()).unwrap().len(), 1);
}

#[test]
fn one_process_has_a_folder_for_itself_or_several_share_it() {
    let folder = tempfile::tempdir().unwrap();
    let held = StudyFolder::lock(folder.path(), false).unwrap();
    assert!(matches!(
        StudyFolder::lock(folder.path(), false),
        Err(KallmError::Busy { .. })
    ));
    assert!(matches!(
        StudyFolder::share(folder.path()),
        Err(KallmError::Busy { .. })
    ));
    drop(held);
    let (one, other) = (
        StudyFolder::share(folder.path()).unwrap(),
        StudyFolder::share(folder.path()).unwrap(),
    );
    assert!(matches!(
        StudyFolder::lock(folder.path(), true),
        Err(KallmError::Busy { .. })
    ));
    let plan = StudyPlan::synthetic();
    let cells = plan.cells();
    let _first = one.cell(&cells[0]).unwrap();
    assert!(matches!(other.cell(&cells[0]), Err(KallmError::Busy { .. })));
    other.cell(&cells[1]).unwrap();
}

/// What a finished cell leaves, with nothing measured.
fn record(cell: &Cell<'_>) -> CellRecord {
    CellRecord {
        variant: cell.variant.clone(),
        parameters: 7,
        run: Run {
            seed: cell.seed,
            tokens_per_second: None,
            held_out_loss: None,
            curve: Vec::new(),
            held_out_curve: Vec::new(),
            tasks: Vec::new(),
        },
        trained_on: Value::Null,
        functions: Vec::new(),
    }
}

#[test]
fn a_cell_is_finished_whole_and_only_once() {
    let folder = tempfile::tempdir().unwrap();
    let ours = StudyFolder::share(folder.path()).unwrap();
    let mut plan = StudyPlan::synthetic();
    let cell = plan.cells()[1];
    assert_eq!(ours.state(&cell), CellState::Waiting);
    let place = ours.cell(&cell).unwrap();
    let work = place.begin(cell.variant).unwrap();
    std::fs::write(work.join("metrics.jsonl"), "{}").unwrap();
    assert_eq!(ours.state(&cell), CellState::Begun);
    // What is left of the same cell stays; of another one of its name it goes.
    assert_eq!(place.begin(cell.variant).unwrap(), work);
    assert!(work.join("metrics.jsonl").exists());
    place.begin(plan.cells()[0].variant).unwrap();
    assert!(!work.join("metrics.jsonl").exists());
    assert!(ours.record(&cell).unwrap().is_none());
    place.finish(&record(&cell)).unwrap();
    assert_eq!((ours.state(&cell), work.exists()), (CellState::Finished, false));
    assert_eq!(ours.record(&cell).unwrap().unwrap().parameters, 7);
    plan.variants[1].feed_forward = smollm2_model::FeedForwardKind::GroupKan;
    let error = ours.record(&plan.cells()[1]).unwrap_err().to_string();
    assert!(error.contains("GroupKan"), "{error}");
}

#[test]
fn a_folder_that_took_a_cells_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ours = StudyFolder::share(folder.path()).unwrap();
    let plan = StudyPlan::synthetic();
    let cell = plan.cells()[0];
    assert!(ours.record(&cell).unwrap().is_none());
    std::fs::create_dir_all(folder.path().join("swiglu/seed-1")).unwrap();
    assert!(ours.record(&cell).is_err());
}

#[test]
fn an_interrupted_cell_whose_variant_cannot_be_read_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let study = StudyFolder::share(folder.path()).unwrap();
    let plan = StudyPlan::synthetic();
    let cells = plan.cells();
    let place = study.cell(&cells[0]).unwrap();
    let work = place.begin(cells[0].variant).unwrap();
    let checkpoint = work.join("checkpoints/step-00000001/state.json");
    write_whole(&checkpoint, "{}").unwrap();
    fs::write(work.join("cell.json"), "damaged").unwrap();
    let error = place.begin(cells[0].variant).unwrap_err().to_string();
    assert!(error.contains("cell.json") && checkpoint.is_file(), "{error}");
}
