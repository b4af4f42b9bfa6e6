//! Values and tensors at the edges, half precision, and the kernels under automatic differentiation.

use burn::{
    backend::{Autodiff, autodiff::checkpoint::strategy::BalancedCheckpointing},
    tensor::{DType, Tensor, backend::AutodiffBackend},
};
use kan_rational::{Denominator, RationalBackend, RationalSpec, gated_rational, group_rational};

use super::{
    Fused, Plain,
    case::{Case, Data, Tensors, expected, primitive, relative_error, tensor},
};

#[test]
fn nan_stays_in_its_element_and_its_group() {
    let case = Case::new(20, 32, 4);
    let mut data = Data::random(&case, 5);
    let clean = Tensors::<Fused>::new(&case, &data).run(case.spec());
    let poisoned = 7 * 32 + 13;
    data.x[poisoned] = f32::NAN;
    let found = Tensors::<Fused>::new(&case, &data).run(case.spec());
    for (name, found, clean) in [
        ("value", &found.value, &clean.value),
        ("x", &found.to_x, &clean.to_x),
        ("gated", &found.gated, &clean.gated),
        ("gate", &found.to_gate, &clean.to_gate),
        ("up", &found.to_up, &clean.to_up),
    ] {
        for (i, (found, clean)) in found.iter().zip(clean).enumerate() {
            assert!(
                if i == poisoned { found.is_nan() } else { found == clean },
                "{name}[{i}]"
            );
        }
    }
    let group = 1;
    for (i, (found, clean)) in found.to_numerator.iter().zip(&clean.to_numerator).enumerate() {
        assert!(
            if i / 6 == group { found.is_nan() } else { found == clean },
            "coefficient {i}"
        );
    }
}

#[test]
fn ten_thousand_is_finite_where_the_exact_value_is() {
    for degrees in [(5, 4), (9, 8)] {
        for form in [Denominator::SumOfAbs, Denominator::AbsOfSum] {
            let case = Case::new(4, 8, 2).degrees(degrees.0, degrees.1).form(form);
            let mut data = Data::random(&case, 9);
            let sizes = [1e4, -1e4, 3e3, -1e3, 50.0, 1e-40, -1e-40, 0.0];
            data.x = sizes.iter().cycle().take(32).copied().collect();
            data.gradient = vec![1.0; 32];
            let found = Tensors::<Fused>::new(&case, &data).run(case.spec());
            let expected = expected(&case, &data);
            for ((name, found), (_, expected)) in found.named().into_iter().zip(expected.named()) {
                assert!(found.iter().all(|v| v.is_finite()), "{name}: {found:?}");
                // Near the poles of nothing, but far out: the slope is a difference of two large numbers.
                if !matches!(name, "x" | "gate") {
                    assert!(
                        relative_error(found, expected) < fixtures::tolerance::RATIONAL_ORACLE,
                        "{name}"
                    );
                }
            }
        }
    }
}

#[test]
fn zero_of_either_sign_takes_the_slope_from_the_right() {
    let case = Case::new(2, 4, 2);
    let mut data = Data::random(&case, 2);
    data.x = vec![0.0, 0.0, 0.0, 0.0, -0.0, -0.0, -0.0, -0.0];
    data.gradient = vec![1.0; 8];
    data.up = vec![1.0; 8];
    let found = Tensors::<Fused>::new(&case, &data).run(case.spec());
    assert_eq!(found.to_x[..4], found.to_x[4..]);
    assert!(relative_error(&found.to_x, &expected(&case, &data).to_x) < fixtures::tolerance::RATIONAL_KERNEL);
}

#[test]
fn no_rows() {
    for shared in [false, true] {
        let case = Case::new(0, 24, 8).shared(shared, false);
        let data = Data::random(&case, 1);
        for found in [
            Tensors::<Plain>::new(&case, &data).run(case.spec()),
            Tensors::<Fused>::new(&case, &data).run(case.spec()),
        ] {
            assert!(found.value.is_empty() && found.to_up.is_empty());
            assert!(
                found
                    .to_numerator
                    .iter()
                    .chain(&found.gated_to_denominator)
                    .all(|v| *v == 0.0)
            );
            assert_eq!(found.to_numerator.len(), if shared { 6 } else { 48 });
        }
    }
}

#[test]
fn one_tensor_as_gate_up_and_gradient() {
    let case = Case::new(9, 24, 3);
    let data = Data::random(&case, 4);
    let copies = Data {
        up: data.x.clone(),
        gradient: data.x.clone(),
        ..data
    };
    let separate = Tensors::<Fused>::new(&case, &copies);
    let same = Tensors {
        up: separate.x.clone(),
        gradient: separate.x.clone(),
        ..Tensors::new(&case, &copies)
    };
    assert!(same.run(case.spec()).same_bits(&separate.run(case.spec())));
}

