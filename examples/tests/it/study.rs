//! A study in pieces: cells in processes of their own, killed and resumed, then merged.

use crate::{example, stderr, stdout, uniform_model, wait_until};
use fixtures::shared;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The plan of seconds, with other seeds and steps; two variants.
fn plan(folder: &Path, seeds: &str, steps: usize) -> PathBuf {
    let text = include_str!("../../../plans/small.toml");
    let text = text.replace("seeds = [1, 2]", &format!("seeds = {seeds}"));
    let text = text.replace("\nsteps = 8", &format!("\nsteps = {steps}"));
    written(folder, &text)
}

fn written(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("plan.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn study(plan: &Path, output: &Path, job: &[&str]) -> Command {
    let mut command = example("study");
    command
        .arg("--plan")
        .arg(plan)
        .arg("--output-path")
        .arg(output)
        .args(job);
    command
}

fn compare(plan: &Path, output: &Path) -> Command {
    let mut command = example("compare");
    command.arg("--plan").arg(plan).arg("--output-path").arg(output);
    command.arg("--report").arg(output.with_extension("html"));
    command
}

fn succeeds(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

/// The records of all cells, sorted by path, without what the clock decides.
fn records(output: &Path) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for variant in ["swiglu", "gated-rational", "group-kan"] {
        let Ok(cells) = std::fs::read_dir(output.join(variant)) else {
            continue;
        };
        let paths = cells.map(|cell| cell.unwrap().path().join("outcome.json"));
        for path in paths.filter(|path| path.is_file()) {
            let mut record: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            forget_times(&mut record["run"]);
            let name = path.strip_prefix(output).unwrap().display().to_string();
            found.push((name, record));
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found
}

fn forget_times(run: &mut Value) {
    run["tokens_per_second"] = Value::Null;
    for curve in ["curve", "held_out_curve"] {
        for point in run[curve].as_array_mut().unwrap() {
            point["seconds"] = Value::Null;
        }
    }
}

#[test]
fn cells_in_processes_of_their_own_end_as_one_process_does() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(folder.path(), "[1, 2, 3]", 4);
    let (whole, pieces) = (folder.path().join("whole"), folder.path().join("pieces"));
    succeeds(compare(&plan, &whole));
    // All at once: they settle the folder together.
    let cells: Vec<_> = (0..6)
        .map(|index| study(&plan, &pieces, &["--cell", &index.to_string()]))
        .collect();
    let running = cells
        .into_iter()
        .map(|mut cell| cell.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    for cell in running.collect::<Vec<_>>() {
        let ended = cell.wait_with_output().unwrap();
        assert!(ended.status.success(), "{}", stderr(&ended));
    }
    let (expected, found) = (records(&whole), records(&pieces));
    assert_eq!(found.len(), 6);
    assert_eq!(found, expected);
    let merged = succeeds(study(&plan, &pieces, &["--merge"]));
    assert!(merged.contains("gated-rational"), "{merged}");
    assert!(pieces.join("report.html").is_file());
    // What one process began another may read: the whole of it merges too.
    succeeds(study(&plan, &whole, &["--merge"]));
}

/// The step of the newest checkpoint; 0 where there is none.
fn newest(work: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(work.join("checkpoints")) else {
        return 0;
    };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let steps = names.filter_map(|name| name.strip_prefix("step-")?.parse().ok());
    steps.max().unwrap_or(0)
}

#[test]
fn a_cell_killed_at_any_moment_continues_and_ends_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(folder.path(), "[1]", 12);
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    succeeds(compare(&plan, &whole));
    let work = killed.join("swiglu/seed-1.partial");
    let finished = || killed.join("swiglu/seed-1").exists();
    // Before the first checkpoint, after some, after the last, and while the model is judged.
    let moments: [(&str, &dyn Fn() -> bool); 5] = [
        ("a step", &|| work.join("metrics.jsonl").exists()),
        ("a checkpoint", &|| newest(&work) >= 4),
        ("the last checkpoint", &|| newest(&work) == 12),
        ("the model", &|| work.join("model").exists()),
        ("an answer", &|| work.join("answers.jsonl").exists()),
    ];
    for (moment, reached) in moments {
        let mut cell = study(&plan, &killed, &["--cell", "0"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until(moment, || reached() || finished());
        cell.kill().unwrap(); // SIGKILL on Unix
        cell.wait().unwrap();
    }
    let was_finished = finished();
    let ended = study(&plan, &killed, &["--cell", "0"]).output().unwrap();
    assert!(ended.status.success(), "{}", stderr(&ended));
    assert_eq!(was_finished, stderr(&ended).contains("finished before"));
    let record = std::fs::read(killed.join("swiglu/seed-1/outcome.json")).unwrap();
    succeeds(study(&plan, &killed, &["--cell", "1"]));
    // A finished cell is not touched again.
    succeeds(study(&plan, &killed, &["--cell", "0"]));
    assert_eq!(
        std::fs::read(killed.join("swiglu/seed-1/outcome.json")).unwrap(),
        record
    );
    assert_eq!(records(&killed), records(&whole));
}

#[test]
fn a_folder_is_shared_by_cells_and_not_by_a_comparison() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, output) = (plan(folder.path(), "[1]", 2), folder.path().join("output"));
    std::fs::create_dir(&output).unwrap();
    let lock = std::fs::File::create(output.join("study.lock")).unwrap();
    lock.lock_shared().unwrap();
    let refused = compare(&plan, &output).output().unwrap();
    assert!(
        !refused.status.success() && stderr(&refused).contains("another process"),
        "{}",
        stderr(&refused)
    );
    succeeds(study(&plan, &output, &["--cell", "1"]));
    let missing = study(&plan, &output, &["--merge"]).output().unwrap();
    let message = stderr(&missing);
    assert!(
        !missing.status.success() && message.contains("without cell 0 (swiglu, seed 1)"),
        "{message}"
    );
    let taken = std::fs::File::create(output.join("swiglu/seed-1.lock")).or_else(|_| {
        std::fs::create_dir(output.join("swiglu"))?;
        std::fs::File::create(output.join("swiglu/seed-1.lock"))
    });
    let taken = taken.unwrap();
    taken.lock().unwrap();
    let busy = study(&plan, &output, &["--cell", "0"]).output().unwrap();
    assert!(
        !busy.status.success() && stderr(&busy).contains("seed-1.lock"),
        "{}",
        stderr(&busy)
    );
    drop(taken);
    let outside = study(&plan, &output, &["--cell", "2"]).output().unwrap();
    assert!(
        stderr(&outside).contains("from 0 to 1, found 2"),
        "{}",
        stderr(&outside)
    );
    drop(lock);
    let other = plan.with_file_name("other.toml");
    let text = std::fs::read_to_string(&plan).unwrap().replace("rows = 4", "rows = 2");
    std::fs::write(&other, text).unwrap();
    for job in [["--cell", "0"].as_slice(), &["--merge"]] {
        let other = study(&other, &output, job).output().unwrap();
        let message = stderr(&other);
        assert!(
            !other.status.success() && message.contains("eval_rows is 4 there and 2"),
            "{message}"
        );
    }
}

#[test]
fn plans_and_folders_that_are_not_what_they_should_be_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("output");
    for (text, place) in [
        ("seeds = [1", "plan.toml"),
        ("seeds = [1]\nsteps = 3", "steps"),
        (include_str!("../../../docs/deploy/study-job.yaml"), "plan.toml"),
    ] {
        let plan = written(folder.path(), text);
        for job in [["--dry-run"].as_slice(), &["--merge"], &["--cell", "0"]] {
            let refused = study(&plan, &output, job).output().unwrap();
            let message = stderr(&refused);
            assert!(!refused.status.success() && message.contains(place), "{message}");
            assert!(!message.contains("panicked"), "{message}");
        }
    }
    let plan = plan(folder.path(), "[1]", 2);
    let missing = study(&plan, &output, &["--merge"]).output().unwrap();
    assert!(!missing.status.success() && !output.exists(), "{}", stderr(&missing));
    std::fs::create_dir(&output).unwrap();
    std::fs::write(output.join("thesis.tex"), "mine").unwrap();
    for job in [["--merge"].as_slice(), &["--cell", "0"]] {
        let foreign = study(&plan, &output, job).output().unwrap();
        assert!(
            !foreign.status.success() && stderr(&foreign).contains("thesis.tex"),
            "{}",
            stderr(&foreign)
        );
    }
    assert_eq!(std::fs::read_dir(&output).unwrap().count(), 1);
}

#[test]
fn every_plan_of_the_repository_says_what_it_needs() {
    let plans = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plans");
    let folder = tempfile::tempdir().unwrap();
    for (plan, last, parts) in [
        ("seed-135m.toml", 8, ["838860800", "134515008"]),
        ("seed-360m.toml", 8, ["838860800", "361821120"]),
        ("seed-small.toml", 8, ["20480", "HuggingFaceTB"]),
        ("from-scratch.toml", 19, ["1998848", "3148224"]),
        ("small.toml", 3, ["4096", "synthetic_facts"]),
    ] {
        let text = succeeds(study(&plans.join(plan), folder.path(), &["--dry-run"]));
        let row = text
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("{last} ")));
        assert!(row.is_some_and(|row| row.ends_with("waiting")), "{plan}: {text}");
        for part in parts.iter().filter(|part| **part != "HuggingFaceTB") {
            assert!(text.contains(part), "{plan}: {part}: {text}");
        }
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing is written"
    );
}

