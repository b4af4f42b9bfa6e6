//! The tiny models on a GPU API next to Flex, and that no new shape compiles a rational kernel.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use burn::{
    backend::Autodiff,
    tensor::{
        Int, Tensor, TensorData,
        backend::{AutodiffBackend, Backend},
    },
};
use fixtures::{shared, tolerance};
use smollm2_model::weights;
use smollm2_model::{Branched, DecoderBackend, SequenceLayout};
use smollm2_train::{Batch, ModelGradients, TrainBackend};
use smoltalk_data::PackedRow;

use crate::golden::{KINDS, batch, norm_relative, tiny, tiny_on};

#[cfg(feature = "wgpu")]
type Gpu = Autodiff<burn::backend::Wgpu>;
#[cfg(not(feature = "wgpu"))]
type Gpu = Autodiff<burn::backend::Cuda>;

/// Every gradient with its name. The tiny models have vectors and matrices only.
fn data<AB: TrainBackend>(gradients: &ModelGradients<AB::InnerBackend>) -> BTreeMap<String, TensorData> {
    let one = |name: &str| {
        let vector = gradients.get::<1>(name).map(Tensor::into_data);
        vector
            .or_else(|| gradients.get::<2>(name).map(Tensor::into_data))
            .unwrap()
    };
    gradients.names().map(|name| (name.to_string(), one(name))).collect()
}

#[test]
fn losses_and_gradients_are_those_of_flex() {
    for kind in KINDS {
        let Some(folder) = shared(&format!("models/tiny-{kind}")) else {
            continue;
        };
        let golden = weights::read_safetensors(&folder.join("golden.safetensors")).unwrap();
        let flex = tiny(&folder);
        let gpu = tiny_on::<Gpu>(&folder);
        let (expected, on_flex) = flex.gradients(&[batch(&golden, "")]).unwrap();
        let (found, on_gpu) = gpu.gradients(&[batch(&golden, "")]).unwrap();
        let difference = (on_gpu.loss - on_flex.loss).abs();
        assert!(
            difference <= tolerance::GPU_LOSS,
            "{kind}: the loss is off by {difference:e}"
        );
        let (found, expected) = (data::<Gpu>(&found), data::<Autodiff<burn::backend::Flex>>(&expected));
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            expected.keys().collect::<Vec<_>>(),
            "{kind}"
        );
        let mut worst = 0.0f64;
        for (name, expected) in &expected {
            let relative = norm_relative(&found[name], expected);
            assert!(
                relative <= tolerance::GPU_GRADIENT,
                "{kind}: {name} is off by {relative:e} of its norm"
            );
            worst = worst.max(relative);
        }
        eprintln!("{kind}: loss off by {difference:.1e}, gradients by {worst:.1e} of their norm at most");
    }
}

/// Hidden states of the golden batch after every layer; of its first row as two packed documents; of contexts with
/// several continuations; and of what follows ragged prompts by way of the cache, with one row less halfway.
fn inference<B: DecoderBackend>(folder: &Path) -> Vec<TensorData> {
    let device = Default::default();
    let loaded = weights::load::<B>(folder, &device).unwrap();
    let golden = weights::read_safetensors(&folder.join("golden.safetensors")).unwrap();
    let ids = golden["ids"].clone().convert::<i32>();
    let [rows, tokens] = [ids.shape[0], ids.shape[1]];
    let text: Vec<u32> = ids.iter::<i32>().map(|id| id as u32).collect();
    let ids = Tensor::<B, 2, Int>::from_data(ids, &device); // [B, T]
    let mut states = loaded.model.hidden_states(ids.clone(), &SequenceLayout::default());
    assert_eq!(states[0].dims()[..2], [rows, tokens]);
    let first = tokens as i32 / 3;
    let each = |value: &dyn Fn(i32) -> i32| {
        let values: Vec<i32> = (0..tokens as i32).map(value).collect();
        Some(Tensor::from_data(TensorData::new(values, [1, tokens]), &device)) // [1, T]
    };
    let packed = SequenceLayout {
        positions: each(&|at| if at < first { at } else { at - first }),
        documents: each(&|at| i32::from(at >= first)),
    };
    states.push(loaded.model.hidden(ids.narrow(0, 0, 1), &packed)); // [1, T, D]
    let branched = [(4, 5), (7, 2)].map(|(context, continuation)| Branched {
        context: &text[..context],
        continuations: vec![&text[context..][..continuation], &text[20..23], &[]],
    });
    states.push(loaded.model.hidden_branched(&branched)); // [1, N, D]
    let prompts = [3, 9, 1, 6].map(|length| &text[length..2 * length]);
    let (last, mut cache) = loaded.model.prefill(&prompts, 8); // [4, 1, D]
    states.push(last);
    for step in 0..8 {
        if step == 4 {
            cache.select_rows(&[3, 0, 2]);
        }
        let next: Vec<[u32; 1]> = (0..cache.batch()).map(|row| [text[step + row]]).collect();
        states.push(loaded.model.forward_cached(loaded.model.ids(&next), &mut cache)); // [4 or 3, 1, D]
    }
    states.into_iter().map(Tensor::into_data).collect()
}

