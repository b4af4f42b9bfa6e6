use burn::{
    backend::{Autodiff, Flex},
    tensor::{DType, Distribution, Int, Tensor, TensorData, backend::Backend},
};
use proptest::prelude::*;
use smollm2_train::loss::{TrainBackend, chunked_cross_entropy, chunked_cross_entropy_reference, cross_entropy_sum};

type B = Autodiff<Flex>;

/// Largest difference relative to the largest entry, or to the largest term where the terms cancel.
fn difference<const D: usize>(found: Tensor<Flex, D>, expected: Tensor<Flex, D>, term: f32) -> f32 {
    let size = largest(expected.clone()).max(term);
    largest(found - expected) / size
}

fn largest<const D: usize>(tensor: Tensor<Flex, D>) -> f32 {
    tensor.abs().max().into_scalar()
}

fn compare(rows: usize, channels: usize, vocab: usize, chunk: usize, size: f64) {
    let device = Default::default();
    B::seed(&device, (rows * 31 + vocab) as u64);
    let hidden = Tensor::<B, 2>::random([rows, channels], Distribution::Normal(0.0, size), &device).require_grad();
    let weight = Tensor::<B, 2>::random([vocab, channels], Distribution::Normal(0.0, 1.0), &device).require_grad();
    let ids: Vec<i64> = (0..rows).map(|row| ((row * 7 + 3) % vocab) as i64).collect();
    let targets = Tensor::<B, 1, Int>::from_data(TensorData::new(ids, [rows]), &device);
    let scale = 1.0 / rows as f64;
    let run = |fused: bool| {
        let (h, w, t) = (hidden.clone(), weight.clone(), targets.clone());
        let loss = match fused {
            true => chunked_cross_entropy(h, w, t, scale, chunk),
            false => chunked_cross_entropy_reference(h, w, t, scale),
        };
        // A factor other than one: the backward must scale what the forward prepared.
        let gradients = loss.clone().mul_scalar(1.7).backward();
        (
            loss.inner(),
            hidden.grad(&gradients).unwrap(),
            weight.grad(&gradients).unwrap(),
        )
    };
    let (found, expected) = (run(true), run(false));
    // Where the model is certain of a target, the loss is a difference of two equal logits, and the gradients are sums of
    // hidden states or weights whose factors, a probability less 1 and the others, cancel.
    let logits = largest(hidden.clone().inner().matmul(weight.clone().inner().transpose()));
    let factor = 1.7 * scale as f32;
    let (of_hidden, of_weight) = (
        factor * largest(weight.clone().inner()),
        factor * largest(hidden.clone().inner()),
    );
    let sum = cross_entropy_sum(hidden.inner(), weight.inner(), targets.inner(), chunk).mul_scalar(scale);
    for (name, value) in [
        ("loss", difference(found.0, expected.0.clone(), logits)),
        ("value without gradients", difference(sum, expected.0, logits)),
        ("gradient of hidden", difference(found.1, expected.1, of_hidden)),
        ("gradient of weight", difference(found.2, expected.2, of_weight)),
    ] {
        let bound = fixtures::tolerance::CHUNKED_LOSS as f32;
        assert!(
            value <= bound,
            "{name} differs by {value} for N {rows}, D {channels}, V {vocab}, chunk {chunk}"
        );
    }
}

#[test]
fn agrees_with_the_reference_over_awkward_shapes() {
    for (rows, channels, vocab) in [(1, 1, 2), (4, 47, 31), (31, 123, 97), (47, 31, 123), (65, 8, 513)] {
        for chunk in [1, 7, 31, 64, 1000] {
            compare(rows, channels, vocab, chunk, 1.0);
        }
    }
}

#[test]
fn survives_large_logits() {
    compare(9, 16, 33, 4, 50.0);
}

/// One row, so that in some of the draws the only target is all but certain.
#[test]
fn agrees_with_the_reference_where_the_target_is_certain() {
    for vocab in 2..200 {
        compare(1, 29, vocab, 30, 1.0);
    }
}

#[test]
fn no_target_is_no_loss() {
    let device = Default::default();
    let hidden = Tensor::<B, 2>::zeros([0, 4], &device);
    let targets = Tensor::<B, 1, Int>::zeros([0], &device);
    let loss = chunked_cross_entropy(hidden, Tensor::ones([5, 4], &device), targets, 1.0, 8);
    assert_eq!(loss.into_scalar(), 0.0);
}