/// docs/deploy/study-array.sh, with a stand-in for Slurm.
#[cfg(unix)]
#[test]
fn the_array_script_runs_a_cell_and_queues_it_again_after_a_signal() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (plan, output) = (plan(folder.path(), "[1]", 100_000), folder.path().join("output"));
    let requeue = folder.path().join("scontrol");
    std::fs::write(&requeue, "#!/bin/sh\necho \"$@\" > \"$0.called\"\n").unwrap();
    std::fs::set_permissions(&requeue, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/deploy/study-array.sh");
    let mut task = Command::new("bash");
    task.arg(script).arg(&plan).arg("--output-path").arg(&output);
    task.env("KALLM_STUDY", example("study").get_program())
        .env("PATH", path);
    task.envs([("SLURM_ARRAY_TASK_ID", "1"), ("SLURM_JOB_ID", "77")]);
    let running = task.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let work = output.join("gated-rational/seed-1.partial");
    wait_until("a checkpoint", || newest(&work) > 0);
    let signal = Command::new("kill").args(["-TERM", &running.id().to_string()]).status();
    assert!(signal.unwrap().success());
    let ended = running.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(143), "{}", stderr(&ended));
    assert!(
        stdout(&ended).contains("the same command continues"),
        "{}",
        stdout(&ended)
    );
    let called = std::fs::read_to_string(folder.path().join("scontrol.called")).unwrap();
    assert_eq!(called.trim(), "requeue 77");
}

