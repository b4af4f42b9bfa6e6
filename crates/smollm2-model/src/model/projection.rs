//! A product with a stored matrix.
//!
//! N rows, I input channels, O output channels.

use burn::{
    module::{Initializer, Module, Param},
    tensor::{Tensor, backend::Backend, module::linear},
};

/// `x W`, without bias.
#[derive(Module, Debug)]
pub(crate) struct Projection<B: Backend> {
    /// `[I, O]`; a checkpoint holds it transposed.
    weight: Param<Tensor<B, 2>>,
}

impl<B: Backend> Projection<B> {
    /// A projection whose weights are drawn from a normal of standard deviation `std`.
    pub(crate) fn new(input: usize, output: usize, std: f64, device: &B::Device) -> Self {
        let normal = Initializer::Normal { mean: 0.0, std };
        Self {
            weight: normal.init([input, output], device),
        }
    }

    /// # Shapes
    /// - `x`: `[N, I]`
    /// - output: `[N, O]`
    pub(crate) fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        linear(x, self.weight.val(), None) // [N, O]
    }

    /// The matrix as a checkpoint holds it, `[O, I]`: a view, not a copy.
    pub(crate) fn stored(&self) -> Tensor<B, 2> {
        self.weight.val().transpose() // [O, I]
    }
}
