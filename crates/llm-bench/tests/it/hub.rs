//! Benchmark data by its hub id, from a hub on the loopback address.

use crate::dataset::{cases, rows};
use crate::parquet_rows::write;
use fixtures::hub::{Fault, LoopbackHub};
use fixtures::shared;
use llm_bench::{BenchError, HubAccess, PromptOptions, Retry, build_prompts, load_split};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

fn access(hub: &LoopbackHub, cache: &Path) -> HubAccess {
    HubAccess {
        endpoint: hub.endpoint(),
        cache_dir: Some(cache.to_owned()),
        timeout: Duration::from_millis(1500),
        retry: Retry {
            attempts: 2,
            first_wait: Duration::ZERO,
            ..Retry::default()
        },
        ..HubAccess::default()
    }
}

/// ARC as its authors uploaded it, HellaSwag only as the hub converted it.
fn serve() -> Option<LoopbackHub> {
    let hub = LoopbackHub::start();
    let folder = tempfile::tempdir().unwrap();
    let readme = || ("README.md".to_owned(), b"# Data".to_vec());
    let [(_, arc, arc_folder, _), (_, hellaswag, hellaswag_folder, _)] = cases();
    let file = |name: &str, columns, rows: Vec<_>| {
        let path = folder.path().join("file.parquet");
        write(&path, columns, &rows);
        (name.to_owned(), std::fs::read(path).unwrap())
    };
    let easy = rows(arc_folder, "test")?;
    let challenge = rows("allenai/ai2_arc/ARC-Challenge", "test")?;
    let uploaded = [
        readme(),
        file("ARC-Easy/test-00000-of-00002.parquet", arc, easy[..1000].to_vec()),
        file("ARC-Easy/test-00001-of-00002.parquet", arc, easy[1000..].to_vec()),
        file("ARC-Challenge/test-00000-of-00001.parquet", arc, challenge),
    ];
    hub.add("datasets/allenai/ai2_arc", "main", BTreeMap::from(uploaded));
    hub.add("datasets/Rowan/hellaswag", "main", BTreeMap::from([readme()]));
    let converted = [file(
        "default/validation/0000.parquet",
        hellaswag,
        rows(hellaswag_folder, "validation")?,
    )];
    hub.add(
        "datasets/Rowan/hellaswag",
        "refs/convert/parquet",
        BTreeMap::from(converted),
    );
    Some(hub)
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
        for (task, ..) in cases() {
            let chat = |_: &[llm_bench::Turn], _| unreachable!("no chat template was asked for");
            let mut options = PromptOptions::new("/nowhere");
            options.num_fewshot = Some(0);
            options.hub = Some(access(&hub, cache.path()));
            let fetched = build_prompts(&task, &options, &chat).unwrap();
            let mut options = PromptOptions::new(&local);
            options.num_fewshot = Some(0);
            assert!(fetched.documents > 1000);
            assert!(
                fetched == build_prompts(&task, &options, &chat).unwrap(),
                "{}",
                task.task
            );
        }
    }
}

#[test]
fn a_root_that_has_the_data_asks_nobody() {
    let (Some(hub), Some(local)) = (serve(), shared("data/benchmarks")) else {
        return;
    };
    let cache = tempfile::tempdir().unwrap();
    for (task, _, _, splits) in cases() {
        load_split(&local, Some(&access(&hub, cache.path())), &task, splits[0]).unwrap();
    }
    assert!(hub.requests().is_empty());
}

/// The score of another split would be another number.
#[test]
fn a_split_whose_name_only_begins_so_is_not_taken() {
    let [(task, ..), _] = cases();
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("allenai/ai2_arc/ARC-Easy");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("test_hard.jsonl"), "{}\n").unwrap();
    let error = load_split(root.path(), None, &task, "test").unwrap_err();
    assert!(matches!(error, BenchError::MissingData { .. }), "{error}");
    assert!(error.to_string().contains("found the splits test_hard"), "{error}");

    let hub = LoopbackHub::start();
    let files = BTreeMap::from([("ARC-Easy/test_hard.jsonl".to_owned(), b"{}\n".to_vec())]);
    hub.add("datasets/allenai/ai2_arc", "main", files);
    let cache = tempfile::tempdir().unwrap();
    let error = load_split(root.path(), Some(&access(&hub, cache.path())), &task, "test").unwrap_err();
    assert!(error.to_string().contains("found the splits test_hard"), "{error}");
}

#[test]
fn every_failure_is_named() {
    let Some(hub) = serve() else { return };
    let cache = tempfile::tempdir().unwrap();
    let access = access(&hub, cache.path());
    let [(arc, ..), (hellaswag, ..)] = cases();
    let message = |task, split| {
        load_split(Path::new("/nowhere"), Some(&access), task, split)
            .unwrap_err()
            .to_string()
    };
    let error = message(&arc, "dev");
    assert!(
        error.contains("allenai/ai2_arc@main") && error.contains("the splits test"),
        "{error}"
    );
    for (fault, words) in [
        (Fault::CutAt(1000), "found 1000"),
        (Fault::Status(401), "give a token"),
        (Fault::Status(404), "check the spelling"),
        (Fault::Silence, "check the network"),
    ] {
        hub.fail(fault);
        let error = message(&arc, "test");
        assert!(
            error.contains("allenai/ai2_arc@main") && error.contains(words),
            "{fault:?}: {error}"
        );
    }
    // Parquet that is no Parquet.
    hub.fail(Fault::None);
    let nonsense = BTreeMap::from([("data/validation-00000-of-00001.parquet".to_owned(), vec![b'x'; 900])]);
    hub.add("datasets/Rowan/hellaswag", "main", nonsense);
    let error = message(&hellaswag, "validation");
    assert!(error.contains("validation-00000-of-00001.parquet: row 0"), "{error}");
}
