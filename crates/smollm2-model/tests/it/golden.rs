//! The tiny models against PyTorch, and the model against itself: cached, ragged and packed.

use burn::backend::{Autodiff, Flex};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Int, Tensor, TensorData};
use fixtures::{shared, tolerance};
use kan_rational::Denominator;
use smollm2_model::DecoderBackend;
use smollm2_model::weights::{load, parameter_names, read_safetensors};
use smollm2_model::{
    Branched, FeedForwardConfig, FeedForwardKind, GatedRationalConfig, GroupKanConfig, KvCache, SequenceLayout,
    SmolLm2, SmolLm2Config,
};
use std::collections::{BTreeMap, HashMap};

type Plain = Flex;
type Tracked = Autodiff<Flex>;

const KINDS: [&str; 4] = ["swiglu", "gated_rational_a", "gated_rational_b", "group_kan_a"];

fn ids<B: Backend>(data: &TensorData) -> Tensor<B, 2, Int> {
    let shape = [data.shape[0], data.shape[1]];
    let values: Vec<i32> = data.iter::<i32>().collect();
    Tensor::from_data(TensorData::new(values, shape), &Default::default())
}

fn largest_difference(found: TensorData, expected: &TensorData) -> f64 {
    assert_eq!(found.num_elements(), expected.num_elements());
    let pairs = found.iter::<f64>().zip(expected.iter::<f64>());
    largest(pairs.map(|(a, b)| (a - b).abs()))
}

/// The largest number; NaN where one is.
fn largest(numbers: impl Iterator<Item = f64>) -> f64 {
    numbers.fold(
        0.0,
        |max: f64, number| if max.is_nan() || number <= max { max } else { number },
    )
}

/// Mean negative log-likelihood of the tokens whose mask is set, each predicted from those before it.
fn masked_loss<B: DecoderBackend>(model: &SmolLm2<B>, ids: Tensor<B, 2, Int>, mask: &[f64]) -> Tensor<B, 1> {
    let [batch, tokens] = ids.dims();
    let logits = model.forward(ids.clone(), &SequenceLayout::default()); // [B, T, V]
    let scores = log_softmax(logits.narrow(1, 0, tokens - 1), 2); // [B, T - 1, V]
    let targets = ids.narrow(1, 1, tokens - 1).unsqueeze_dim::<3>(2); // [B, T - 1, 1]
    let scores = scores.gather(2, targets).reshape([batch, tokens - 1]); // [B, T - 1]
    let weights: Vec<f32> = mask
        .chunks(tokens)
        .flat_map(|row| row[1..].iter().map(|w| *w as f32))
        .collect();
    let total: f32 = weights.iter().sum();
    let weights = Tensor::<B, 2>::from_data(TensorData::new(weights, [batch, tokens - 1]), &Default::default());
    (scores * weights).sum().neg() / total
}

/// Gradients by Hugging Face name, in its layout.
struct Gradients<'a, AB: AutodiffBackend> {
    gradients: &'a AB::Gradients,
    names: HashMap<burn::module::ParamId, String>,
    found: BTreeMap<String, TensorData>,
}

impl<AB: AutodiffBackend> ModuleVisitor<AB> for Gradients<'_, AB> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<AB, D>>) {
        let Some(name) = self.names.get(&param.id) else { return };
        let gradient = param
            .val()
            .grad(self.gradients)
            .unwrap_or_else(|| panic!("{name} has no gradient"));
        // Linear weights are [in, out] here and [out, in] in the reference.
        let transposed = D == 2 && name.ends_with("proj.weight") || name.contains(".fc");
        let data = if transposed {
            gradient.swap_dims(0, 1).into_data()
        } else {
            gradient.into_data()
        };
        self.found.insert(name.clone(), data);
    }
}

fn gradients(model: &SmolLm2<Tracked>, loss: Tensor<Tracked, 1>) -> BTreeMap<String, TensorData> {
    let gradients = loss.backward();
    let mut visitor = Gradients::<Tracked> {
        gradients: &gradients,
        names: parameter_names(model),
        found: BTreeMap::new(),
    };
    model.visit(&mut visitor);
    visitor.found
}

