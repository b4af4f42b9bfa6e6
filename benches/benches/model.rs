//! `cargo bench -p benches --bench model`: the decoder's operations on Flex against the plain-tensor reference, forward
//! with backward, and one block with each feed-forward.
//!
//! Shapes of SmolLM2-135M over one sequence of 512 tokens, f32.

use burn::{
    backend::{Autodiff, Flex},
    tensor::{Distribution, Int, Tensor, TensorPrimitive, backend::Backend, ops::FloatTensor},
};
use criterion::{Criterion, criterion_group, criterion_main};
use smollm2_model::{
    FeedForwardKind, SequenceLayout, SmolLm2Config,
    ops::{causal_attention, gated_silu, reference, rms_norm, rotate},
};
use std::hint::black_box;

type B = Autodiff<Flex>;
const TOKENS: usize = 512;

fn normal<const D: usize>(shape: [usize; D]) -> Tensor<B, D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Default::default()).require_grad()
}

fn unwrap<const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

fn wrap<const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

/// Times `fused` and `plain`, each with its backward pass.
fn pair<const D: usize>(
    criterion: &mut Criterion,
    name: &str,
    fused: impl Fn() -> Tensor<B, D>,
    plain: impl Fn() -> Tensor<B, D>,
) {
    let mut group = criterion.benchmark_group(name);
    group.bench_function("one pass", |bencher| {
        bencher.iter(|| black_box(fused().sum().backward()))
    });
    group.bench_function("reference", |bencher| {
        bencher.iter(|| black_box(plain().sum().backward()))
    });
}

fn norm_and_rotation(criterion: &mut Criterion) {
    let (x, weight) = (normal([TOKENS, 576]), normal([576]));
    pair(
        criterion,
        "rms_norm",
        || rms_norm(x.clone(), weight.clone(), 1e-5),
        || {
            wrap(reference::rms_norm::<B>(
                unwrap(x.clone()),
                unwrap(weight.clone()),
                1e-5,
            ))
        },
    );
    let (cos, sin) = (normal([TOKENS, 64]).detach(), normal([TOKENS, 64]).detach());
    pair(
        criterion,
        "rotate",
        || rotate(x.clone(), cos.clone(), sin.clone()),
        || {
            wrap(reference::rotate::<B>(
                unwrap(x.clone()),
                unwrap(cos.clone()),
                unwrap(sin.clone()),
            ))
        },
    );
}

fn gate_and_attention(criterion: &mut Criterion) {
    let (gate, up) = (normal([TOKENS, 1536]), normal([TOKENS, 1536]));
    pair(
        criterion,
        "gated_silu",
        || gated_silu(gate.clone(), up.clone()),
        || wrap(reference::gated_silu::<B>(unwrap(gate.clone()), unwrap(up.clone()))),
    );
    let heads = |heads| normal([1, heads, TOKENS, 64]);
    let (query, key, value) = (heads(9), heads(3), heads(3));
    let attention = || [query.clone(), key.clone(), value.clone()];
    pair(
        criterion,
        "causal_attention",
        || {
            let [query, key, value] = attention();
            causal_attention(query, key, value, None)
        },
        || {
            let [query, key, value] = attention().map(unwrap);
            wrap(reference::causal_attention::<B>(query, key, value, None))
        },
    );
}

fn blocks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("block");
    for kind in FeedForwardKind::ALL {
        let mut config = SmolLm2Config::smollm2_135m().with_feed_forward(kind);
        config.num_hidden_layers = 1;
        config.vocab_size = 64;
        config.feed_forward.truncate(1);
        let device = Default::default();
        let model = config.init::<B>(&device).expect("a valid configuration");
        let ids = Tensor::<B, 2, Int>::zeros([1, TOKENS], &device);
        let context = model.context(&ids, &SequenceLayout::default());
        let x = model.embed(ids); // [1, T, D]
        let block = &model.blocks()[0];
        group.bench_function(format!("{kind:?}"), |bencher| {
            bencher.iter(|| {
                let gradients = block.forward(x.clone(), &context).sum().backward();
                B::sync(&device).ok();
                black_box(gradients)
            })
        });
    }
}

criterion_group!(benches, norm_and_rotation, gate_and_attention, blocks);
criterion_main!(benches);
