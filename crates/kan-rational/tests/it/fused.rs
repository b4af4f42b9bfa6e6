//! The backend under test against the plain reference and the f64 scalar, over awkward shapes.

use crate::support::{
    Case, Gradients, autodiff, explicit, explicit_in, noise, numbers, primitive, reference, relative, wrap,
};
use burn::{
    backend::{Autodiff, Flex, autodiff::checkpoint::strategy::BalancedCheckpointing},
    tensor::{DType, Tensor},
};
use kan_rational::{Denominator, RationalSpec, gated_rational, group_rational};
use proptest::prelude::*;

type Device = crate::Device;
const FORMS: [Denominator; 2] = [Denominator::SumOfAbs, Denominator::AbsOfSum];

/// f32 against f64 on random polynomials up to degree 9, relative to the largest entry.
const AGREEMENT: f64 = 2e-5;
/// Coefficient gradients are sums whose terms cancel, now and then almost wholly: they may be off by this much of the sum
/// of their terms' magnitudes, some thirty roundings.
const SUM: f64 = 2e-6;

fn agree(name: &str, found: &Gradients, expected: &Gradients, [numerator, denominator]: [f64; 2]) {
    for (what, found, expected, magnitude) in [
        ("y", &found.y, &expected.y, 0.0),
        ("x", &found.x, &expected.x, 0.0),
        ("numerator", &found.numerator, &expected.numerator, numerator),
        ("denominator", &found.denominator, &expected.denominator, denominator),
    ] {
        let largest = expected.iter().fold(1.0f64, |max, value| max.max(value.abs()));
        let (error, bound) = (relative(found, expected), AGREEMENT.max(SUM * magnitude / largest));
        assert!(error <= bound, "{name} {what}: {error:e} above {bound:e}");
    }
    if let (Some(found), Some(expected)) = (&found.up, &expected.up) {
        assert!(relative(found, expected) <= AGREEMENT, "{name} up");
    }
}

fn check(seed: u64, shape: &[usize], groups: usize, degrees: (usize, usize), sharing: (bool, bool), gated: bool) {
    for form in FORMS {
        let case = Case::random(seed, shape, groups, form, degrees, sharing, gated);
        let name = format!("{shape:?} G={groups} {degrees:?} {form:?} {sharing:?} gated={gated}");
        let (expected, scale) = (case.scalar(), case.magnitudes());
        agree(
            &format!("{name} reference"),
            &reference::<Flex>(&case),
            &expected,
            scale,
        );
        agree(
            &format!("{name} explicit"),
            &explicit::<Device>(&case),
            &expected,
            scale,
        );
        agree(
            &format!("{name} autodiff"),
            &autodiff::<Device>(&case),
            &expected,
            scale,
        );
    }
}

#[test]
fn awkward_shapes() {
    let mut seed = 100;
    for rows in [1, 31, 47, 123] {
        for (width, groups) in [(72, 8), (96, 2), (120, 3), (192, 8), (5, 1), (1, 13)] {
            for gated in [false, true] {
                seed += 10;
                check(seed, &[rows, width * groups], groups, (5, 4), (false, false), gated);
            }
        }
    }
}

#[test]
fn every_rank() {
    for shape in [&[24][..], &[3, 24], &[2, 3, 24], &[2, 1, 3, 24]] {
        check(7, shape, 4, (5, 4), (false, false), true);
    }
}

#[test]
fn every_degree() {
    for n in 1..=9 {
        for m in 1..=8 {
            check(
                (n * 10 + m) as u64,
                &[5, 12],
                2,
                (n, m),
                (false, false),
                (n + m) % 2 == 0,
            );
        }
    }
}

#[test]
fn shared_coefficients() {
    for sharing in [(true, false), (false, true), (true, true)] {
        for gated in [false, true] {
            check(3, &[31, 48], 8, (5, 4), sharing, gated);
            check(4, &[31, 48], 8, (7, 6), sharing, gated);
        }
    }
}

#[test]
fn no_rows() {
    for shape in [&[0, 16][..], &[2, 0, 16]] {
        for gated in [false, true] {
            for form in FORMS {
                let case = Case::random(1, shape, 4, form, (5, 4), (true, false), gated);
                let found = explicit::<Device>(&case);
                assert_eq!(found, reference::<Flex>(&case));
                assert!(found.y.is_empty());
                assert_eq!((found.numerator, found.denominator), (vec![0.0; 6], vec![0.0; 16]));
            }
        }
    }
}