#[test]
fn tiny_models_equal_pytorch_in_every_hidden_state_loss_and_gradient() {
    for kind in KINDS {
        let Some(folder) = shared(&format!("models/tiny-{kind}")) else {
            return;
        };
        let golden = read_safetensors(&folder.join("golden.safetensors")).expect("the reference");
        let loaded = load::<Plain>(&folder, &Default::default()).expect("the model");
        let states = loaded
            .model
            .hidden_states(ids(&golden["ids"]), &SequenceLayout::default());
        let expected = golden.keys().filter(|name| name.starts_with("hidden.")).count();
        assert_eq!(states.len(), expected, "{kind}: hidden states");
        for (index, state) in states.into_iter().enumerate() {
            let difference = largest_difference(state.into_data(), &golden[&format!("hidden.{index}")]);
            assert!(
                difference <= tolerance::TINY_HIDDEN,
                "{kind}: hidden state {index} differs by {difference:e}"
            );
        }
        let logits = loaded
            .model
            .forward(ids(&golden["ids"]), &SequenceLayout::default())
            .into_data();
        let difference = largest_difference(logits, &golden["logits"]);
        assert!(
            difference <= tolerance::TINY_LOGITS,
            "{kind}: logits differ by {difference:e}"
        );

        // Weights loaded on the plain backend require no gradient, so they are loaded again.
        let model = load::<Tracked>(&folder, &Default::default()).expect("the model").model;
        let mask: Vec<f64> = golden["loss_mask"].iter::<f64>().collect();
        let loss = masked_loss(&model, ids(&golden["ids"]), &mask);
        let difference = largest_difference(loss.clone().into_data(), &golden["loss"]);
        assert!(
            difference <= tolerance::TINY_LOSS,
            "{kind}: the loss differs by {difference:e}"
        );
        let found = gradients(&model, loss);
        let expected: Vec<&String> = golden.keys().filter(|name| name.starts_with("grad.")).collect();
        assert_eq!(found.len(), expected.len(), "{kind}");
        for name in expected {
            let (found, expected) = (&found[&name["grad.".len()..]], &golden[name]);
            let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
            let norm = squares(&mut expected.iter::<f64>());
            let pairs = found.iter::<f64>().zip(expected.iter::<f64>());
            let difference = squares(&mut pairs.map(|(a, b)| a - b)) / norm;
            assert!(
                difference <= tolerance::TINY_GRADIENT,
                "{kind}: {name} differs by {difference:e} of its norm"
            );
        }
    }
}

fn config(kind: FeedForwardKind) -> SmolLm2Config {
    let mut config = SmolLm2Config::smollm2_135m();
    (config.vocab_size, config.hidden_size, config.intermediate_size) = (97, 64, 96);
    (config.num_attention_heads, config.num_key_value_heads, config.head_dim) = (4, 2, 16);
    (config.num_hidden_layers, config.max_position_embeddings) = (2, 64);
    config.feed_forward.truncate(2);
    config.with_feed_forward(kind)
}

fn row(tokens: &[u32]) -> Tensor<Plain, 2, Int> {
    let values: Vec<i32> = tokens.iter().map(|id| *id as i32).collect();
    Tensor::from_data(TensorData::new(values, [1, tokens.len()]), &Default::default())
}

fn prompt(length: usize, seed: u32) -> Vec<u32> {
    (0..length as u32)
        .map(|i| (i * 31 + seed * 17 + i * i * 7) % 97)
        .collect()
}

/// Every kind of feed-forward, those with rational functions in both forms and with every way to share coefficients.
pub(crate) fn every_configuration() -> Vec<(String, SmolLm2Config)> {
    let plain = [FeedForwardKind::SwiGlu, FeedForwardKind::SiluMlp].map(|kind| (kind.to_string(), config(kind)));
    let mut found = Vec::from(plain);
    for kind in [FeedForwardKind::GatedRational, FeedForwardKind::GroupKan] {
        for form in [Denominator::SumOfAbs, Denominator::AbsOfSum] {
            for (share_numerator, share_denominator) in [(false, false), (true, false), (false, true), (true, true)] {
                let mut config = config(kind);
                for layer in &mut config.feed_forward {
                    let (FeedForwardConfig::GatedRational(GatedRationalConfig { rational, .. })
                    | FeedForwardConfig::GroupKan(GroupKanConfig { rational, .. })) = layer
                    else {
                        panic!("{kind} has no rational function")
                    };
                    rational.denominator_form = form;
                    (rational.share_numerator, rational.share_denominator) = (share_numerator, share_denominator);
                }
                let name = format!("{kind}, {form:?}, shared {share_numerator} {share_denominator}");
                found.push((name, config));
            }
        }
    }
    found
}

