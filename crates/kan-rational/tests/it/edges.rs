//! Values, types, views and tensors at the edges.

use crate::support::{Case, Gradients, autodiff, explicit, explicit_in, numbers, primitive, reference, wrap};
use burn::{
    backend::Flex,
    tensor::{DType, Tensor},
};
use fixtures::tolerance::{RATIONAL_FAR_SLOPE, RATIONAL_ORACLE};
use kan_rational::{Denominator, RationalBackend, RationalSpec};

const FORMS: [Denominator; 2] = [Denominator::SumOfAbs, Denominator::AbsOfSum];

/// A gated case of form A and degrees (5, 4).
fn gated(seed: u64, shape: &[usize], groups: usize) -> Case {
    Case::random(seed, shape, groups, FORMS[0], (5, 4), (false, false), true)
}

fn without_rows<B: RationalBackend>() {
    for shape in [&[0, 16][..], &[2, 0, 16]] {
        for gated in [false, true] {
            for form in FORMS {
                let case = Case::random(1, shape, 4, form, (5, 4), (true, false), gated);
                let found = explicit::<B>(&case);
                assert_eq!(found, reference::<Flex>(&case));
                assert_eq!(autodiff::<B>(&case), found);
                assert!(found.y.is_empty());
                assert_eq!((found.numerator, found.denominator), (vec![0.0; 6], vec![0.0; 16]));
            }
        }
    }
}

#[test]
fn no_rows() {
    on_every_backend!(without_rows());
}

fn nan<B: RationalBackend>() {
    for (at, form) in [0, 7, 11, 30].into_iter().flat_map(|at| FORMS.map(|form| (at, form))) {
        let mut case = Case::random(2, &[2, 24], 4, form, (5, 4), (false, false), true);
        let clean = explicit::<B>(&case);
        case.x[at] = f64::NAN;
        let found = explicit::<B>(&case);
        for (found, clean) in [
            (&found.y, &clean.y),
            (&found.x, &clean.x),
            (&found.up.unwrap(), clean.up.as_ref().unwrap()),
        ] {
            for i in 0..found.len() {
                assert!(
                    if i == at {
                        found[i].is_nan()
                    } else {
                        found[i] == clean[i]
                    },
                    "{at} {i}"
                );
            }
        }
        for (found, clean, terms) in [
            (&found.numerator, &clean.numerator, 6),
            (&found.denominator, &clean.denominator, 4),
        ] {
            for (k, (found, clean)) in found.iter().zip(clean).enumerate() {
                let poisoned = k / terms == at % 24 / 6;
                assert!(if poisoned { found.is_nan() } else { found == clean }, "{at} {k}");
            }
        }
    }
}

#[test]
fn a_nan_stays_in_its_element_and_its_group() {
    on_every_backend!(nan());
}

/// Far out, at zeros of either sign and at subnormal numbers.
fn extremes<B: RationalBackend>() {
    for degrees in [(5, 4), (9, 8)] {
        for form in FORMS {
            let mut case = Case::random(4, &[1, 8], 1, form, degrees, (false, false), true);
            case.x = vec![1e4, -1e4, 0.0, -0.0, 1e-40, -1e-40, f64::from(f32::MIN_POSITIVE), 9e3];
            let (found, exact) = (explicit::<B>(&case), case.scalar());
            let every = |of: &Gradients| {
                let up = of.up.clone().unwrap();
                [
                    of.y.clone(),
                    of.x.clone(),
                    up,
                    of.numerator.clone(),
                    of.denominator.clone(),
                ]
            };
            let names = ["y", "x", "up", "a", "b"];
            for ((found, exact), name) in every(&found).iter().zip(every(&exact)).zip(names) {
                // Far out the slope is a difference of two large numbers.
                let limit = if name == "x" {
                    RATIONAL_FAR_SLOPE
                } else {
                    RATIONAL_ORACLE
                };
                for (found, exact) in found.iter().zip(exact) {
                    let error = (found - exact).abs() / exact.abs().max(1.0);
                    let signed = exact != 0.0 || found.is_sign_negative() == exact.is_sign_negative();
                    assert!(signed, "{degrees:?} {form:?} {name}: {found} {exact}");
                    assert!(error <= limit, "{degrees:?} {form:?} {name}: {found} {exact}");
                }
            }
        }
    }
}

