//! `cargo bench -p benches --bench rational`: the rational against SiLU(x), the gated one against SiLU(gate) * up,
//! forward and with backward, in both forms.
//!
//! The shape is one SmolLM2-135M feed-forward over 2,048 tokens: gate and up of `[2048, 1536]` in f32, on Flex.

use burn::{
    backend::{Autodiff, Flex},
    tensor::{Distribution, Tensor, activation::silu},
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kan_rational::{Degrees, Denominator, GroupRational, GroupRationalConfig, RationalBackend};
use std::hint::black_box;

type B = Autodiff<Flex>;
const SHAPE: [usize; 2] = [2048, 1536];

/// Gate, up and the gradient of the output.
fn inputs() -> [Tensor<B, 2>; 3] {
    std::array::from_fn(|_| Tensor::random(SHAPE, Distribution::Normal(0.0, 1.5), &Default::default()))
}

/// Names and settings of the functions that are timed.
const FUNCTIONS: [(&str, Degrees, Denominator); 3] = [
    ("(5, 4)", Degrees::new(5, 4), Denominator::SumOfAbs),
    ("(7, 6)", Degrees::new(7, 6), Denominator::SumOfAbs),
    ("(5, 4), form B", Degrees::new(5, 4), Denominator::AbsOfSum),
];

fn module<B: RationalBackend>(degrees: Degrees, form: Denominator) -> GroupRational<B> {
    let config = GroupRationalConfig::new().with_degrees(degrees).with_denominator(form);
    config.init(SHAPE[1], &Default::default())
}

fn forward(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forward");
    group.throughput(Throughput::Elements((SHAPE[0] * SHAPE[1]) as u64));
    let [gate, up, _] = inputs().map(Tensor::inner);
    group.bench_function("silu", |bencher| bencher.iter(|| black_box(silu(gate.clone()))));
    group.bench_function("silu * up", |bencher| {
        bencher.iter(|| black_box(silu(gate.clone()) * up.clone()))
    });
    for (name, degrees, form) in FUNCTIONS {
        let module = module::<Flex>(degrees, form);
        group.bench_function(format!("rational {name}"), |bencher| {
            bencher.iter(|| black_box(module.forward(gate.clone())))
        });
        group.bench_function(format!("gated rational {name}"), |bencher| {
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
    group.bench_function("silu", |bencher| bencher.iter(|| run(&|gate, _| silu(gate))));
    group.bench_function("silu * up", |bencher| bencher.iter(|| run(&|gate, up| silu(gate) * up)));
    for (name, degrees, form) in FUNCTIONS {
        let module = module::<B>(degrees, form);
        group.bench_function(format!("rational {name}"), |bencher| {
            bencher.iter(|| run(&|gate, _| module.forward(gate)))
        });
        group.bench_function(format!("gated rational {name}"), |bencher| {
            bencher.iter(|| run(&|gate, up| module.forward_gated(gate, up)))
        });
    }
}

criterion_group!(benches, forward, forward_and_backward);
criterion_main!(benches);
