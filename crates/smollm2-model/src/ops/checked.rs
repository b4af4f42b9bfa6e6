//! The checks that every implementation of [`DecoderBackend`](super::DecoderBackend) makes before it reads a value.
//! There is one function per operation, which the reference and the CPU implementation call first.
//!
//! # Panics
//! Each function panics if a tensor does not have the shape, element type or device that the operation requires.

use burn::tensor::{
    DType, TensorMetadata,
    backend::Backend,
    ops::{BoolTensor, FloatTensor},
};
use burn_custom_op::Call;

pub(super) fn rms_norm<B: Backend>(x: &FloatTensor<B>, weight: &FloatTensor<B>) {
    norm(&Call::<B>::new("rms_norm", x), x, weight);
}

pub(super) fn rms_norm_backward<B: Backend>(x: &FloatTensor<B>, weight: &FloatTensor<B>, grad_output: &FloatTensor<B>) {
    let call = Call::<B>::new("rms_norm_backward", x);
    norm(&call, x, weight);
    call.like("grad_output", grad_output, x);
}

fn norm<B: Backend>(call: &Call<B>, x: &FloatTensor<B>, weight: &FloatTensor<B>) {
    let [_, channels] = call.sizes("x", x);
    call.shape("weight", weight, &[channels]);
}

pub(super) fn rotate<B: Backend>(x: &FloatTensor<B>, cos: &FloatTensor<B>, sin: &FloatTensor<B>) {
    let call = Call::<B>::new("rotate", x);
    let ([rows, width], [period, channels]) = (call.sizes("x", x), call.sizes("cos", cos));
    call.like("sin", sin, cos);
    call.on_device("cos", cos);
    let heads = channels.is_multiple_of(2) && width.is_multiple_of(channels);
    call.require(heads, || {
        format!("cos has {channels} channels, expected an even divisor of the {width} of x")
    });
    call.require(rows.is_multiple_of(period), || {
        format!("cos has {period} rows, expected a divisor of the {rows} of x")
    });
}

pub(super) fn silu<B: Backend>(x: &FloatTensor<B>) {
    let [_, _] = Call::<B>::new("silu", x).sizes("x", x);
}

pub(super) fn silu_backward<B: Backend>(x: &FloatTensor<B>, grad_output: &FloatTensor<B>) {
    let call = Call::<B>::new("silu_backward", x);
    let [_, _] = call.sizes("x", x);
    call.like("grad_output", grad_output, x);
}

pub(super) fn gated_silu<B: Backend>(gate: &FloatTensor<B>, up: &FloatTensor<B>) {
    let call = Call::<B>::new("gated_silu", gate);
    let [_, _] = call.sizes("gate", gate);
    call.like("up", up, gate);
}

pub(super) fn gated_silu_backward<B: Backend>(
    gate: &FloatTensor<B>,
    up: &FloatTensor<B>,
    grad_output: &FloatTensor<B>,
) {
    let call = Call::<B>::new("gated_silu_backward", gate);
    let [_, _] = call.sizes("gate", gate);
    call.like("up", up, gate);
    call.like("grad_output", grad_output, gate);
}

pub(super) fn causal_attention<B: Backend>(
    query: &FloatTensor<B>,
    key: &FloatTensor<B>,
    value: &FloatTensor<B>,
    hidden: Option<&BoolTensor<B>>,
) {
    attention(&Call::<B>::new("causal_attention", query), query, key, value, hidden);
}

pub(super) fn causal_attention_backward<B: Backend>(
    query: &FloatTensor<B>,
    key: &FloatTensor<B>,
    value: &FloatTensor<B>,
    hidden: Option<&BoolTensor<B>>,
    grad_output: &FloatTensor<B>,
) {
    let call = Call::<B>::new("causal_attention_backward", query);
    attention(&call, query, key, value, hidden);
    call.like("grad_output", grad_output, query);
}

fn attention<B: Backend>(
    call: &Call<B>,
    query: &FloatTensor<B>,
    key: &FloatTensor<B>,
    value: &FloatTensor<B>,
    hidden: Option<&BoolTensor<B>>,
) {
    let [batch, heads, tokens, channels] = call.sizes("query", query);
    let [_, groups, keys, _] = call.sizes("key", key);
    call.shape("key", key, &[batch, groups, keys, channels]);
    call.dtype("key", key, query.dtype());
    call.like("value", value, key);
    call.require(groups > 0 && heads.is_multiple_of(groups), || {
        format!("key has {groups} heads, expected a divisor of the {heads} of query")
    });
    call.require(keys >= tokens, || {
        format!("key has {keys} tokens, expected at least the {tokens} of query")
    });
    if let Some(hidden) = hidden {
        let found = hidden.shape();
        let expected = [batch, tokens, keys];
        call.require(*found == expected, || {
            format!("hidden has shape {:?}, expected {expected:?}", &found[..])
        });
        call.require(matches!(hidden.dtype(), DType::Bool(_)), || {
            format!("hidden has type {:?}, expected Bool", hidden.dtype())
        });
        let found = B::bool_device(hidden);
        call.require(found == *call.device(), || {
            format!("hidden is on device {found:?}, expected {:?}", call.device())
        });
    }
}

pub(super) fn write_tokens<B: Backend>(buffer: &FloatTensor<B>, new: &FloatTensor<B>, start: usize) {
    let call = Call::<B>::new("write_tokens", buffer);
    let ([batch, groups, capacity, channels], [_, _, tokens, _]) =
        (call.sizes("buffer", buffer), call.sizes("new", new));
    call.shape("new", new, &[batch, groups, tokens, channels]);
    call.dtype("new", new, buffer.dtype());
    let fits = start.checked_add(tokens).is_some_and(|end| end <= capacity);
    call.require(fits, || {
        format!("new has {tokens} tokens for position {start}, expected room for them in the {capacity} of buffer")
    });
}
