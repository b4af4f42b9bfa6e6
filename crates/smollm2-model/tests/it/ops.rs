//! The decoder's operations on Flex and on `Autodiff` against the plain-tensor reference and Burn's derivative of it.

use burn::{
    backend::{Autodiff, Flex},
    tensor::{Bool, DType, Distribution, Int, Tensor, TensorData, TensorPrimitive, backend::Backend, ops::FloatTensor},
};
use fixtures::tolerance::OPERATION;
use half::bf16;
use smollm2_model::ops::{
    DecoderBackend, causal_attention, gated_silu, reference, rms_norm, rotate, silu, write_tokens,
};

type Tracked = Autodiff<Flex>;

fn normal<const D: usize>(shape: [usize; D]) -> Tensor<Flex, D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Default::default())
}

fn tracked<const D: usize>(x: &Tensor<Flex, D>) -> Tensor<Tracked, D> {
    Tensor::<Tracked, D>::from_inner(x.clone()).require_grad()
}

fn unwrap<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

fn wrap<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

/// The norm of the difference against the norm of what was expected.
fn assert_close<const D: usize>(what: &str, found: Tensor<Flex, D>, expected: Tensor<Flex, D>) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let norm = |x: Tensor<Flex, D>| x.into_data().iter::<f64>().map(|x| x * x).sum::<f64>().sqrt();
    let (difference, scale) = (norm(found - expected.clone()), norm(expected));
    assert!(
        difference <= OPERATION * scale.max(1e-6),
        "{what}: {difference:e} of {scale:e}"
    );
}

/// Output of `operation` and the gradients of its inputs for the output gradient `grad`.
fn differentiate<const N: usize, const D: usize, const E: usize>(
    inputs: [&Tensor<Flex, D>; N],
    grad: &Tensor<Flex, E>,
    operation: impl FnOnce([Tensor<Tracked, D>; N]) -> Tensor<Tracked, E>,
) -> (Tensor<Flex, E>, [Tensor<Flex, D>; N]) {
    let inputs = inputs.map(tracked);
    let output = operation(inputs.clone());
    let grads = (output.clone() * Tensor::from_inner(grad.clone())).sum().backward();
    let gradients = inputs.map(|input| input.grad(&grads).expect("every input has a gradient"));
    (output.inner(), gradients)
}

#[test]
fn rms_norm_is_the_reference() {
    // One channel has no gradient: the norm of a number is its sign.
    for [rows, channels] in [[1, 5], [3, 7], [65, 192], [40, 576], [700, 24]] {
        let what = format!("rms_norm [{rows}, {channels}]");
        let (x, grad) = (normal([rows, channels]), normal([rows, channels]));
        let weight = normal([1, channels]);
        let inputs = [&x, &weight];
        let flat = |weight: Tensor<Tracked, 2>| weight.reshape([channels]);
        let (found, gradients) = differentiate(inputs, &grad, |[x, w]| rms_norm(x, flat(w), 1e-5));
        let (expected, derivative) = differentiate(inputs, &grad, |[x, w]| {
            wrap(reference::rms_norm::<Tracked>(unwrap(x), unwrap(flat(w)), 1e-5))
        });
        let weight = weight.reshape([channels]);
        let [of_x, of_weight] = reference::rms_norm_backward::<Flex>(unwrap(x), unwrap(weight), unwrap(grad), 1e-5);
        assert_close(&what, found, expected);
        assert_close(&format!("{what} dx written out"), wrap(of_x), derivative[0].clone());
        let of_weight = wrap::<Flex, 1>(of_weight).reshape([1, channels]);
        assert_close(&format!("{what} dw written out"), of_weight, derivative[1].clone());
        for ((name, found), expected) in ["dx", "dw"].iter().zip(gradients).zip(derivative) {
            assert_close(&format!("{what} {name}"), found, expected);
        }
    }
}