/// Gradients of the embedding in bf16 with chunks of this size.
fn embedding_gradient(chunk: usize, dtype: DType) -> Vec<f64> {
    let (rows, channels, vocab) = (512, 16, 24);
    let device = Default::default();
    let numbers = |count: usize, step: f32| (0..count).map(|i| (i as f32 * step).sin()).collect::<Vec<f32>>();
    let hidden = TensorData::new(numbers(rows * channels, 0.37), [rows, channels]);
    let weight = TensorData::new(numbers(vocab * channels, 0.73), [vocab, channels]);
    let hidden = Tensor::<B, 2>::from_data(hidden, &device).cast(DType::BF16).cast(dtype);
    let weight = Tensor::<B, 2>::from_data(weight, &device).cast(DType::BF16).cast(dtype);
    let weight = weight.detach().require_grad();
    let ids: Vec<i64> = (0..rows).map(|row| (row * 7 % vocab) as i64).collect();
    let targets = Tensor::<B, 1, Int>::from_data(TensorData::new(ids, [rows]), &device);
    let loss = chunked_cross_entropy(hidden, weight.clone(), targets, 1.0 / rows as f64, chunk);
    let gradient = weight.grad(&loss.backward()).unwrap();
    assert_eq!(gradient.dtype(), dtype);
    gradient.into_data().iter::<f64>().collect()
}

/// The sum over chunks is made in f32: 64 chunks lose no more than one.
#[test]
fn many_chunks_in_bf16_are_as_exact_as_one() {
    let exact = embedding_gradient(512, DType::F32);
    let off = |chunk| {
        let found = embedding_gradient(chunk, DType::BF16);
        let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
        squares(&mut found.iter().zip(&exact).map(|(a, b)| a - b)) / squares(&mut exact.iter().copied())
    };
    let (one, many) = (off(512), off(8));
    eprintln!("bf16 against f32: {one:.2e} with one chunk, {many:.2e} with 64");
    assert!(many <= 1.5 * one, "{many:e} with 64 chunks, {one:e} with one");
}

/// On a GPU a short tensor would be read beyond its end.
#[test]
fn tensors_that_do_not_fit_are_refused() {
    let device = Default::default();
    let tensor = |shape: [usize; 2]| Tensor::<B, 2>::ones(shape, &device).require_grad();
    let targets = |rows| Tensor::<B, 1, Int>::zeros([rows], &device);
    let message = |hidden: Tensor<B, 2>, weight: Tensor<B, 2>, targets: Tensor<B, 1, Int>| {
        let calls: [&dyn Fn(); 3] = [
            &|| {
                drop(chunked_cross_entropy(
                    hidden.clone(),
                    weight.clone(),
                    targets.clone(),
                    1.0,
                    2,
                ))
            },
            &|| {
                let (hidden, weight) = (hidden.clone().into_primitive(), weight.clone().into_primitive());
                let targets = targets.clone().into_primitive();
                let _ = B::chunked_cross_entropy(hidden.tensor(), weight.tensor(), targets, 1.0, 2);
            },
            &|| {
                let (hidden, weight) = (hidden.clone().inner(), weight.clone().inner());
                drop(cross_entropy_sum(hidden, weight, targets.clone().inner(), 2));
            },
        ];
        calls.map(|call| {
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).expect_err("it was accepted");
            *panic.downcast::<String>().expect("a message with values")
        })
    };
    for (found, expected) in [
        (
            message(tensor([3, 4]), tensor([5, 4]), targets(2)),
            "rows of hidden and targets",
        ),
        (
            message(tensor([3, 4]), tensor([5, 3]), targets(3)),
            "channels of hidden and weight",
        ),
        (
            message(tensor([3, 4]), tensor([5, 4]).cast(DType::BF16), targets(3)),
            "types of hidden and weight",
        ),
    ] {
        for message in found {
            assert!(message.contains(expected), "{message}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(fixtures::cases(24)))]
    #[test]
    fn agrees_with_the_reference(rows in 1usize..40, channels in 1usize..40, vocab in 2usize..80, chunk in 1usize..50) {
        compare(rows, channels, vocab, chunk, 1.0);
    }
}
