//! Ten steps of the tiny models as they were when the record was written.
//!
//! The record holds this program's own losses, so it notices a change of the arithmetic that the comparison with
//! PyTorch is too coarse for. Matrix products add in another order under another instruction set (AVX2, AVX-512,
//! NEON), so bits are compared only where the processor has the features the record names; elsewhere within 1e-6.
//! `cargo xtask golden` writes the record again: do so, and say so, only when a change of the arithmetic is meant.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};
use smollm2_model::weights;

use crate::golden::{KINDS, batch, tiny};

/// Set by `cargo xtask golden`.
const WRITE: &str = "KALLM_WRITE_GOLDEN";

/// One recorded loss, written `40b436a2 5.631669044494629`: the bits count, the decimal is for people.
fn written(loss: f32) -> String {
    format!("{:08x} {}", loss.to_bits(), f64::from(loss))
}

/// The bits and the decimal of a recorded loss.
fn read(text: &str) -> (f32, f64) {
    let (bits, decimal) = text.split_once(' ').unwrap();
    (
        f32::from_bits(u32::from_str_radix(bits, 16).unwrap()),
        decimal.parse().unwrap(),
    )
}

#[derive(Serialize, Deserialize)]
struct Record {
    /// [`processor`] of the machine that wrote it.
    processor: String,
    /// Per tiny model the losses of ten steps.
    losses: BTreeMap<String, Vec<String>>,
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden_losses.json")
}

/// The instruction set that decides the order of sums, as far as matrix products choose by it.
fn processor() -> String {
    #[cfg(target_arch = "x86_64")]
    let features = [
        ("avx", is_x86_feature_detected!("avx")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let features: [(&str, bool); 0] = [];
    let found = features.iter().filter(|(_, found)| *found).map(|(name, _)| *name);
    let words: Vec<&str> = [std::env::consts::OS, std::env::consts::ARCH]
        .into_iter()
        .chain(found)
        .collect();
    words.join(" ")
}

/// `None` where the tiny models are absent.
fn train() -> Option<BTreeMap<String, Vec<String>>> {
    let mut losses = BTreeMap::new();
    for kind in KINDS {
        let folder = fixtures::shared(&format!("models/tiny-{kind}"))?;
        let golden = weights::read_safetensors(&folder.join("golden.safetensors")).unwrap();
        let mut trainer = tiny(&folder);
        let ten = (0..10).map(|step| {
            let outcome = trainer.step(&[batch(&golden, &format!("batch.{step}."))]).unwrap();
            let loss = outcome.loss as f32;
            assert_eq!(f64::from(loss), outcome.loss, "the loss of one micro-batch is an f32");
            written(loss)
        });
        losses.insert(kind.to_string(), ten.collect());
    }
    Some(losses)
}

#[test]
fn ten_steps_are_the_recorded_ones() {
    let Some(losses) = train() else { return };
    let found = Record {
        processor: processor(),
        losses,
    };
    if std::env::var_os(WRITE).is_some() {
        let text = serde_json::to_string_pretty(&found).unwrap();
        std::fs::write(path(), text + "\n").unwrap();
        return;
    }
    let expected: Record = serde_json::from_str(&std::fs::read_to_string(path()).unwrap()).unwrap();
    let names = |record: &Record| record.losses.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected));
    for (kind, expected_losses) in &expected.losses {
        assert_eq!(expected_losses.len(), 10, "{kind}");
        for (step, (found, expected)) in found.losses[kind].iter().zip(expected_losses).enumerate() {
            let (now, then) = (read(found).1, read(expected).1);
            let difference = (now - then).abs() / then;
            assert!(
                difference <= fixtures::tolerance::GOLDEN_LOSS,
                "{kind}, step {step}: {found} instead of {expected}"
            );
        }
    }
    if found.processor == expected.processor {
        assert_eq!(
            found.losses, expected.losses,
            "the losses are close, but not bit for bit the recorded ones: a change not meant to change numerics has \
             changed them; if it is meant, run `cargo xtask golden` and say so"
        );
    } else {
        eprintln!(
            "bits not compared: here `{}`, recorded on `{}`",
            found.processor, expected.processor
        );
    }
}

/// The record is not vacuous: every decimal is that of its bits, and no step repeats the one before.
#[test]
fn the_record_is_whole() {
    let record: Record = serde_json::from_str(&std::fs::read_to_string(path()).unwrap()).unwrap();
    assert_eq!(record.losses.len(), KINDS.len());
    for (kind, losses) in &record.losses {
        let losses: Vec<(f32, f64)> = losses.iter().map(|text| read(text)).collect();
        assert!(
            losses.iter().all(|(bits, decimal)| f64::from(*bits) == *decimal),
            "{kind}"
        );
        assert!(losses.windows(2).all(|pair| pair[0] != pair[1]), "{kind}");
    }
}