#[test]
fn hidden_states_branched_and_by_way_of_the_cache_too_are_those_of_flex() {
    for kind in KINDS {
        let Some(folder) = shared(&format!("models/tiny-{kind}")) else {
            continue;
        };
        let expected = inference::<burn::backend::Flex>(&folder);
        let found = inference::<<Gpu as AutodiffBackend>::InnerBackend>(&folder);
        assert_eq!(found.len(), expected.len());
        let mut worst = 0.0f64;
        for (layer, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found.num_elements(), expected.num_elements());
            for (found, expected) in found.iter::<f64>().zip(expected.iter::<f64>()) {
                let difference = (found - expected).abs();
                assert!(
                    difference <= tolerance::GPU_HIDDEN,
                    "{kind}: state {layer} is off by {difference:e}"
                );
                worst = worst.max(difference);
            }
        }
        eprintln!("{kind}: hidden states off by {worst:.1e} at most");
    }
}

#[test]
fn ten_steps_stay_with_flex() {
    for kind in KINDS {
        let Some(folder) = shared(&format!("models/tiny-{kind}")) else {
            continue;
        };
        let golden = weights::read_safetensors(&folder.join("golden.safetensors")).unwrap();
        let mut flex = tiny(&folder);
        let mut gpu = tiny_on::<Gpu>(&folder);
        let mut furthest = 0.0f64;
        for step in 0..10 {
            let prefix = format!("batch.{step}.");
            let expected = flex.step(&[batch(&golden, &prefix)]).unwrap();
            let found = gpu.step(&[batch(&golden, &prefix)]).unwrap();
            assert_eq!(found.target_tokens, expected.target_tokens);
            let difference = (found.loss - expected.loss).abs();
            assert!(
                difference <= tolerance::GPU_TRAIN_LOSS,
                "{kind}, step {step}: loss off by {difference:e}"
            );
            let difference_of_norms = (found.gradient_norm / expected.gradient_norm - 1.0).abs();
            assert!(
                difference_of_norms <= tolerance::GPU_TRAIN_WEIGHTS,
                "{kind}, step {step}: norm off by {difference_of_norms:e}"
            );
            furthest = furthest.max(difference);
        }
        let (found, expected) = (
            weights::named_tensors(gpu.model()),
            weights::named_tensors(flex.model()),
        );
        assert_eq!(found.len(), expected.len());
        let mut worst = 0.0f64;
        for (name, expected) in &expected {
            let difference = norm_relative(&found[name], expected);
            assert!(
                difference <= tolerance::GPU_TRAIN_WEIGHTS,
                "{kind}, {name}: off by {difference:e} of its norm"
            );
            worst = worst.max(difference);
        }
        eprintln!("{kind}: losses off by {furthest:.1e} at most, weights by {worst:.1e} of their norm");
    }
}

/// Set for the child process: the shapes it runs, `rows x tokens` separated by commas.
const SHAPES: &str = "SMOLLM2_TRAIN_TEST_SHAPES";
/// Where CubeCL writes every compilation of a kernel; it reads this once in a process, hence the child.
const LOG: &str = "CUBECL_DEBUG_LOG";

fn plain_batch<B: Backend>(rows: usize, tokens: usize) -> Batch<B> {
    let row = |row: usize| PackedRow {
        ids: (0..tokens).map(|at| ((row * tokens + at) * 31 % 250) as u32).collect(),
        loss_mask: vec![true; tokens],
        positions: None,
        documents: None,
    };
    let rows: Vec<PackedRow> = (0..rows).map(row).collect();
    Batch::from_rows(&rows, &Default::default()).unwrap()
}

/// Not a test: what [`no_batch_and_no_length_compiles_a_rational_kernel`] starts.
#[test]
fn child() {
    let (Ok(shapes), Some(log)) = (std::env::var(SHAPES), std::env::var_os(LOG)) else {
        return;
    };
    let folders = ["gated_rational_a", "group_kan_a"].map(|kind| shared(&format!("models/tiny-{kind}")));
    for folder in folders.into_iter().flatten() {
        let trainer = tiny_on::<Gpu>(&folder);
        for shape in shapes.split(',') {
            let (rows, tokens) = shape.split_once('x').unwrap();
            let batch = plain_batch(rows.parse().unwrap(), tokens.parse().unwrap());
            let (gradients, _) = trainer.gradients(&[batch]).unwrap();
            assert!(!data::<Gpu>(&gradients).is_empty());
        }
    }
    // The log is written by a thread of its own: wait until it has nothing more to say.
    let mut size = 0;
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = fs::metadata(&log).map_or(0, |file| file.len());
        if now == size {
            return;
        }
        size = now;
    }
}

/// How often each kernel of kan-rational was compiled by a process that ran these shapes, by name.
fn compilations(shapes: &str) -> BTreeMap<String, usize> {
    let room = tempfile::tempdir().unwrap();
    let log = room.path().join("compilations.log");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "gpu::child", "--test-threads", "1"])
        .env(SHAPES, shapes)
        .env(LOG, &log)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut counts = BTreeMap::new();
    for line in fs::read_to_string(&log).unwrap().lines() {
        if let Some(name) = line.strip_prefix("name: kan_rational::") {
            *counts.entry(name.to_string()).or_default() += 1;
        }
    }
    counts
}

#[test]
fn no_batch_and_no_length_compiles_a_rational_kernel() {
    if shared("models/tiny-group_kan_a").is_none() {
        return;
    }
    let one = compilations("1x16");
    for kernel in [
        "forward::forward::",
        "forward_gated",
        "backward::backward::",
        "backward_gated",
        "combine",
    ] {
        assert!(
            one.keys().any(|name| name.contains(kernel)),
            "{kernel} is not in {one:#?}"
        );
    }
    let four = compilations("1x16,2x16,1x24,2x24");
    assert_eq!(one, four, "a new batch or length compiled a kernel again");
    eprintln!("compiled for four shapes as for one: {one:#?}");
}
