//! Tensors that do not fit together: every operation names the first of them before it reads a value. Runs on Flex,
//! and with the feature `wgpu` on that too.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::{
    backend::{Autodiff, Flex},
    tensor::{Bool, DType, Tensor, backend::Backend, ops::FloatTensor},
};
use smollm2_model::ops::{DecoderBackend, reference};

/// An operation on its tensors in the order of the call.
type Run<B> = fn(&[FloatTensor<B>]);

/// Name of the operation, its tensors with sound shapes, and two implementations.
struct Operation<B: Backend> {
    name: &'static str,
    tensors: &'static [(&'static str, &'static [usize])],
    runs: [Run<B>; 2],
}

/// An operation of the trait and the reference of the same name.
macro_rules! operation {
    ($name:ident [$($tensor:ident: $shape:expr),*] ($($argument:expr),*)) => {
        Operation {
            name: stringify!($name),
            tensors: &[$((stringify!($tensor), {
                const SHAPE: &[usize] = &$shape;
                SHAPE
            })),*],
            runs: [
                |tensors| {
                    let [$($tensor),*] = tensors else { unreachable!("as many tensors as the operation has") };
                    $(let $tensor = $tensor.clone();)*
                    drop(B::$name($($argument),*));
                },
                |tensors| {
                    let [$($tensor),*] = tensors else { unreachable!("as many tensors as the operation has") };
                    $(let $tensor = $tensor.clone();)*
                    drop(reference::$name::<B>($($argument),*));
                },
            ],
        }
    };
}

fn operations<B: DecoderBackend>() -> Vec<Operation<B>> {
    vec![
        operation!(rms_norm [x: [6, 8], weight: [8]] (x, weight, 1e-5)),
        operation!(rms_norm_backward [x: [6, 8], weight: [8], grad_output: [6, 8]] (x, weight, grad_output, 1e-5)),
        operation!(rotate [x: [6, 8], cos: [3, 4], sin: [3, 4]] (x, cos, sin)),
        operation!(silu [x: [6, 8]] (x)),
        operation!(silu_backward [x: [6, 8], grad_output: [6, 8]] (x, grad_output)),
        operation!(gated_silu [gate: [6, 8], up: [6, 8]] (gate, up)),
        operation!(gated_silu_backward [gate: [6, 8], up: [6, 8], grad_output: [6, 8]] (gate, up, grad_output)),
        operation!(causal_attention
            [query: [2, 4, 3, 8], key: [2, 2, 5, 8], value: [2, 2, 5, 8]]
            (query, key, value, None)),
        operation!(causal_attention_backward
            [query: [2, 4, 3, 8], key: [2, 2, 5, 8], value: [2, 2, 5, 8], grad_output: [2, 4, 3, 8]]
            (query, key, value, None, grad_output)),
        operation!(write_tokens [buffer: [2, 2, 7, 8], new: [2, 2, 3, 8]] (buffer, new, 4)),
    ]
}

fn ones<B: Backend>(shape: &[usize], dtype: DType) -> FloatTensor<B> {
    let count: usize = shape.iter().product();
    let flat = Tensor::<B, 1>::ones([count], &Default::default()).cast(dtype);
    B::float_reshape(flat.into_primitive().tensor(), shape.to_vec().into())
}

/// What a call panics with.
fn panic_of(call: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(call)).expect_err("tensors that do not fit are refused");
    payload.downcast_ref::<String>().expect("a message").clone()
}

/// Shapes that do not belong to a tensor: each size one less and one more, and other numbers of dimensions. Left out is
/// what another sound call of the operation may have.
fn wrong_shapes(operation: &str, tensor: &str, shape: &[usize]) -> Vec<Vec<usize>> {
    let mut wrong: Vec<Vec<usize>> = Vec::new();
    for axis in 0..shape.len() {
        for size in [shape[axis] - 1, shape[axis] + 1] {
            let mut shape = shape.to_vec();
            shape[axis] = size;
            wrong.push(shape);
        }
    }
    wrong.push([&[1], shape].concat());
    wrong.push(vec![shape.iter().product(), 1, 1]);
    let allowed: &[&[usize]] = match (operation, tensor) {
        ("rms_norm", "x") => &[&[5, 8], &[7, 8]],
        ("silu", "x") => &[&[5, 8], &[7, 8], &[6, 7], &[6, 9]],
        ("causal_attention", "query") => &[&[2, 4, 2, 8], &[2, 4, 4, 8]],
        ("write_tokens", "new") => &[&[2, 2, 2, 8]],
        ("write_tokens", "buffer") => &[&[2, 2, 8, 8]],
        _ => &[],
    };
    wrong.retain(|shape| !allowed.contains(&shape.as_slice()));
    wrong
}