#[test]
fn rotation_is_the_reference_and_turns_back() {
    for (rows, period, heads, channels) in [(1, 1, 1, 2), (6, 3, 3, 8), (260, 130, 9, 64), (5, 5, 2, 24)] {
        let what = format!("rotate {rows} rows by {period}, {heads} heads of {channels}");
        let (x, grad) = (normal([rows, heads * channels]), normal([rows, heads * channels]));
        let angle = normal([period, channels / 2]).mul_scalar(3.0);
        let cos = Tensor::cat(vec![angle.clone().cos(), angle.clone().cos()], 1); // [P, C]
        let sin = Tensor::cat(vec![angle.clone().sin().neg(), angle.sin()], 1); // [P, C]
        let tables = || (Tensor::from_inner(cos.clone()), Tensor::from_inner(sin.clone()));
        let (found, [gradient]) = differentiate([&x], &grad, |[x]| {
            let (cos, sin) = tables();
            rotate::<Tracked>(x, cos, sin)
        });
        let (expected, [derivative]) = differentiate([&x], &grad, |[x]| {
            let (cos, sin) = tables();
            wrap(reference::rotate::<Tracked>(unwrap(x), unwrap(cos), unwrap(sin)))
        });
        assert_close(&what, found.clone(), expected);
        assert_close(&format!("{what} dx"), gradient, derivative);
        assert_close(
            &format!("{what} and back"),
            rotate(found, cos.clone(), sin.clone().neg()),
            x,
        );
    }
}

#[test]
fn silu_is_the_reference() {
    for [rows, channels] in [[1, 1], [3, 17], [64, 384], [513, 96]] {
        let what = format!("silu [{rows}, {channels}]");
        let (x, grad) = (normal([rows, channels]) * 4.0, normal([rows, channels]));
        let (found, [found_x]) = differentiate([&x], &grad, |[x]| silu(x));
        let (expected, [expected_x]) = differentiate([&x], &grad, |[x]| wrap(reference::silu::<Tracked>(unwrap(x))));
        let written = reference::silu_backward::<Flex>(unwrap(x), unwrap(grad));
        assert_close(&what, found, expected);
        assert_close(&format!("{what} in x"), found_x.clone(), expected_x);
        assert_close(&format!("{what}, gradient written out"), found_x, wrap(written));
    }
    let extreme = Tensor::<Flex, 2>::from_floats([[-1e30, -200.0, -0.0, 200.0, 1e30]], &Default::default());
    let found: Vec<f32> = silu(extreme).into_data().to_vec().unwrap();
    // The exponential is held inside f32, which leaves -6e-9 of the largest negative numbers.
    for (found, exact) in found.into_iter().zip([0.0, 0.0, 0.0, 200.0, 1e30]) {
        assert!((found - exact).abs() <= 1e-8, "{found}, not {exact}");
    }
}

#[test]
fn gated_silu_is_the_reference() {
    for [rows, channels] in [[1, 1], [3, 7], [130, 1536]] {
        let what = format!("gated_silu [{rows}, {channels}]");
        let (gate, up, grad) = (
            normal([rows, channels]).mul_scalar(8.0),
            normal([rows, channels]),
            normal([rows, channels]),
        );
        let (found, gradients) = differentiate([&gate, &up], &grad, |[gate, up]| gated_silu(gate, up));
        let (expected, derivative) = differentiate([&gate, &up], &grad, |[gate, up]| {
            wrap(reference::gated_silu::<Tracked>(unwrap(gate), unwrap(up)))
        });
        let written = reference::gated_silu_backward::<Flex>(unwrap(gate), unwrap(up), unwrap(grad));
        assert_close(&what, found, expected);
        for (((name, found), expected), written) in ["dgate", "dup"].iter().zip(gradients).zip(derivative).zip(written)
        {
            assert_close(&format!("{what} {name}"), found, expected.clone());
            assert_close(&format!("{what} {name} written out"), wrap(written), expected);
        }
    }
    let extreme = Tensor::<Flex, 2>::from_floats([[-1e4, -200.0, 0.0, 200.0, 1e4]], &Default::default());
    let found: Vec<f32> = gated_silu(extreme.clone(), extreme.ones_like())
        .into_data()
        .to_vec()
        .expect("f32");
    assert!(found[0].abs() < 1e-30 && found[1].abs() < 1e-30, "{found:?}");
    assert_eq!(found[2..], [0.0, 200.0, 1e4]);
}

/// Batch, heads, key/value heads, queries, keys, channels; whether documents are hidden from each other.
type AttentionCase = ([usize; 6], bool);

const ATTENTION_CASES: [AttentionCase; 9] = [
    ([1, 1, 1, 1, 1, 4], false),
    ([2, 4, 2, 5, 5, 8], false),
    ([1, 9, 3, 130, 130, 64], false),
    ([2, 3, 1, 65, 65, 16], true),
    ([1, 2, 2, 64, 200, 8], false),
    ([3, 6, 2, 1, 77, 8], false),
    ([2, 6, 3, 7, 20, 4], true),
    ([1, 4, 1, 128, 128, 32], true),
    ([2, 2, 2, 3, 300, 4], false),
];