#[test]
fn extremes_are_finite_and_signed() {
    on_every_backend!(extremes());
}

/// The distance between `value` and the next number of `dtype`.
fn unit_in_the_last_place(value: f64, dtype: DType) -> f64 {
    let (digits, smallest) = if dtype == DType::F16 { (10, -14) } else { (7, -126) };
    2f64.powi(value.abs().max(2f64.powi(smallest)).log2().floor() as i32 - digits)
}

/// The f32 result rounded once, or its neighbour: a compiler may contract the two kernels' arithmetic differently.
fn half<B: RationalBackend>() {
    for dtype in [DType::F16, DType::BF16] {
        if !B::supports_dtype(&Default::default(), dtype) {
            println!("the device has no {dtype:?}: it is not checked");
            continue;
        }
        // Widths of groups whose vectors hold 8, 4, 2 and 1 numbers.
        for ((width, form), gated) in [24, 12, 6, 5]
            .into_iter()
            .flat_map(|width| FORMS.map(|form| (width, form)))
            .flat_map(|case| [(case, false), (case, true)])
        {
            let round = |values: &[f64]| numbers::<Flex, 1>(wrap(primitive::<Flex>(values, &[values.len()], dtype)));
            let degrees = if width == 12 { (7, 6) } else { (5, 4) };
            let sharing = (width == 6, width == 5);
            let mut case = Case::random(8, &[65, 4 * width], 4, form, degrees, sharing, gated);
            case.x = round(&case.x);
            case.grad = round(&case.grad);
            case.up = case.up.map(|up| round(&up));
            let (half, full) = (explicit_in::<B>(&case, dtype), explicit::<B>(&case));
            let up = |of: &Gradients| of.up.clone().unwrap_or_default();
            for (half, full) in [(&half.y, &full.y), (&half.x, &full.x), (&up(&half), &up(&full))] {
                for (half, full) in half.iter().zip(round(full)) {
                    let unit = unit_in_the_last_place(full, dtype);
                    assert!((half - full).abs() <= unit, "{dtype:?}: {half} {full}");
                }
            }
            crate::support::assert_close(
                "half",
                &Gradients {
                    y: full.y.clone(),
                    x: full.x.clone(),
                    up: full.up.clone(),
                    ..half
                },
                &full,
            );
        }
    }
}

#[test]
fn half_precision_is_the_f32_result_rounded_once() {
    on_every_backend!(half());
}

/// A matrix on a backend.
fn matrix<B: RationalBackend>(values: &[f64], shape: [usize; 2]) -> Tensor<B, 2> {
    wrap(primitive::<B>(values, &shape, DType::F32))
}

/// All outputs of the four operations on the same tensors.
fn run<B: RationalBackend>(tensors: [&Tensor<B, 2>; 3], [a, b]: [&Tensor<B, 2>; 2], groups: usize) -> Vec<Vec<f64>> {
    let raw = |tensor: &Tensor<B, 2>| tensor.clone().into_primitive().tensor();
    let ([x, up, grad], (a, b)) = (tensors.map(raw), (raw(a), raw(b)));
    let spec = RationalSpec::new(groups);
    let y = B::group_rational(x.clone(), a.clone(), b.clone(), spec);
    let plain = B::group_rational_backward(x.clone(), a.clone(), b.clone(), grad.clone(), spec);
    let h = B::gated_rational(x.clone(), up.clone(), a.clone(), b.clone(), spec);
    let gated = B::gated_rational_backward(x, up, a, b, grad, spec);
    let outputs = [
        y,
        plain.input,
        plain.numerator,
        plain.denominator,
        h,
        gated.gate,
        gated.up,
        gated.numerator,
        gated.denominator,
    ];
    outputs.map(|output| numbers::<B, 2>(wrap(output))).into()
}

