//! What is recorded: gradients, what they are computed from, and that other graphs do not disturb them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use burn::{
    backend::{
        Autodiff, Flex,
        autodiff::checkpoint::strategy::{BalancedCheckpointing, CheckpointStrategy, NoCheckpointing},
    },
    tensor::{Tensor, backend::Backend, ops::FloatTensor},
};
use burn_custom_op::{Operation, record, record_keeping, record_recomputed, unwrap, wrap};

type Tracked<C> = Autodiff<Flex, C>;

/// `x y`, which counts its forward passes.
#[derive(Clone, Debug, Default)]
struct Product {
    forwards: Arc<AtomicUsize>,
    /// Whether a backward pass of another graph runs within each forward pass, as on another thread it may.
    disturbed: bool,
}

impl<B: Backend> Operation<B, 2> for Product {
    type Kept = [FloatTensor<B>; 2];

    fn forward(&self, [x, y]: [FloatTensor<B>; 2]) -> FloatTensor<B> {
        self.forwards.fetch_add(1, Ordering::Relaxed);
        if self.disturbed {
            let other = leaf::<NoCheckpointing>(1.0);
            assert!(other.grad(&(other.clone() * 2.0).backward()).is_some());
        }
        B::float_mul(x, y)
    }

    fn gradients(self, [x, y]: Self::Kept, grad: FloatTensor<B>) -> [FloatTensor<B>; 2] {
        [B::float_mul(grad.clone(), y), B::float_mul(grad, x)]
    }
}

fn leaf<C: CheckpointStrategy>(value: f32) -> Tensor<Tracked<C>, 1> {
    Tensor::from_floats([value], &Default::default()).require_grad()
}

fn value<B: Backend>(tensor: Tensor<B, 1>) -> f32 {
    tensor.into_data().to_vec::<f32>().expect("an f32 tensor")[0]
}

/// A way to record the product of two tensors.
type Record<C> = fn(Product, [FloatTensor<Tracked<C>>; 2]) -> FloatTensor<Tracked<C>>;

fn all_ways<C: CheckpointStrategy>() -> [Record<C>; 3] {
    [
        record::<_, C, _, 2>,
        record_recomputed::<_, C, _, 2>,
        |operation, inputs| {
            record_keeping::<_, C, _, 2>(operation, inputs, |operation, inputs| {
                (Operation::<Flex, 2>::forward(operation, inputs.clone()), inputs)
            })
        },
    ]
}

/// Gradients of `(3 x) (y + 1)` at 2 and 4 in a second backward pass over the same leaves, as gradients are accumulated:
/// Burn no longer counts the leaves among the tensors of the graph.
fn second_gradients<C: CheckpointStrategy>(record: Record<C>) -> [f32; 2] {
    let leaves = [2.0, 4.0].map(leaf::<C>);
    (leaves[0].clone() * leaves[1].clone()).backward();
    let [x, y] = leaves.clone();
    let operation = Product {
        disturbed: true,
        ..Product::default()
    };
    let product: Tensor<Tracked<C>, 1> = wrap(record(operation, [unwrap(x * 3.0), unwrap(y + 1.0)]));
    let gradients = product.backward();
    leaves.map(|leaf| value(leaf.grad(&gradients).expect("the history of both inputs is kept")))
}

#[test]
fn a_backward_pass_of_another_graph_costs_no_gradient() {
    for record in all_ways::<NoCheckpointing>() {
        assert_eq!(second_gradients::<NoCheckpointing>(record), [15.0, 6.0]);
    }
    for record in all_ways::<BalancedCheckpointing>() {
        assert_eq!(second_gradients::<BalancedCheckpointing>(record), [15.0, 6.0]);
    }
}

#[test]
fn an_untracked_input_gets_no_gradient() {
    for record in all_ways::<NoCheckpointing>() {
        let x = leaf::<NoCheckpointing>(2.0);
        let constant = Tensor::<Tracked<NoCheckpointing>, 1>::from_floats([5.0], &Default::default());
        let product: Tensor<Tracked<NoCheckpointing>, 1> = wrap(record(
            Product::default(),
            [unwrap(constant.clone()), unwrap(x.clone())],
        ));
        let gradients = product.backward();
        assert_eq!(x.grad(&gradients).map(value), Some(5.0));
        assert!(constant.grad(&gradients).is_none());
    }
}

/// How often the product runs forward if an operation after it asks for its output in the backward pass.
fn forwards<C: CheckpointStrategy>(record: Record<C>) -> usize {
    let operation = Product::default();
    let [x, y] = [2.0, 4.0].map(leaf::<C>);
    let product: Tensor<Tracked<C>, 1> = wrap(record(operation.clone(), [unwrap(x.clone() * 1.0), unwrap(y * 1.0)]));
    let gradients = product.exp().log().backward();
    let found = value(x.grad(&gradients).expect("a gradient"));
    assert!((found - 4.0).abs() < 1e-5, "{found}");
    operation.forwards.load(Ordering::Relaxed)
}

#[test]
fn only_what_is_recorded_as_cheap_is_computed_again() {
    let [kept, recomputed, _] = all_ways::<BalancedCheckpointing>().map(forwards::<BalancedCheckpointing>);
    assert_eq!((kept, recomputed), (1, 2));
    assert_eq!(
        all_ways::<NoCheckpointing>().map(forwards::<NoCheckpointing>),
        [1, 1, 1]
    );
}