/// Two documents of about the same length in every row, the last key always in the query's own.
fn foreign(batch: usize, queries: usize, keys: usize) -> Tensor<Flex, 3, Bool> {
    let document = |position: usize| (position > keys / 2) as i64;
    let hidden = (0..batch * queries * keys)
        .map(|index| {
            let (query, key) = (index / keys % queries, index % keys);
            document(query + keys - queries) != document(key)
        })
        .collect::<Vec<bool>>();
    Tensor::from_data(TensorData::new(hidden, [batch, queries, keys]), &Default::default())
}

#[test]
fn attention_is_the_reference() {
    for ([batch, heads, groups, queries, keys, channels], documents) in ATTENTION_CASES {
        let what = format!("attention {batch} {heads}/{groups} {queries}x{keys} {channels} {documents}");
        // Laid out as the projections leave them, [B, T, H, C]: attention reads views.
        let view = |heads, tokens| normal([batch, tokens, heads, channels]).swap_dims(1, 2);
        let (query, key, value) = (view(heads, queries), view(groups, keys), view(groups, keys));
        let grad = view(heads, queries);
        let hidden = || documents.then(|| foreign(batch, queries, keys));
        let tracked = || hidden().map(|hidden| Tensor::<Tracked, 3, Bool>::from_primitive(hidden.into_primitive()));
        let inputs = [&query, &key, &value];
        let (found, gradients) = differentiate(inputs, &grad, |[q, k, v]| causal_attention(q, k, v, tracked()));
        let (expected, derivative) = differentiate(inputs, &grad, |[q, k, v]| {
            let hidden = tracked().map(Tensor::into_primitive);
            wrap(reference::causal_attention::<Tracked>(
                unwrap(q),
                unwrap(k),
                unwrap(v),
                hidden,
            ))
        });
        let written = reference::causal_attention_backward::<Flex>(
            unwrap(query),
            unwrap(key),
            unwrap(value),
            hidden().map(Tensor::into_primitive),
            unwrap(grad),
        );
        assert_close(&what, found, expected);
        let gradients = ["dquery", "dkey", "dvalue"].iter().zip(gradients);
        for (((name, found), expected), written) in gradients.zip(derivative).zip(written) {
            assert_close(&format!("{what} {name}"), found, expected.clone());
            assert_close(&format!("{what} {name} written out"), wrap(written), expected);
        }
    }
}

/// Rows whose every key is hidden belong to padding: what they compute is never looked at, but must not spread.
#[test]
fn a_row_that_sees_no_key_is_finite() {
    let (query, key, value) = (normal([1, 2, 4, 8]), normal([1, 1, 4, 8]), normal([1, 1, 4, 8]));
    let hidden = Tensor::<Flex, 3, Bool>::full([1, 4, 4], true, &Default::default());
    let found = causal_attention(query, key, value, Some(hidden)).into_data();
    assert!(found.iter::<f32>().all(f32::is_finite));
}

#[test]
fn empty_tensors_stay_empty() {
    let device = Default::default();
    let none = || Tensor::<Flex, 2>::zeros([0, 8], &device);
    let weight = Tensor::ones([8], &device);
    let table = Tensor::<Flex, 2>::zeros([1, 8], &device);
    assert_eq!(rms_norm(none(), weight, 1e-5).dims(), [0, 8]);
    assert_eq!(rotate(none(), table.clone(), table).dims(), [0, 8]);
    assert_eq!(silu(none()).dims(), [0, 8]);
    assert_eq!(gated_silu(none(), none()).dims(), [0, 8]);
    let query = Tensor::<Flex, 4>::zeros([1, 2, 0, 8], &device);
    let key = Tensor::<Flex, 4>::zeros([1, 1, 3, 8], &device);
    assert_eq!(causal_attention(query, key.clone(), key, None).dims(), [1, 2, 0, 8]);
}

