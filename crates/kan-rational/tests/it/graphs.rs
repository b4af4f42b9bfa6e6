//! The operations in graphs of other operations: automatic differentiation, checkpointing, fusion.

use crate::support::{Case, autodiff, norm_relative, numbers, primitive, wrap};
use burn::{
    backend::{Autodiff, Flex, autodiff::checkpoint::strategy::BalancedCheckpointing},
    tensor::{DType, Tensor, backend::AutodiffBackend},
};
use fixtures::tolerance::RATIONAL_ORACLE;
use kan_rational::{Denominator, RationalBackend, gated_rational, group_rational};

/// A gated case of form A and degrees (5, 4) in 4 groups: `[6, 16]`.
fn case() -> Case {
    Case::random(6, &[6, 16], 4, Denominator::SumOfAbs, (5, 4), (false, false), true)
}

/// Gate, up, numerator and denominator of [`case`].
fn tensors<B: RationalBackend>() -> [Tensor<B, 2>; 4] {
    let case = case();
    [
        (&case.x, [6, 16]),
        (case.up.as_ref().unwrap(), [6, 16]),
        (&case.a, [4, 6]),
        (&case.b, [4, 4]),
    ]
    .map(|(values, shape)| wrap(primitive::<B>(values, &shape, DType::F32)))
}

/// Gradients of both operations among others, which make a graph drop and recompute their inputs and outputs.
fn gradients<B: AutodiffBackend + RationalBackend>() -> Vec<Vec<f64>> {
    let spec = case().spec();
    let leaves = tensors::<B>().map(Tensor::require_grad);
    let [x, up, a, b] = leaves.clone();
    let hidden = gated_rational(x * 0.5, up + 1.0, a.clone(), b.clone(), spec);
    let output = group_rational(hidden.clone().reshape([6, 2, 8]), a, b, spec).reshape([6, 16]); // [6, 16]
    let gradients = (output * hidden.exp().recip()).mean().backward();
    leaves
        .iter()
        .map(|leaf| numbers(leaf.grad(&gradients).expect("every leaf has a gradient")))
        .collect()
}

#[test]
fn checkpointing_changes_no_gradient() {
    assert_eq!(
        gradients::<Autodiff<crate::Device, BalancedCheckpointing>>(),
        gradients::<Autodiff<crate::Device>>()
    );
}

fn as_on_flex<B: RationalBackend>() {
    for (found, expected) in gradients::<Autodiff<B>>().iter().zip(gradients::<Autodiff<Flex>>()) {
        assert!(norm_relative(found, &expected) < RATIONAL_ORACLE);
    }
}

#[test]
fn a_graph_gives_what_it_gives_on_flex() {
    on_every_backend!(as_on_flex());
}

#[test]
fn untracked_parents_get_no_gradient_and_disturb_none() {
    type Ad = Autodiff<crate::Device, BalancedCheckpointing>;
    let all = autodiff::<crate::Device>(&Case {
        grad: vec![1.0; 96],
        ..case()
    });
    let expected = [
        Some(&all.x),
        all.up.as_ref(),
        Some(&all.numerator),
        Some(&all.denominator),
    ];
    for tracked in 0..4 {
        let mut leaves = tensors::<Ad>();
        leaves[tracked] = leaves[tracked].clone().require_grad();
        let [x, up, a, b] = leaves.clone();
        let gradients = gated_rational(x, up, a, b, case().spec()).sum().backward();
        for (at, (leaf, expected)) in leaves.iter().zip(expected).enumerate() {
            let found = leaf.grad(&gradients).map(numbers);
            assert_eq!(found.as_ref(), if at == tracked { expected } else { None });
        }
    }
}