#[test]
fn every_parameter_of_every_kind_gets_a_gradient() {
    for (kind, config) in every_configuration() {
        let model = config.init::<Tracked>(&Default::default()).expect("a model");
        let data = TensorData::new(prompt(32, 1).iter().map(|id| *id as i32).collect::<Vec<_>>(), [1, 32]);
        let loss = masked_loss(&model, Tensor::from_data(data, &Default::default()), &[1.0; 32]);
        let found = gradients(&model, loss);
        assert_eq!(found.len(), parameter_names(&model).len(), "{kind}");
        for (name, gradient) in found {
            assert!(gradient.iter::<f64>().all(f64::is_finite), "{kind}: {name}");
            assert!(
                gradient.iter::<f64>().any(|value| value != 0.0),
                "{kind}: {name} is frozen"
            );
        }
    }
}

#[test]
fn cached_steps_equal_the_whole_sequence() {
    let (config, tokens) = (config(FeedForwardKind::GatedRational), prompt(24, 2));
    let model = config.init::<Plain>(&Default::default()).expect("a model");
    let whole = model.hidden(row(&tokens), &SequenceLayout::default());
    for split in [&[24][..], &[1; 24], &[7, 1, 1, 9, 6], &[23, 1]] {
        let mut cache = KvCache::new(&model, 1, 24);
        let (mut start, mut parts) = (0, Vec::new());
        for length in split {
            parts.push(model.forward_cached(row(&tokens[start..start + length]), &mut cache));
            start += length;
        }
        let difference = largest_difference(Tensor::cat(parts, 1).into_data(), &whole.clone().into_data());
        assert!(difference <= tolerance::TINY_HIDDEN, "{split:?}: {difference:e}");
    }
}

#[test]
fn branches_and_ragged_rows_equal_each_sequence_alone() {
    let config = config(FeedForwardKind::SwiGlu);
    let model = config.init::<Plain>(&Default::default()).expect("a model");
    let lengths: [(usize, &[usize]); 4] = [(9, &[4, 1, 0, 6]), (1, &[3]), (17, &[]), (5, &[2, 2])];
    let contexts: Vec<Vec<u32>> = lengths.iter().zip(0..).map(|((c, _), seed)| prompt(*c, seed)).collect();
    let parts: Vec<Vec<u32>> = [4, 1, 0, 6, 3, 2, 2]
        .iter()
        .zip(9..)
        .map(|(c, seed)| prompt(*c, seed))
        .collect();
    let mut rest = parts.iter().map(Vec::as_slice);
    let sequences: Vec<Branched> = contexts
        .iter()
        .zip(lengths)
        .map(|(context, (_, continuations))| Branched {
            context,
            continuations: rest.by_ref().take(continuations.len()).collect(),
        })
        .collect();
    let alone = |ids: &[u32]| model.hidden(row(ids), &SequenceLayout::default()); // [1, T, D]
    // All together, and two of one length, which need no padding.
    for sequences in [&sequences[..], &[sequences[0].clone(), sequences[0].clone()]] {
        let hidden = model.hidden_branched(sequences); // [1, N, D]
        let mut start = 0;
        let mut compare = |expected: Tensor<Plain, 3>, from: usize| {
            let count = expected.dims()[1] - from;
            let found = hidden.clone().narrow(1, start, count); // [1, count, D]
            let difference = largest_difference(found.into_data(), &expected.narrow(1, from, count).into_data());
            assert!(difference <= tolerance::TINY_HIDDEN, "{difference:e}");
            start += count;
        };
        for sequence in sequences {
            compare(alone(sequence.context), 0);
            for continuation in sequence.continuations.iter().filter(|ids| !ids.is_empty()) {
                let whole = [sequence.context, *continuation].concat();
                compare(alone(&whole), sequence.context.len());
            }
        }
        assert_eq!(start, hidden.dims()[1]);
    }
}

