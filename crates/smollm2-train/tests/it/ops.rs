//! The passes of a step on Flex against the plain-tensor reference.

use burn::{
    backend::Flex,
    tensor::{DType, Distribution, Int, Tensor, TensorData},
};
use fixtures::tolerance::OPERATION;
use smollm2_train::ops::{AdamWState, AdamWStep, SoftmaxLoss, StepBackend, reference};

fn normal<const D: usize>(shape: [usize; D]) -> Tensor<Flex, D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Default::default())
}

/// The norm of the difference against the norm of what was expected.
fn assert_close<const D: usize>(what: &str, found: Tensor<Flex, D>, expected: Tensor<Flex, D>) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let norm = |x: Tensor<Flex, D>| x.into_data().iter::<f64>().map(|x| x * x).sum::<f64>().sqrt();
    let (difference, scale) = (norm(found - expected.clone()), norm(expected));
    assert!(difference <= OPERATION * scale, "{what}: {difference:e} of {scale:e}");
}

#[test]
fn adamw_is_the_reference_whoever_holds_the_tensors() {
    let step = AdamWStep {
        clip: 0.7,
        beta1: 0.9,
        beta2: 0.99,
        step_size: 0.02,
        epsilon: 1e-4,
        decay: 0.003,
    };
    for [rows, columns] in [[1, 1], [3, 7], [200, 333]] {
        let shape = [rows, columns];
        let start = AdamWState {
            weight: normal(shape),
            first: normal(shape).mul_scalar(0.1),
            second: normal(shape).square().mul_scalar(0.1),
        };
        // A view: weight gradients of a product may be transposed.
        let gradient = normal([columns, rows]).transpose();
        let before = start.weight.to_data();
        let expected = reference::adamw(start.clone(), gradient.clone(), &step);
        let found = Flex::adamw(start.clone(), gradient, &step);
        assert_close("weight", found.weight, expected.weight);
        assert_close("first", found.first, expected.first);
        assert_close("second", found.second, expected.second);
        assert_eq!(
            start.weight.to_data(),
            before,
            "a tensor somebody else holds stays what it was"
        );
    }
    let base = normal([4, 6]);
    let slice = |start| base.clone().narrow(0, start, 2);
    let state = AdamWState {
        weight: slice(0),
        first: slice(1),
        second: slice(2).square(),
    };
    let expected = reference::adamw(state.clone(), slice(1), &step);
    assert_close("weight", Flex::adamw(state, slice(1), &step).weight, expected.weight);
}

#[test]
fn square_sums_are_the_reference_for_any_number_of_threads() {
    let x = normal([300, 301]);
    let expected = reference::square_sum(x.clone());
    assert_close("square sum", Flex::square_sum(x.clone()), expected);
    assert_close(
        "square sum",
        Flex::square_sum(x.clone().transpose()),
        Flex::square_sum(x.clone()),
    );
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a pool");
        pool.install(|| Flex::square_sum(x.clone()).into_data())
    };
    assert_eq!(run(1), run(3));
    let poisoned = Tensor::<Flex, 1>::from_floats([1.0, f32::NAN], &Default::default());
    assert!(Flex::square_sum(poisoned).into_scalar().is_nan());
}

#[test]
fn softmax_and_loss_are_the_reference() {
    for [rows, vocab] in [[1, 1], [3, 7], [65, 1000]] {
        let logits = normal([rows, vocab]).mul_scalar(20.0);
        let targets: Vec<i64> = (0..rows).map(|row| (row * 31 % vocab) as i64).collect();
        let targets = Tensor::<Flex, 1, Int>::from_data(TensorData::new(targets, [rows]), &Default::default());
        let expected = reference::softmax_loss(logits.clone(), targets.clone());
        let found = Flex::softmax_loss(logits, targets);
        assert_close("exponentials", found.exponentials, expected.exponentials);
        assert_close("sums", found.sums, expected.sums);
        let (found, expected) = (found.loss.into_scalar(), expected.loss.into_scalar());
        assert!((found - expected).abs() <= 1e-5 * expected.abs(), "{found} {expected}");
    }
    let infinite = Tensor::<Flex, 2>::from_floats([[0.0, f32::NAN]], &Default::default());
    let target = Tensor::<Flex, 1, Int>::zeros([1], &Default::default());
    assert!(
        Flex::softmax_loss(infinite, target).loss.into_scalar().is_nan(),
        "a broken logit is seen in the loss"
    );
}

/// The message of the panic of `call`.
fn refused<T>(call: impl FnOnce() -> T) -> String {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(call()))).expect_err("it was accepted");
    *panic.downcast::<String>().expect("a message with values")
}

/// A tensor that is too short would leave part of a parameter as it was, or be read beyond its end.
#[test]
fn adamw_refuses_tensors_that_do_not_fit() {
    type Run = fn(AdamWState<Flex, 2>, Tensor<Flex, 2>, &AdamWStep) -> AdamWState<Flex, 2>;
    let step = AdamWStep {
        clip: 1.0,
        beta1: 0.9,
        beta2: 0.99,
        step_size: 0.02,
        epsilon: 1e-4,
        decay: 0.0,
    };
    let shapes = [[200, 100]; 4];
    let runs: [(&str, Run); 2] = [("flex", Flex::adamw), ("reference", reference::adamw)];
    for (name, run) in runs {
        for (index, tensor) in ["weight", "first moment", "second moment", "gradient"]
            .into_iter()
            .enumerate()
        {
            let mut short = shapes;
            short[index] = [199, 100];
            let call = |shapes: [[usize; 2]; 4], half: Option<usize>| {
                let [weight, first, second, gradient] = [0, 1, 2, 3].map(|index| {
                    let tensor = normal(shapes[index]);
                    match half {
                        Some(half) if half == index => tensor.cast(DType::BF16),
                        _ => tensor,
                    }
                });
                run(AdamWState { weight, first, second }, gradient, &step)
            };
            let message = refused(|| call(short, None));
            assert!(message.contains("shape of the"), "{name}, {tensor}: {message}");
            let message = refused(|| call(shapes, Some(index)));
            assert!(message.contains(&format!("type of the {tensor}")), "{name}: {message}");
        }
    }
}

#[test]
fn softmax_refuses_targets_and_logits_that_do_not_fit() {
    type Run = fn(Tensor<Flex, 2>, Tensor<Flex, 1, Int>) -> SoftmaxLoss<Flex>;
    let targets = |rows| Tensor::<Flex, 1, Int>::zeros([rows], &Default::default());
    let runs: [(&str, Run); 2] = [("flex", Flex::softmax_loss), ("reference", reference::softmax_loss)];
    for (name, run) in runs {
        for rows in [2, 4] {
            let message = refused(|| run(normal([3, 7]), targets(rows)));
            assert!(message.contains("rows of logits and targets"), "{name}: {message}");
        }
        let message = refused(|| run(normal([3, 7]).cast(DType::BF16), targets(3)));
        assert!(message.contains("type of the logits"), "{name}: {message}");
    }
}