/// Half precision takes the reference's path on Flex. As in `transformers`, a row is normalised in f32 and rounded, and
/// the product with the weight rounded again: to the bit.
#[test]
fn half_precision_norms_round_twice() {
    let half = |x: f32| bf16::from_f32(x).to_f32();
    let x: Vec<f32> = (0..64).map(|i| half((i * 37 % 64) as f32 / 7.0 - 4.0)).collect();
    let weight: Vec<f32> = (0..64).map(|i| half(1.0 + i as f32 / 50.0)).collect();
    let scale = (x.iter().map(|x| x * x).sum::<f32>() / 64.0 + 1e-5).sqrt().recip();
    let expected = x.iter().zip(&weight).map(|(x, weight)| half(half(x * scale) * weight));
    let tensor = |values: &[f32]| Tensor::<Flex, 1>::from_floats(values, &Default::default()).cast(DType::BF16);
    let found = rms_norm(tensor(&x).unsqueeze(), tensor(&weight), 1e-5);
    assert_eq!(found.dtype(), DType::BF16);
    let found: Vec<f32> = found.into_data().iter().collect();
    assert_eq!(found, expected.collect::<Vec<f32>>());
}

#[test]
fn tokens_are_written_in_place() {
    for ([batch, groups, capacity, channels], tokens, start) in [
        ([1, 1, 1, 1], 1, 0),
        ([2, 3, 7, 4], 2, 3),
        ([2, 3, 7, 4], 7, 0),
        ([1, 2, 5, 8], 1, 4),
    ] {
        let what = format!("{tokens} tokens at {start} of {capacity}");
        let buffer = normal([batch, groups, capacity, channels]);
        // Laid out as the projections leave them, [B, T, K, C].
        let new = normal([batch, tokens, groups, channels]).swap_dims(1, 2);
        let expected = reference::write_tokens::<Flex>(unwrap(buffer.clone()), unwrap(new.clone()), start);
        let expected = wrap::<Flex, 4>(expected).into_data();
        let half = |tensor: &Tensor<Flex, 4>| tensor.clone().cast(DType::BF16);
        let written = write_tokens(half(&buffer), half(&new), start).into_data();
        assert_eq!(written, expected.clone().convert_dtype(DType::BF16), "{what}, bf16");

        let before = buffer.to_data();
        assert_eq!(
            write_tokens(buffer.clone(), new.clone(), start).into_data(),
            expected,
            "{what}"
        );
        assert_eq!(buffer.to_data(), before, "{what}: another handle saw the write");
        let buffer = unwrap::<Flex, 4>(buffer);
        let place = buffer.storage::<f32>().as_ptr();
        let written = Flex::write_tokens(buffer, unwrap(new), start);
        assert_eq!(written.storage::<f32>().as_ptr(), place, "{what}: copied");
        assert_eq!(wrap::<Flex, 4>(written).into_data(), expected, "{what}");
    }
}

/// The number of threads changes no bit: how the work is cut follows from the shapes.
#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let (query, key, grad) = (
        normal([1, 6, 150, 16]),
        normal([1, 2, 150, 16]),
        normal([1, 6, 150, 16]),
    );
    let (x, weight, dy) = (normal([700, 96]), normal([96]), normal([700, 96]));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a pool");
        pool.install(|| {
            let (q, k, g) = (query.clone(), key.clone(), grad.clone());
            let attention = Flex::causal_attention_backward(unwrap(q), unwrap(k.clone()), unwrap(k), None, unwrap(g));
            let norm = Flex::rms_norm_backward(unwrap(x.clone()), unwrap(weight.clone()), unwrap(dy.clone()), 1e-5);
            let attention = attention.map(|gradient| wrap::<Flex, 4>(gradient).into_data());
            let [of_x, of_weight] = norm;
            (
                attention,
                wrap::<Flex, 2>(of_x).into_data(),
                wrap::<Flex, 1>(of_weight).into_data(),
            )
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn gathered_rows_turn_every_token_by_its_own_position() {
    let positions = Tensor::<Flex, 1, Int>::from_ints([2, 0, 1, 2], &Default::default());
    let angle = normal([3, 2]);
    let cos = Tensor::cat(vec![angle.clone().cos(), angle.clone().cos()], 1); // [3, 4]
    let sin = Tensor::cat(vec![angle.clone().sin().neg(), angle.sin()], 1); // [3, 4]
    let x = normal([4, 8]);
    let found = rotate(
        x.clone(),
        cos.clone().select(0, positions.clone()),
        sin.clone().select(0, positions),
    );
    for (row, position) in [2, 0, 1, 2].into_iter().enumerate() {
        let one = |table: &Tensor<Flex, 2>| table.clone().narrow(0, position, 1);
        let expected = rotate(x.clone().narrow(0, row, 1), one(&cos), one(&sin));
        assert_close(&format!("row {row}"), found.clone().narrow(0, row, 1), expected);
    }
}