fn views<B: RationalBackend>() {
    let case = gated(9, &[40, 48], 8);
    let [x, up, grad] = [&case.x, case.up.as_ref().unwrap(), &case.grad].map(|values| matrix::<B>(values, [40, 48]));
    let (a, b) = (matrix::<B>(&case.a, [8, 6]), matrix::<B>(&case.b, [8, 4]));
    let expected = run([&x, &up, &grad], [&a, &b], 8);
    // A slice of wider rows, a transposed matrix, one turned over twice. CubeCL reads a slice in place where it begins and
    // ends at multiples of 512 bytes (CUDA) and copies it elsewhere.
    let wide = |tensor: &Tensor<B, 2>, padding: usize| {
        let nan = Tensor::<B, 2>::full([40, padding], f32::NAN, &Default::default());
        let all = Tensor::cat(vec![nan.clone(), tensor.clone(), nan], 1); // [40, padding + 48 + padding]
        all.slice([0..40, padding..padding + 48]) // [40, 48]
    };
    let transposed = |tensor: &Tensor<B, 2>| {
        let [rows, columns] = tensor.dims();
        matrix::<B>(&numbers(tensor.clone().transpose()), [columns, rows]).transpose() // [rows, columns]
    };
    let turned = |tensor: &Tensor<B, 2>| tensor.clone().flip([0]).flip([0]);
    for [x, up, grad] in [
        [wide(&x, 128), transposed(&up), wide(&grad, 3)],
        [transposed(&x), wide(&up, 128), turned(&grad)],
        [turned(&x), wide(&up, 3), transposed(&grad)],
        [wide(&x, 256), wide(&up, 128), wide(&grad, 128)],
    ] {
        assert_eq!(run([&x, &up, &grad], [&transposed(&a), &b], 8), expected);
    }
}

#[test]
fn views_are_read_as_what_they_mean() {
    on_every_backend!(views());
}

fn aliases<B: RationalBackend>() {
    let case = gated(4, &[9, 24], 3);
    let [x, up, grad] = [(); 3].map(|()| matrix::<B>(&case.x, [9, 24]));
    let (a, b) = (matrix::<B>(&case.a, [3, 6]), matrix::<B>(&case.b, [3, 4]));
    assert_eq!(run([&x, &x, &x], [&a, &b], 3), run([&x, &up, &grad], [&a, &b], 3));
}

#[test]
fn one_tensor_as_gate_up_and_gradient() {
    on_every_backend!(aliases());
}

fn broadcast<B: RationalBackend>() {
    let case = gated(10, &[12, 24], 3);
    let [x, up] = [&case.x, case.up.as_ref().unwrap()].map(|values| matrix::<B>(values, [12, 24]));
    let (a, b) = (matrix::<B>(&case.a, [3, 6]), matrix::<B>(&case.b, [3, 4]));
    let row = matrix::<B>(&case.grad[..24], [1, 24]);
    let (spread, copied) = (row.clone().expand([12, 24]), row.repeat_dim(0, 12)); // [12, 24]
    assert_eq!(
        run([&x, &up, &spread], [&a, &b], 3),
        run([&x, &up, &copied], [&a, &b], 3)
    );
}

#[test]
fn a_broadcast_gradient_is_what_its_copy_is() {
    on_every_backend!(broadcast());
}

#[test]
fn runs_repeat_bit_for_bit() {
    let case = gated(11, &[999, 576], 8);
    let first = explicit::<crate::Device>(&case);
    for _ in 0..4 {
        assert_eq!(explicit::<crate::Device>(&case), first);
    }
}

#[cfg(not(any(feature = "cuda", feature = "wgpu")))]
#[test]
fn threads_change_no_bit() {
    let case = Case::random(12, &[300, 256], 8, FORMS[1], (7, 6), (true, false), true);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| explicit::<crate::Device>(&case))
    };
    let one = with(1);
    for threads in [2, 3, 7] {
        assert_eq!(with(threads), one);
    }
}