/// Half precision is the f32 result rounded once, up to a unit in the last place where f32 rounding moved it.
fn check_half<B: RationalBackend>(dtype: DType, digits: i32) {
    let case = Case::new(65, 96, 4);
    let wide = Tensors::<B>::new(&case, &Data::random(&case, 6));
    let half = |tensor: &Tensor<B, 2>| tensor.clone().cast(dtype);
    let narrow = Tensors {
        x: half(&wide.x),
        up: half(&wide.up),
        gradient: half(&wide.gradient),
        numerator: wide.numerator.clone(),
        denominator: wide.denominator.clone(),
    };
    // The same numbers in f32.
    let rounded = Tensors {
        x: narrow.x.clone().cast(DType::F32),
        up: narrow.up.clone().cast(DType::F32),
        gradient: narrow.gradient.clone().cast(DType::F32),
        ..narrow_coefficients(&wide)
    };
    let (narrow, wide) = (narrow.run(case.spec()), rounded.run(case.spec()));
    for ((name, narrow), (_, wide)) in narrow.named().into_iter().zip(wide.named()) {
        for (n, w) in narrow.iter().zip(wide) {
            let unit = 2f32.powi(w.abs().max(1e-3).log2().floor() as i32 - digits);
            assert!((n - w).abs() <= unit, "{name}: {n} against {w}");
        }
    }
}

fn narrow_coefficients<B: RationalBackend>(tensors: &Tensors<B>) -> Tensors<B> {
    Tensors {
        x: tensors.x.clone(),
        up: tensors.up.clone(),
        gradient: tensors.gradient.clone(),
        numerator: tensors.numerator.clone(),
        denominator: tensors.denominator.clone(),
    }
}

#[test]
fn half_precision_is_rounded_once() {
    use cubecl::Runtime;
    let client = cubecl::wgpu::WgpuRuntime::client(&Default::default());
    for (dtype, digits) in [(DType::F16, 10), (DType::BF16, 7)] {
        if client.properties().supports_type(cubecl::ir::StorageType::from(dtype)) {
            check_half::<Plain>(dtype, digits);
            check_half::<Fused>(dtype, digits);
        } else {
            println!("skipped: the device has no {dtype:?}");
        }
    }
}

fn gradients<B: AutodiffBackend + RationalBackend>() -> Vec<Vec<f32>> {
    let case = Case::new(17, 48, 8);
    let data = Data::random(&case, 8);
    let Tensors {
        x,
        up,
        numerator,
        denominator,
        ..
    } = Tensors::<B>::new(&case, &data);
    let [x, up, numerator, denominator] = [x, up, numerator, denominator].map(Tensor::require_grad);
    let spec = RationalSpec::new(8);
    let hidden = gated_rational(
        x.clone() * 0.5,
        up.clone() + 1.0,
        numerator.clone(),
        denominator.clone(),
        spec,
    );
    let output = group_rational(hidden.reshape([17, 6, 8]), numerator.clone(), denominator.clone(), spec);
    let gradients = output.powi_scalar(2).mean().backward();
    [x, up, numerator, denominator]
        .iter()
        .map(|leaf| {
            leaf.grad(&gradients)
                .expect("a gradient")
                .into_data()
                .to_vec()
                .expect("f32 data")
        })
        .collect()
}

#[test]
fn training_graphs_agree_with_and_without_fusion_and_checkpointing() {
    let expected = gradients::<Autodiff<burn::backend::Flex>>();
    for found in [
        gradients::<Autodiff<Plain>>(),
        gradients::<Autodiff<Fused>>(),
        gradients::<Autodiff<Fused, BalancedCheckpointing>>(),
    ] {
        for (found, expected) in found.iter().zip(&expected) {
            let expected: Vec<f64> = expected.iter().map(|v| f64::from(*v)).collect();
            assert!(relative_error(found, &expected) < fixtures::tolerance::RATIONAL_ORACLE);
        }
    }
}

#[test]
fn a_broadcast_gradient_is_read_in_place() {
    let case = Case::new(12, 24, 3);
    let tensors = Tensors::<Plain>::new(&case, &Data::random(&case, 10));
    let row = tensors.gradient.clone().slice([0..1, 0..24]);
    let call = |gradient: Tensor<Plain, 2>| {
        let [x, a, b] = [&tensors.x, &tensors.numerator, &tensors.denominator].map(|t| primitive(t.clone()));
        let gradients = Plain::group_rational_backward(x, a, b, primitive(gradient), case.spec());
        tensor::<Plain, 2>(gradients.input).into_data()
    };
    assert_eq!(call(row.clone().expand([12, 24])), call(row.repeat_dim(0, 12)));
}
