//! `cargo bench -p benches --bench rational`: the gated rational beside SiLU(gate) * up, forward and with backward.
//!
//! The shape is one SmolLM2-135M feed-forward over 2,048 tokens: gate and up of `[2048, 1536]` in f32, on Flex.

use burn::{
    backend::{Autodiff, Flex},
    tensor::{Distribution, Tensor, activation::silu},
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kan_rational::{Degrees, GroupRational, GroupRationalConfig, RationalBackend};
use std::hint::black_box;

type B = Autodiff<Flex>;
const SHAPE: [usize; 2] = [2048, 1536];

/// Gate, up and the gradient of the output.
fn inputs() -> [Tensor<B, 2>; 3] {
    std::array::from_fn(|_| Tensor::random(SHAPE, Distribution::Normal(0.0, 1.5), &Default::default()))
}

fn module<B: RationalBackend>(degrees: (usize, usize)) -> GroupRational<B> {
    let config = GroupRationalConfig::new().with_degrees(Degrees::new(degrees.0, degrees.1));
    config.init(SHAPE[1], &Default::default())
}

fn forward(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forward");
    group.throughput(Throughput::Elements((SHAPE[0] * SHAPE[1]) as u64));
    let [gate, up, _] = inputs().map(Tensor::inner);
    group.bench_function("silu * up", |bencher| {
        bencher.iter(|| black_box(silu(gate.clone()) * up.clone()))
    });
    for degrees in [(5, 4), (7, 6)] {
        let module = module::<Flex>(degrees);
        let name = format!("gated rational {degrees:?}");
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(module.forward_gated(gate.clone(), up.clone())))
        });
    }
}

fn forward_and_backward(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forward and backward");
    group.throughput(Throughput::Elements((SHAPE[0] * SHAPE[1]) as u64));
    let [gate, up, grad] = inputs();
    let run = |f: &dyn Fn(Tensor<B, 2>, Tensor<B, 2>) -> Tensor<B, 2>| {
        let y = f(gate.clone().require_grad(), up.clone().require_grad()); // [T, F]
        black_box((y * grad.clone()).sum().backward());
    };
    group.bench_function("silu * up", |bencher| bencher.iter(|| run(&|gate, up| silu(gate) * up)));
    for degrees in [(5, 4), (7, 6)] {
        let module = module::<B>(degrees);
        let name = format!("gated rational {degrees:?}");
        group.bench_function(name, |bencher| {
            bencher.iter(|| run(&|gate, up| module.forward_gated(gate, up)))
        });
    }
}

criterion_group!(benches, forward, forward_and_backward);
criterion_main!(benches);
