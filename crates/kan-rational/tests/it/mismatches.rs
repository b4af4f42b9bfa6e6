//! Tensors that do not fit together: every operation names the first of them before it reads a value.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::{
    backend::Autodiff,
    tensor::{DType, ops::FloatTensor},
};
use kan_rational::{Denominator, RationalBackend, RationalSpec, reference};

use crate::support::primitive;

const ROWS: usize = 700; // more than one block of the CPU kernels
const CHANNELS: usize = 24;
const GROUPS: usize = 3;

#[derive(Clone, Copy, Debug)]
enum Operation {
    Forward,
    Backward,
    Gated,
    GatedBackward,
}

impl Operation {
    /// Name in messages.
    fn name(self) -> &'static str {
        match self {
            Self::Forward => "group_rational",
            Self::Backward => "group_rational_backward",
            Self::Gated => "gated_rational",
            Self::GatedBackward => "gated_rational_backward",
        }
    }

    /// Tensors in the order of the call.
    fn tensors(self) -> &'static [&'static str] {
        match self {
            Self::Forward => &["x", "numerator", "denominator"],
            Self::Backward => &["x", "numerator", "denominator", "grad_output"],
            Self::Gated => &["gate", "up", "numerator", "denominator"],
            Self::GatedBackward => &["gate", "up", "numerator", "denominator", "grad_output"],
        }
    }

    fn run<B: RationalBackend>(self, tensors: &[FloatTensor<B>], spec: RationalSpec) {
        match (self, tensors) {
            (Self::Forward, [x, a, b]) => drop(B::group_rational(x.clone(), a.clone(), b.clone(), spec)),
            (Self::Backward, [x, a, b, grad]) => {
                drop(B::group_rational_backward(
                    x.clone(),
                    a.clone(),
                    b.clone(),
                    grad.clone(),
                    spec,
                ));
            }
            (Self::Gated, [gate, up, a, b]) => {
                drop(B::gated_rational(gate.clone(), up.clone(), a.clone(), b.clone(), spec));
            }
            (Self::GatedBackward, [gate, up, a, b, grad]) => {
                let (gate, up, grad) = (gate.clone(), up.clone(), grad.clone());
                drop(B::gated_rational_backward(gate, up, a.clone(), b.clone(), grad, spec));
            }
            _ => unreachable!("as many tensors as the operation has"),
        }
    }

    fn run_reference<B: RationalBackend>(self, tensors: &[FloatTensor<B>], spec: RationalSpec) {
        match (self, tensors) {
            (Self::Forward, [x, a, b]) => {
                drop(reference::group_rational::<B>(x.clone(), a.clone(), b.clone(), spec));
            }
            (Self::Backward, [x, a, b, grad]) => {
                let (a, b) = (a.clone(), b.clone());
                drop(reference::group_rational_backward::<B>(
                    x.clone(),
                    a,
                    b,
                    grad.clone(),
                    spec,
                ));
            }
            (Self::Gated, [gate, up, a, b]) => {
                let (a, b) = (a.clone(), b.clone());
                drop(reference::gated_rational::<B>(gate.clone(), up.clone(), a, b, spec));
            }
            (Self::GatedBackward, [gate, up, a, b, grad]) => {
                let (gate, up, grad) = (gate.clone(), up.clone(), grad.clone());
                let (a, b) = (a.clone(), b.clone());
                drop(reference::gated_rational_backward::<B>(gate, up, a, b, grad, spec));
            }
            _ => unreachable!("as many tensors as the operation has"),
        }
    }
}

/// The shape that belongs to a tensor.
fn shape(tensor: &str) -> [usize; 2] {
    match tensor {
        "numerator" => [GROUPS, 6],
        "denominator" => [GROUPS, 4],
        _ => [ROWS, CHANNELS],
    }
}

/// Shapes that do not: shorter, longer, of another rank, and as many numbers in another arrangement.
fn wrong_shapes(tensor: &str) -> Vec<Vec<usize>> {
    match tensor {
        "numerator" => vec![vec![GROUPS - 1, 6], vec![GROUPS + 1, 6], vec![GROUPS, 11], vec![18]],
        "denominator" => vec![vec![GROUPS - 1, 4], vec![GROUPS + 1, 4], vec![GROUPS, 9], vec![12]],
        "x" | "gate" => vec![vec![ROWS, CHANNELS + 1]],
        _ => vec![
            vec![ROWS - 1, CHANNELS],
            vec![ROWS + 1, CHANNELS],
            vec![ROWS * CHANNELS],
            vec![CHANNELS, ROWS],
        ],
    }
}

fn ones<B: RationalBackend>(shape: &[usize], dtype: DType) -> FloatTensor<B> {
    primitive::<B>(&vec![1.0; shape.iter().product()], shape, dtype)
}

/// What a call panics with.
fn panic_of(call: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(call)).expect_err("tensors that do not fit are refused");
    payload.downcast_ref::<String>().expect("a message").clone()
}

fn check<B: RationalBackend>(operation: Operation) {
    let spec = RationalSpec::new(GROUPS).with_denominator(Denominator::SumOfAbs);
    let sound: Vec<FloatTensor<B>> = operation
        .tensors()
        .iter()
        .map(|name| ones::<B>(&shape(name), DType::F32))
        .collect();
    operation.run::<B>(&sound, spec);
    for (index, name) in operation.tensors().iter().enumerate() {
        let refused = |wrong: FloatTensor<B>, expected: &str, found: &str| {
            let mut tensors = sound.clone();
            tensors[index] = wrong;
            for message in [
                panic_of(|| operation.run::<B>(&tensors, spec)),
                panic_of(|| operation.run_reference::<B>(&tensors, spec)),
            ] {
                assert!(message.starts_with(&format!("{}: ", operation.name())), "{message}");
                assert!(message.contains(expected) && message.contains(found), "{message}");
            }
        };
        for shape in wrong_shapes(name) {
            let wrong = ones::<B>(&shape, DType::F32);
            match *name {
                "x" | "gate" => refused(wrong, "3 groups", "25 channels"),
                _ => refused(wrong, name, &format!("{shape:?}")),
            }
        }
        let half = DType::F16;
        if !B::supports_dtype(&Default::default(), half) {
            println!("the device has no {half:?}: it is not checked");
        } else if index > 0 {
            refused(ones::<B>(&shape(name), half), name, "F16");
        } else if let Some(other) = operation
            .tensors()
            .iter()
            .find(|name| matches!(**name, "up" | "grad_output"))
        {
            refused(ones::<B>(&shape(name), half), other, "F32");
        }
    }
}

#[test]
fn forward_names_the_tensor_that_does_not_fit() {
    on_every_backend!(check(Operation::Forward));
    check::<Autodiff<crate::Device>>(Operation::Forward);
}

#[test]
fn backward_names_the_tensor_that_does_not_fit() {
    on_every_backend!(check(Operation::Backward));
    check::<Autodiff<crate::Device>>(Operation::Backward);
}

#[test]
fn gated_forward_names_the_tensor_that_does_not_fit() {
    on_every_backend!(check(Operation::Gated));
    check::<Autodiff<crate::Device>>(Operation::Gated);
}

#[test]
fn gated_backward_names_the_tensor_that_does_not_fit() {
    on_every_backend!(check(Operation::GatedBackward));
    check::<Autodiff<crate::Device>>(Operation::GatedBackward);
}