fn check<B: DecoderBackend>(name: &str) {
    let operations = operations::<B>();
    let operation = operations
        .iter()
        .find(|operation| operation.name == name)
        .expect("an operation");
    let sound: Vec<FloatTensor<B>> = operation
        .tensors
        .iter()
        .map(|(_, shape)| ones::<B>(shape, DType::F32))
        .collect();
    for run in operation.runs {
        run(&sound);
    }
    for (index, (tensor, shape)) in operation.tensors.iter().enumerate() {
        let refused = |wrong: FloatTensor<B>, names: &[&str], found: &str| {
            let mut tensors = sound.clone();
            tensors[index] = wrong;
            for run in operation.runs {
                let message = panic_of(|| run(&tensors));
                let names_one = names.iter().any(|name| message.contains(name));
                assert!(
                    message.starts_with(&format!("{name}: ")) && names_one,
                    "{tensor} {found}: {message}"
                );
                assert!(message.contains("expected"), "{tensor} {found}: {message}");
            }
        };
        // Where the first tensor is the odd one, another is named as unlike it.
        let all: Vec<&str> = operation.tensors.iter().map(|(name, _)| *name).collect();
        let others = if index == 0 { &all[..] } else { &all[index..] };
        for wrong in wrong_shapes(name, tensor, shape) {
            refused(ones::<B>(&wrong, DType::F32), others, &format!("{wrong:?}"));
        }
        // The weight of a norm and both tables of a rotation may have a float type of their own.
        let may_differ =
            matches!((name, *tensor), ("rotate", "x") | ("rms_norm", "x") | (_, "weight")) || all.len() == 1;
        if !may_differ && B::supports_dtype(&Default::default(), DType::F16) {
            refused(ones::<B>(shape, DType::F16), &all, "F16");
        }
    }
}

/// A test of an operation on every implementation.
macro_rules! tests {
    ($($name:ident),*) => {
        $(
            #[test]
            fn $name() {
                check::<Flex>(stringify!($name));
                check::<Autodiff<Flex>>(stringify!($name));
                #[cfg(feature = "wgpu")]
                check::<burn::backend::Wgpu>(stringify!($name));
            }
        )*
    };
}

tests!(
    rms_norm,
    rms_norm_backward,
    rotate,
    silu,
    silu_backward,
    gated_silu,
    gated_silu_backward,
    causal_attention,
    causal_attention_backward,
    write_tokens
);

/// The mask of attention has a type of its own.
fn check_hidden<B: DecoderBackend>() {
    let tensor = |shape: [usize; 4]| ones::<B>(&shape, DType::F32);
    let (query, key) = (tensor([2, 4, 3, 8]), tensor([2, 2, 5, 8]));
    for shape in [[2, 3, 4], [2, 3, 6], [1, 3, 5], [2, 5, 3]] {
        let hidden = || Some(Tensor::<B, 3, Bool>::full(shape, false, &Default::default()).into_primitive());
        let forward = panic_of(|| drop(B::causal_attention(query.clone(), key.clone(), key.clone(), hidden())));
        let backward = panic_of(|| {
            let (q, k) = (query.clone(), key.clone());
            drop(B::causal_attention_backward(q, k.clone(), k, hidden(), query.clone()));
        });
        for (message, operation) in [(forward, "causal_attention"), (backward, "causal_attention_backward")] {
            let expected = format!("{operation}: hidden has shape {shape:?}, expected [2, 3, 5]");
            assert_eq!(message, expected);
        }
    }
}

#[test]
fn hidden_keys_of_another_shape_are_named() {
    check_hidden::<Flex>();
    check_hidden::<Autodiff<Flex>>();
    #[cfg(feature = "wgpu")]
    check_hidden::<burn::backend::Wgpu>();
}

/// On Flex floats and truth values are tensors of one type: the element type is all that tells them apart.
#[test]
fn hidden_keys_that_are_not_truth_values_are_named() {
    let (query, key) = (
        ones::<Flex>(&[1, 1, 3, 8], DType::F32),
        ones::<Flex>(&[1, 1, 5, 8], DType::F32),
    );
    let hidden = ones::<Flex>(&[1, 3, 5], DType::F32);
    let message = panic_of(|| drop(Flex::causal_attention(query, key.clone(), key, Some(hidden))));
    assert_eq!(message, "causal_attention: hidden has type F32, expected Bool");
}

#[test]
fn tokens_past_the_end_of_the_buffer_are_named() {
    let (buffer, new) = (
        ones::<Flex>(&[1, 1, 7, 8], DType::F32),
        ones::<Flex>(&[1, 1, 3, 8], DType::F32),
    );
    for start in [5, usize::MAX] {
        let message = panic_of(|| drop(Flex::write_tokens(buffer.clone(), new.clone(), start)));
        assert!(message.starts_with("write_tokens: new has 3 tokens"), "{message}");
    }
}