#[test]
fn views_are_read_as_what_they_mean() {
    let spec = RationalSpec::new(4);
    let case = Case::random(9, &[24, 24], 4, Denominator::SumOfAbs, (5, 4), (false, false), false);
    let of = |values: &[f64], shape: [usize; 2]| wrap::<Device, 2>(primitive::<Device>(values, &shape, DType::F32));
    let (x, a, b) = (of(&case.x, [24, 24]), of(&case.a, [4, 6]), of(&case.b, [4, 4]));
    let dense = |x: Tensor<Device, 2>| of(&numbers(x.clone()), x.dims());
    for view in [
        x.clone().transpose(),
        x.clone().slice([3..20, 8..24]),
        x.clone().flip([0]),
        x.clone().narrow(0, 5, 7),
    ] {
        let found = numbers(group_rational(view.clone(), a.clone(), b.clone(), spec));
        assert_eq!(
            found,
            numbers(group_rational(dense(view.clone()), a.clone(), b.clone(), spec))
        );
        let found = numbers(gated_rational(view.clone(), view.clone(), a.clone(), b.clone(), spec));
        assert_eq!(
            found,
            numbers(gated_rational(
                dense(view.clone()),
                dense(view),
                a.clone(),
                b.clone(),
                spec
            ))
        );
    }
    let transposed = of(&numbers(a.clone().transpose()), [6, 4]).transpose();
    assert_eq!(
        numbers(group_rational(x.clone(), transposed, b.clone(), spec)),
        numbers(group_rational(x, a, b, spec))
    );
}

#[test]
fn a_nan_stays_in_its_element() {
    for at in [0, 7, 11, 30] {
        let mut case = Case::random(2, &[2, 24], 4, FORMS[0], (5, 4), (false, false), true);
        let clean = explicit::<Device>(&case);
        case.x[at] = f64::NAN;
        let found = explicit::<Device>(&case);
        for (found, clean) in [
            (&found.y, &clean.y),
            (&found.x, &clean.x),
            (&found.up.unwrap(), &clean.up.clone().unwrap()),
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
        let group = at % 24 / 6;
        for (k, gradient) in found.numerator.iter().enumerate() {
            assert_eq!(gradient.is_nan(), k / 6 == group);
        }
    }
}

#[test]
fn extremes_are_finite_and_signed() {
    for form in FORMS {
        let mut case = Case::random(4, &[1, 8], 1, form, (5, 4), (false, false), true);
        case.x = vec![1e4, -1e4, 0.0, -0.0, 1e-40, -1e-40, f64::from(f32::MIN_POSITIVE), 9e3];
        let (found, expected) = (explicit::<Device>(&case), case.scalar());
        let every = [&found.y, &found.x, &found.numerator, &found.denominator];
        assert!(
            every.iter().all(|list| list.iter().all(|value| value.is_finite())),
            "{found:?}"
        );
        for (found, expected) in found.x.iter().zip(&expected.x) {
            assert!(
                (found - expected).abs() <= 1e-4 * expected.abs().max(1.0),
                "{found} {expected}"
            );
        }
    }
}

#[test]
fn half_precision_is_the_f32_result_rounded_once() {
    for dtype in [DType::F16, DType::BF16] {
        let device = Default::default();
        if !<Device as burn::tensor::backend::Backend>::supports_dtype(&device, dtype) {
            continue;
        }
        for gated in [false, true] {
            let round = |values: &[f64]| numbers::<Flex, 1>(wrap(primitive::<Flex>(values, &[values.len()], dtype)));
            let mut case = Case::random(8, &[9, 40], 8, FORMS[0], (5, 4), (false, false), gated);
            case.x = round(&case.x);
            case.grad = round(&case.grad);
            case.up = case.up.map(|up| round(&up));
            let (half, full) = (explicit_in::<Device>(&case, dtype), explicit::<Device>(&case));
            assert_eq!(half.y, round(&full.y));
            assert_eq!(half.x, round(&full.x));
            assert_eq!(half.up, full.up.map(|up| round(&up)));
            assert_eq!((half.numerator, half.denominator), (full.numerator, full.denominator));
        }
    }
}

#[test]
fn checkpointing_changes_no_gradient() {
    type Checkpointed = Autodiff<Device, BalancedCheckpointing>;
    let case = Case::random(6, &[6, 16], 4, FORMS[0], (5, 4), (false, false), true);
    let leaf = |values: &[f64], shape: [usize; 2]| {
        wrap::<Checkpointed, 2>(primitive::<Checkpointed>(values, &shape, DType::F32)).require_grad()
    };
    let (x, up) = (leaf(&case.x, [6, 16]), leaf(case.up.as_ref().unwrap(), [6, 16]));
    let (a, b) = (leaf(&case.a, [4, 6]), leaf(&case.b, [4, 4]));
    // Operations around the rational make the graph drop and recompute its inputs and its output.
    let hidden = gated_rational(x.clone() * 1.0, up.clone() + 0.0, a.clone(), b.clone(), case.spec());
    let y = group_rational(hidden.clone(), a.clone(), b.clone(), case.spec()) * hidden.exp().recip();
    let checkpointed = y.sum().backward();
    let leaf = |values: &[f64], shape: [usize; 2]| {
        wrap::<Autodiff<Device>, 2>(primitive::<Autodiff<Device>>(values, &shape, DType::F32)).require_grad()
    };
    let (x2, up2) = (leaf(&case.x, [6, 16]), leaf(case.up.as_ref().unwrap(), [6, 16]));
    let (a2, b2) = (leaf(&case.a, [4, 6]), leaf(&case.b, [4, 4]));
    let hidden = gated_rational(x2.clone() * 1.0, up2.clone() + 0.0, a2.clone(), b2.clone(), case.spec());
    let y = group_rational(hidden.clone(), a2.clone(), b2.clone(), case.spec()) * hidden.exp().recip();
    let kept = y.sum().backward();
    for (one, other) in [(&x, &x2), (&up, &up2), (&a, &a2), (&b, &b2)] {
        assert_eq!(
            numbers(one.grad(&checkpointed).unwrap()),
            numbers(other.grad(&kept).unwrap())
        );
    }
}

#[test]
fn untracked_parents_get_no_gradient_and_disturb_none() {
    type Ad = Autodiff<Device, BalancedCheckpointing>;
    let case = Case::random(6, &[6, 16], 4, FORMS[0], (5, 4), (false, false), true);
    let of = |values: &[f64], shape: [usize; 2]| wrap::<Ad, 2>(primitive::<Ad>(values, &shape, DType::F32));
    let all = autodiff::<Device>(&Case {
        grad: vec![1.0; 96],
        ..case.clone()
    });
    for tracked in 0..4 {
        let leaf = |at: usize, tensor: Tensor<Ad, 2>| if at == tracked { tensor.require_grad() } else { tensor };
        let x = leaf(0, of(&case.x, [6, 16]));
        let up = leaf(1, of(case.up.as_ref().unwrap(), [6, 16]));
        let (a, b) = (leaf(2, of(&case.a, [4, 6])), leaf(3, of(&case.b, [4, 4])));
        let gradients = gated_rational(x.clone(), up.clone(), a.clone(), b.clone(), case.spec())
            .sum()
            .backward();
        let expected = [
            Some(&all.x),
            all.up.as_ref(),
            Some(&all.numerator),
            Some(&all.denominator),
        ];
        for (at, (tensor, expected)) in [x, up, a, b].iter().zip(expected).enumerate() {
            let found = tensor.grad(&gradients).map(numbers);
            assert_eq!(found.as_ref(), if at == tracked { expected } else { None });
        }
    }
}

#[test]
fn runs_repeat_bit_for_bit() {
    let case = Case::random(11, &[300, 256], 8, FORMS[0], (5, 4), (false, false), true);
    let first = explicit::<Device>(&case);
    for _ in 0..4 {
        assert_eq!(explicit::<Device>(&case), first);
    }
}

#[cfg(not(feature = "wgpu"))]
#[test]
fn threads_change_no_bit() {
    let case = Case::random(12, &[300, 256], 8, FORMS[1], (7, 6), (true, false), true);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| explicit::<Device>(&case))
    };
    let one = with(1);
    for threads in [2, 3, 7] {
        assert_eq!(with(threads), one);
    }
}

