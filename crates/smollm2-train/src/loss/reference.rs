use burn::tensor::{Int, Tensor, activation::log_softmax, backend::Backend};

/// The same value as [`chunked_cross_entropy`](super::chunked_cross_entropy) from whole logits and Burn's own
/// derivatives: `-scale * sum_i log_softmax(h_i W^T)[t_i]`.
///
/// # Shapes
/// - `hidden`: `[N, D]`; `weight`: `[V, D]`; `targets`: `[N]`
/// - output: `[1]`
pub fn chunked_cross_entropy_reference<B: Backend>(
    hidden: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    targets: Tensor<B, 1, Int>,
    scale: f64,
) -> Tensor<B, 1> {
    let logits = hidden.matmul(weight.transpose()); // [N, V]
    let chosen = log_softmax(logits, 1).gather(1, targets.unsqueeze_dim(1)); // [N, 1]
    chosen.sum().mul_scalar(-scale) // [1]
}