#[test]
fn rows_of_a_cache_leave_join_and_stand_alone() {
    let config = config(FeedForwardKind::SwiGlu);
    let model = config.init::<Plain>(&Default::default()).expect("a model");
    let mut rows: Vec<Vec<u32>> = [5, 2, 11]
        .iter()
        .zip(0..)
        .map(|(length, seed)| prompt(*length, seed))
        .collect();
    let prompts: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
    let (_, mut cache) = model.prefill(&prompts, 3);
    let check = |rows: &mut [Vec<u32>], cache: &mut KvCache<Plain>, next: u32| {
        let found = model.forward_cached(model.ids(&vec![[next]; rows.len()]), cache); // [B, 1, D]
        for (index, ids) in rows.iter_mut().enumerate() {
            ids.push(next);
            let whole = model.hidden(row(ids), &SequenceLayout::default()); // [1, T, D]
            let last = whole.narrow(1, ids.len() - 1, 1).into_data(); // [1, 1, D]
            let difference = largest_difference(found.clone().narrow(0, index, 1).into_data(), &last);
            assert!(difference <= tolerance::TINY_HIDDEN, "row {index}: {difference:e}");
        }
    };
    check(&mut rows, &mut cache, 7);
    // The longest leaves, and its room with it.
    cache.select_rows(&[1, 0]);
    assert_eq!(cache.len(), 6);
    rows = vec![rows[1].clone(), rows[0].clone()];
    check(&mut rows, &mut cache, 8);
    let mut own = (vec![rows[0].clone()], cache.row(0));
    assert_eq!(own.1.len(), rows[0].len());
    own.1.reserve(2);
    check(&mut own.0, &mut own.1, 9);
    // A longer one joins a shorter one.
    let more = prompt(20, 4);
    let (_, long) = model.prefill(&[&more], 0);
    own.1.join(long);
    own.0.push(more);
    own.1.reserve(1);
    check(&mut own.0, &mut own.1, 3);
    own.1.select_rows(&[]);
    assert!(own.1.is_empty() && own.1.batch() == 0);
    check(&mut rows, &mut cache, 9);
}

#[test]
fn rows_that_come_and_go_leave_no_room_behind() {
    let model = config(FeedForwardKind::SwiGlu).init::<Plain>(&Default::default());
    let model = model.expect("a model");
    let (_, mut cache) = model.prefill(&[&prompt(4, 1)], 6);
    for seed in 2..6 {
        // A long row comes, and goes again while the short one continues.
        cache.join(model.prefill(&[&prompt(40, seed)], 6).1);
        assert!(
            cache.capacity() - cache.len() <= 6,
            "{} of {}",
            cache.len(),
            cache.capacity()
        );
        cache.select_rows(&[0]);
        assert_eq!((cache.len(), cache.capacity()), (4, 10));
    }
    // A row kept gives back what the tokens forgotten took.
    let (_, mut kept) = model.prefill(&[&prompt(50, 1)], 0);
    kept.truncate(8);
    kept.reserve(3);
    assert_eq!((kept.len(), kept.capacity()), (8, 11));
    let found = model.forward_cached(model.ids(&[[5, 6, 7]]), &mut kept); // [1, 3, D]
    let whole = [&prompt(50, 1)[..8], &[5, 6, 7]].concat();
    let expected = model.hidden(row(&whole), &SequenceLayout::default()).narrow(1, 8, 3); // [1, 3, D]
    assert!(largest_difference(found.into_data(), &expected.into_data()) <= tolerance::TINY_HIDDEN);
}

#[test]
#[should_panic(expected = "2 tokens do not cover the 3 of padding")]
fn a_cache_is_not_cut_within_its_padding() {
    let model = config(FeedForwardKind::SwiGlu).init::<Plain>(&Default::default());
    let (_, mut cache) = model.expect("a model").prefill(&[&[1, 2, 3, 4], &[5]], 0);
    cache.truncate(2);
}

#[test]
fn packed_documents_do_not_see_each_other() {
    let config = config(FeedForwardKind::SwiGlu);
    let model = config.init::<Plain>(&Default::default()).expect("a model");
    let (first, second) = (prompt(9, 3), prompt(14, 4));
    let packed: Vec<u32> = first.iter().chain(&second).copied().collect();
    let ints = |values: Vec<i32>| Some(Tensor::from_data(TensorData::new(values, [1, 23]), &Default::default()));
    let layout = SequenceLayout {
        positions: ints((0..9).chain(0..14).collect()),
        documents: ints([0; 9].into_iter().chain([1; 14]).collect()),
    };
    let packed = model.hidden(row(&packed), &layout);
    for (tokens, start) in [(first, 0), (second, 9)] {
        let alone = model.hidden(row(&tokens), &SequenceLayout::default()).into_data();
        let difference = largest_difference(packed.clone().narrow(1, start, tokens.len()).into_data(), &alone);
        assert!(difference <= tolerance::TINY_HIDDEN, "{difference:e}");
    }
}
