//! The data of tasks by their hub ids.

use super::access;
use fixtures::hub::{Fault, LoopbackHub};
use fixtures::{lines, shared};
use kallm::hub::{HubAccess, fetch_task_data};
use llm_bench::{PromptOptions, Task, build_prompts, load_split};
use std::collections::BTreeMap;

fn task(name: &str) -> Task {
    Task::builtin(name).unwrap()
}

/// A real split in files of so many documents.
fn files(name: &str, documents: usize) -> Option<Vec<Vec<u8>>> {
    let lines = lines(&format!("data/benchmarks/{name}.jsonl"))?;
    let files = lines
        .chunks(documents)
        .map(|lines| (lines.join("\n") + "\n").into_bytes());
    Some(files.collect())
}

fn file(name: &str) -> Option<Vec<u8>> {
    Some(files(name, usize::MAX)?.remove(0))
}

/// ARC as its authors uploaded it, HellaSwag only as the hub converted it.
fn serve() -> Option<LoopbackHub> {
    let hub = LoopbackHub::start();
    let readme = ("README.md", b"# Data".to_vec());
    let mut test = files("allenai/ai2_arc/ARC-Easy/test", 1500)?.into_iter();
    let uploaded = [
        readme.clone(),
        ("ARC-Easy/test-00000-of-00002.jsonl", test.next()?),
        ("ARC-Easy/test-00001-of-00002.jsonl", test.next()?),
        (
            "ARC-Easy/train-00000-of-00001.jsonl",
            file("allenai/ai2_arc/ARC-Easy/train")?,
        ),
        (
            "ARC-Challenge/test-00000-of-00001.jsonl",
            file("allenai/ai2_arc/ARC-Challenge/test")?,
        ),
    ];
    let converted = [(
        "default/validation/0000.jsonl",
        file("Rowan/hellaswag/default/validation")?,
    )];
    add(&hub, "allenai/ai2_arc", "main", uploaded);
    add(&hub, "Rowan/hellaswag", "main", [readme]);
    add(&hub, "Rowan/hellaswag", "refs/convert/parquet", converted);
    Some(hub)
}

fn add(hub: &LoopbackHub, id: &str, revision: &str, files: impl IntoIterator<Item = (&'static str, Vec<u8>)>) {
    let files = files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes));
    hub.add(&format!("datasets/{id}"), revision, BTreeMap::from_iter(files));
}

/// What the hub gives for a task below a root that has nothing.
fn fetched(task: &Task, access: &HubAccess) -> kallm::Result<PromptOptions> {
    let mut options = PromptOptions::new("/nowhere");
    options.num_fewshot = Some(0);
    fetch_task_data(std::slice::from_ref(task), &mut options, access)?;
    Ok(options)
}

fn message(task: &Task, access: &HubAccess) -> String {
    fetched(task, access).unwrap_err().to_string()
}

#[test]
fn data_by_id_gives_the_local_prompts_with_and_without_the_hub() {
    let (Some(mut hub), Some(local)) = (serve(), shared("data/benchmarks")) else {
        return;
    };
    let cache = tempfile::tempdir().unwrap();
    for stopped in [false, true] {
        if stopped {
            hub.stop();
        }
        for task in [task("arc_easy"), task("hellaswag")] {
            let chat = |_: &[llm_bench::Turn], _| unreachable!("no chat template was asked for");
            let options = fetched(&task, &access(&hub, cache.path())).unwrap();
            let prompts = build_prompts(&task, &options, &chat).unwrap();
            let mut options = PromptOptions::new(&local);
            options.num_fewshot = Some(0);
            assert!(prompts.documents > 1000);
            assert!(
                prompts == build_prompts(&task, &options, &chat).unwrap(),
                "{}",
                task.task
            );
        }
    }
}

#[test]
fn the_split_of_the_examples_is_fetched_where_there_are_examples() {
    let Some(hub) = serve() else { return };
    let cache = tempfile::tempdir().unwrap();
    let mut arc = task("arc_easy");
    arc.fewshot_split = Some("train".to_owned());
    let mut options = PromptOptions::new("/nowhere");
    for shots in [0, 2] {
        options.num_fewshot = Some(shots);
        fetch_task_data(std::slice::from_ref(&arc), &mut options, &access(&hub, cache.path())).unwrap();
        let asked: Vec<String> = hub.requests().into_iter().map(|request| request.path).collect();
        // What the cache has is not fetched again.
        for (split, expected) in [("test", shots == 0), ("train", shots > 0)] {
            let found = asked.iter().any(|path| path.contains(&format!("/{split}-")));
            assert_eq!(found, expected, "{shots} examples: {split} in {asked:?}");
        }
    }
    let chat = |_: &[llm_bench::Turn], _| unreachable!("no chat template was asked for");
    assert_eq!(build_prompts(&arc, &options, &chat).unwrap().num_fewshot, 2);
}

#[test]
fn a_root_that_has_the_data_asks_nobody() {
    let (Some(hub), Some(local)) = (serve(), shared("data/benchmarks")) else {
        return;
    };
    let cache = tempfile::tempdir().unwrap();
    let mut options = PromptOptions::new(&local);
    options.num_fewshot = Some(0);
    let tasks = [task("arc_easy"), task("hellaswag")];
    fetch_task_data(&tasks, &mut options, &access(&hub, cache.path())).unwrap();
    assert!(hub.requests().is_empty());
    assert_eq!(options.data, PromptOptions::new(&local).data);
}

/// The score of another split would be another number.
#[test]
fn a_split_whose_name_only_begins_so_is_not_taken() {
    let hub = LoopbackHub::start();
    add(
        &hub,
        "allenai/ai2_arc",
        "main",
        [("ARC-Easy/test_hard.jsonl", b"{}\n".to_vec())],
    );
    let cache = tempfile::tempdir().unwrap();
    let error = message(&task("arc_easy"), &access(&hub, cache.path()));
    assert!(error.contains("found the splits test_hard"), "{error}");
}

#[test]
fn every_failure_is_named() {
    let Some(hub) = serve() else { return };
    let cache = tempfile::tempdir().unwrap();
    let access = access(&hub, cache.path());
    let arc = task("arc_easy");
    let absent = Task {
        test_split: Some("dev".to_owned()),
        ..arc.clone()
    };
    let error = message(&absent, &access);
    assert!(
        error.contains("allenai/ai2_arc@main") && error.contains("the splits test, train"),
        "{error}"
    );
    for (fault, words) in [
        (Fault::CutAt(1000), "found 1000"),
        (Fault::Status(401), "give a token"),
        (Fault::Status(404), "check the spelling"),
        (Fault::Silence, "check the network"),
    ] {
        hub.fail(fault);
        let error = message(&arc, &access);
        assert!(
            error.contains("allenai/ai2_arc@main") && error.contains(words),
            "{fault:?}: {error}"
        );
    }
    // Parquet that is no Parquet.
    hub.fail(Fault::None);
    let nonsense = ("data/validation-00000-of-00001.parquet", vec![b'x'; 900]);
    add(&hub, "Rowan/hellaswag", "main", [nonsense]);
    let hellaswag = task("hellaswag");
    let options = fetched(&hellaswag, &access).unwrap();
    let error = load_split(&options.data, &hellaswag, "validation")
        .unwrap_err()
        .to_string();
    assert!(error.contains("validation-00000-of-00001.parquet: row 0"), "{error}");
}