/// The seed experiment cut down, on the data next to the checkout and a model of one layer.
#[test]
fn the_seed_experiment_runs_in_a_short_form() {
    let Some(data) = shared("data") else { return };
    let folder = tempfile::tempdir().unwrap();
    let text = include_str!("../../../plans/seed-small.toml");
    let cut = [
        ("seeds = [1, 2, 3]", "seeds = [1, 2]"),
        ("\nsteps = 10", "\nsteps = 2"),
        ("sequence_length = 512", "sequence_length = 128"),
        ("eval_every = 5", "eval_every = 1"),
        ("limit = 20", "limit = 3"),
    ];
    let text = cut.iter().fold(text.to_string(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    let plan = written(folder.path(), &text);
    let model = uniform_model(folder.path(), 2048);
    let output = folder.path().join("output");
    let given = |mut command: Command| {
        command.arg("--data-dir").arg(&data).arg("--model").arg(&model);
        command
    };
    let table = succeeds(given(compare(&plan, &output)));
    assert!(table.contains("group-kan") && table.contains("arc_easy"), "{table}");
    let pieces = folder.path().join("pieces");
    for index in 0..6 {
        succeeds(given(study(&plan, &pieces, &["--cell", &index.to_string()])));
    }
    assert_eq!(records(&pieces), records(&output));
    assert!(output.join("group-kan/seed-2/results").is_dir());
}

/// The study from scratch cut down: sources of every kind, and a tokenizer that each process could have made.
#[test]
fn the_study_from_scratch_runs_in_a_short_form() {
    let Some(data) = shared("data") else { return };
    let folder = tempfile::tempdir().unwrap();
    let text = include_str!("../../../plans/from-scratch.toml");
    let cut = [
        ("seeds = [1, 2, 3, 4, 5]", "seeds = [1, 2]"),
        ("bpe = 4096", "bpe = 400"),
        ("hidden_size = 192", "hidden_size = 64"),
        ("intermediate_size = 512", "intermediate_size = 64"),
        ("num_hidden_layers = 6", "num_hidden_layers = 1"),
        ("num_attention_heads = 3", "num_attention_heads = 1"),
        ("\nsteps = 488", "\nsteps = 2"),
        ("sequence_length = 512", "sequence_length = 64"),
        ("buffer = 65536", "buffer = 64"),
        ("eval_every = 20", "eval_every = 1"),
        ("eval_rows = 64", "eval_rows = 4"),
    ];
    let text = cut.iter().fold(text.to_string(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    });
    let plan = written(folder.path(), &text);
    let (whole, pieces) = (folder.path().join("whole"), folder.path().join("pieces"));
    let given = |mut command: Command| {
        command.arg("--data-dir").arg(&data);
        command
    };
    succeeds(given(compare(&plan, &whole)));
    let first = [0, 1].map(|index| given(study(&plan, &pieces, &["--cell", &index.to_string()])));
    let running = first.map(|mut cell| cell.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    for cell in running {
        let ended = cell.wait_with_output().unwrap();
        assert!(ended.status.success(), "{}", stderr(&ended));
    }
    let tokenizer = |output: &Path| std::fs::read(output.join("tokenizer/tokenizer.json")).unwrap();
    assert_eq!(tokenizer(&pieces), tokenizer(&whole));
    let all = records(&whole);
    let found = records(&pieces);
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|record| all.contains(record)));
}
