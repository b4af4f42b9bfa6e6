//! The record of a run, also after a crash.

use std::{collections::BTreeMap, fs, path::Path};

use smollm2_train::{EvalRecord, MetricRecord, MetricsFile, StepRecord, plot_loss, read_metrics};

pub(crate) fn record(step: usize) -> StepRecord {
    let loss = 3.0 / step as f64;
    StepRecord {
        step,
        loss,
        learning_rate: 1e-3,
        gradient_norm: 1.5,
        rational_norm: Some(1.2),
        other_norm: Some(0.9),
        tokens: 1024,
        target_tokens: 900,
        seconds: 0.5,
        mfu: None,
        metrics: BTreeMap::new(),
    }
}

/// Opens a file in which nothing is damaged.
fn open(path: &Path, step: usize) -> MetricsFile {
    let (metrics, damaged) = MetricsFile::open(path, step).unwrap();
    assert_eq!(damaged, None);
    metrics
}

#[test]
fn metrics_are_cut_to_the_resumed_step() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("metrics.jsonl");
    let mut metrics = open(&path, 0);
    for step in 1..=5 {
        metrics.append(&MetricRecord::Train(record(step))).unwrap();
    }
    metrics
        .append(&MetricRecord::Eval(EvalRecord {
            step: 3,
            loss: 2.0,
            target_tokens: 7,
            metrics: BTreeMap::new(),
        }))
        .unwrap();
    drop(metrics);
    // A crash in the middle of a line.
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str("{\"kind\":\"tra");
    std::fs::write(&path, text).unwrap();
    let mut metrics = open(&path, 3);
    metrics.append(&MetricRecord::Train(record(4))).unwrap();
    let steps: Vec<usize> = read_metrics(&path).unwrap().iter().map(MetricRecord::step).collect();
    assert_eq!(steps, [1, 2, 3, 3, 4]);
    let figure = room.path().join("loss.svg");
    plot_loss(&read_metrics(&path).unwrap(), &figure).unwrap();
    let svg = std::fs::read_to_string(figure).unwrap();
    assert!(svg.contains("optimiser steps") && svg.contains("held out"));
    plot_loss(&[], &room.path().join("empty.svg")).unwrap();
    std::fs::write(&path, "no record\n").unwrap();
    assert!(read_metrics(&path).unwrap_err().to_string().contains("line 1"));
}

/// A power loss can leave a block of zeros before later data. What can be read is kept, the rest is set aside.
#[test]
fn a_damaged_line_does_not_forbid_going_on() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("metrics.jsonl");
    let mut metrics = open(&path, 0);
    for step in 1..=5 {
        metrics.append(&MetricRecord::Train(record(step))).unwrap();
    }
    drop(metrics);
    let mut bytes = fs::read(&path).unwrap();
    let second = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    bytes[second..second + 40].fill(0);
    bytes.extend_from_slice(b"\xff no record\n");
    fs::write(&path, &bytes).unwrap();
    assert!(read_metrics(&path).unwrap_err().to_string().contains("line 2"));

    let (mut metrics, damaged) = MetricsFile::open(&path, 4).unwrap();
    let damaged = damaged.unwrap();
    assert_eq!((damaged.lines, damaged.first), (2, 2));
    assert_eq!(fs::read(&damaged.copy).unwrap(), bytes, "the file as it was");
    metrics.append(&MetricRecord::Train(record(5))).unwrap();
    let steps: Vec<usize> = read_metrics(&path).unwrap().iter().map(MetricRecord::step).collect();
    assert_eq!(steps, [1, 3, 4, 5]);
    open(&path, 5);
}

#[test]
fn records_without_norms_of_groups_can_still_be_read() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("metrics.jsonl");
    let old = "{\"kind\":\"train\",\"step\":1,\"loss\":3.0,\"learning_rate\":0.001,\"gradient_norm\":1.5,\
               \"tokens\":1024,\"target_tokens\":900,\"seconds\":0.5,\"mfu\":null}\n";
    fs::write(&path, old).unwrap();
    let without = StepRecord {
        rational_norm: None,
        other_norm: None,
        ..record(1)
    };
    assert_eq!(read_metrics(&path).unwrap(), [MetricRecord::Train(without)]);
    drop(open(&path, 1));
    assert_eq!(read_metrics(&path).unwrap().len(), 1);
    let mut metrics = open(&path, 1);
    metrics.append(&MetricRecord::Train(record(2))).unwrap();
    let line = fs::read_to_string(&path).unwrap();
    assert!(line.contains("\"rational_norm\":1.2,\"other_norm\":0.9"), "{line}");
}
