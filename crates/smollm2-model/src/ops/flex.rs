//! One-pass f32 implementations on the CPU backend Flex, on all cores; other float types run the reference.
//!
//! How the work is divided depends only on the shapes, and every sum has a fixed order. Results are therefore
//! bit-identical for any number of threads.

mod attention;
mod matrix;
mod rows;
mod vector;

use attention::{Attention, Heads};
use burn::tensor::TensorMetadata;
use burn_custom_op::flex::{are_f32, contiguous, from_values, values};
use burn_flex::{Flex, FlexTensor};

use super::{DecoderBackend, checked, reference};

impl DecoderBackend for Flex {
    fn rms_norm(x: FlexTensor, weight: FlexTensor, epsilon: f64) -> FlexTensor {
        checked::rms_norm::<Self>(&x, &weight);
        if !are_f32([&x, &weight]) {
            return reference::rms_norm::<Self>(x, weight, epsilon);
        }
        let (x, weight) = (contiguous(x), contiguous(weight));
        let out = rows::rms_norm(values(&x), values(&weight), epsilon as f32);
        from_values(out, &x.shape()) // [N, D]
    }

    fn rms_norm_backward(x: FlexTensor, weight: FlexTensor, grad: FlexTensor, epsilon: f64) -> [FlexTensor; 2] {
        checked::rms_norm_backward::<Self>(&x, &weight, &grad);
        if !are_f32([&x, &weight, &grad]) {
            return reference::rms_norm_backward::<Self>(x, weight, grad, epsilon);
        }
        let (x, weight, grad) = (contiguous(x), contiguous(weight), contiguous(grad));
        let (grad_x, grad_weight) = rows::rms_norm_backward(values(&x), values(&weight), values(&grad), epsilon as f32);
        [
            from_values(grad_x, &x.shape()),
            from_values(grad_weight, &weight.shape()),
        ] // [N, D], [D]
    }

    fn rotate(x: FlexTensor, cos: FlexTensor, sin: FlexTensor) -> FlexTensor {
        checked::rotate::<Self>(&x, &cos, &sin);
        if !are_f32([&x, &cos, &sin]) {
            return reference::rotate::<Self>(x, cos, sin);
        }
        let (x, cos, sin) = (contiguous(x), contiguous(cos), contiguous(sin));
        let [width, channels] = [x.shape()[1], cos.shape()[1]];
        let out = rows::rotate(values(&x), width, values(&cos), values(&sin), channels);
        from_values(out, &x.shape()) // [N, H·C]
    }

    fn silu(x: FlexTensor) -> FlexTensor {
        checked::silu::<Self>(&x);
        if !are_f32([&x]) {
            return reference::silu::<Self>(x);
        }
        let x = contiguous(x);
        from_values(rows::silu(values(&x)), &x.shape()) // [N, F]
    }

    fn silu_backward(x: FlexTensor, grad: FlexTensor) -> FlexTensor {
        checked::silu_backward::<Self>(&x, &grad);
        if !are_f32([&x, &grad]) {
            return reference::silu_backward::<Self>(x, grad);
        }
        let (x, grad) = (contiguous(x), contiguous(grad));
        from_values(rows::silu_backward(values(&x), values(&grad)), &x.shape()) // [N, F]
    }

    fn gated_silu(gate: FlexTensor, up: FlexTensor) -> FlexTensor {
        checked::gated_silu::<Self>(&gate, &up);
        if !are_f32([&gate, &up]) {
            return reference::gated_silu::<Self>(gate, up);
        }
        let (gate, up) = (contiguous(gate), contiguous(up));
        from_values(rows::gated_silu(values(&gate), values(&up)), &gate.shape()) // [N, F]
    }

    fn gated_silu_backward(gate: FlexTensor, up: FlexTensor, grad: FlexTensor) -> [FlexTensor; 2] {
        checked::gated_silu_backward::<Self>(&gate, &up, &grad);
        if !are_f32([&gate, &up, &grad]) {
            return reference::gated_silu_backward::<Self>(gate, up, grad);
        }
        let (gate, up, grad) = (contiguous(gate), contiguous(up), contiguous(grad));
        let (grad_gate, grad_up) = rows::gated_silu_backward(values(&gate), values(&up), values(&grad));
        [
            from_values(grad_gate, &gate.shape()),
            from_values(grad_up, &gate.shape()),
        ] // [N, F]
    }

    fn causal_attention(
        query: FlexTensor,
        key: FlexTensor,
        value: FlexTensor,
        hidden: Option<FlexTensor>,
    ) -> FlexTensor {
        checked::causal_attention::<Self>(&query, &key, &value, hidden.as_ref());
        if !are_f32([&query, &key, &value]) {
            return reference::causal_attention::<Self>(query, key, value, hidden);
        }
        let [query, key, value] = [query, key, value].map(readable);
        let hidden = hidden.map(|hidden| hidden.to_contiguous());
        Attention::new(&query, &key, &value, hidden.as_ref()).forward()
    }

    fn causal_attention_backward(
        query: FlexTensor,
        key: FlexTensor,
        value: FlexTensor,
        hidden: Option<FlexTensor>,
        grad: FlexTensor,
    ) -> [FlexTensor; 3] {
        checked::causal_attention_backward::<Self>(&query, &key, &value, hidden.as_ref(), &grad);
        if !are_f32([&query, &key, &value, &grad]) {
            return reference::causal_attention_backward::<Self>(query, key, value, hidden, grad);
        }
        let [query, key, value, grad] = [query, key, value, grad].map(readable);
        let hidden = hidden.map(|hidden| hidden.to_contiguous());
        Attention::new(&query, &key, &value, hidden.as_ref()).backward(&Heads::of(&grad))
    }

    /// In place, where Flex's own slice assignment (0.21) holds a second handle of the buffer while it writes, and so
    /// copies all of it for every token.
    fn write_tokens(mut buffer: FlexTensor, new: FlexTensor, start: usize) -> FlexTensor {
        checked::write_tokens::<Self>(&buffer, &new, start);
        if !are_f32([&buffer, &new]) || !buffer.is_contiguous() || buffer.layout().start_offset() != 0 {
            return reference::write_tokens::<Self>(buffer, new, start);
        }
        let new = contiguous(new);
        let (capacity, row) = (buffer.shape()[2], buffer.shape()[3]);
        let length = new.shape()[2] * row;
        let heads = buffer.storage_mut::<f32>().chunks_exact_mut((capacity * row).max(1));
        for (head, new) in heads.zip(values(&new).chunks_exact(length.max(1))) {
            head[start * row..][..length].copy_from_slice(new);
        }
        buffer // [B, K, P, C]
    }
}

/// A view is read in place, unless it runs backwards.
fn readable(tensor: FlexTensor) -> FlexTensor {
    if tensor.layout().has_positive_strides() {
        tensor
    } else {
        tensor.to_contiguous()
    }
}