/// Ten million terms of one sign: naive f32 sums would lose four digits.
#[test]
fn coefficient_sums_stay_exact_over_ten_million_terms() {
    let rows = 40_000;
    let x = noise(1, 256).repeat(rows);
    let count = x.len();
    let case = Case {
        shape: vec![rows, 256],
        groups: 1,
        form: FORMS[0],
        numerator_rows: 1,
        denominator_rows: 1,
        x,
        up: None,
        grad: vec![1.0; count],
        a: vec![0.1, 0.5, 0.25, 0.05, 0.006, 0.0003],
        b: vec![0.02, 0.1, 0.004, 0.0006],
    };
    let one = Case {
        shape: vec![1, 256],
        x: case.x[..256].to_vec(),
        grad: vec![1.0; 256],
        ..case.clone()
    }
    .scalar();
    let found = explicit::<Device>(&case);
    for (found, one) in found
        .numerator
        .iter()
        .chain(&found.denominator)
        .zip(one.numerator.iter().chain(&one.denominator))
    {
        let expected = one * rows as f64;
        assert!((found - expected).abs() <= 1e-5 * expected.abs(), "{found} {expected}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn random_shapes(
        seed in 0u64..1 << 40,
        rows in 0usize..40,
        width in 1usize..40,
        groups in 1usize..10,
        n in 1usize..=9,
        m in 1usize..=8,
        sharing: (bool, bool),
        gated: bool,
    ) {
        if rows > 0 {
            check(seed, &[rows, width * groups], groups, (n, m), sharing, gated);
        }
    }
}
