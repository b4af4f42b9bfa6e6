//! The backends under test, bare and under automatic differentiation, and the plain reference against f64 arithmetic, one
//! element at a time.

use crate::support::{Case, assert_close, autodiff, explicit, noise, reference};
use burn::backend::Flex;
use kan_rational::{Denominator, RationalBackend};
use proptest::prelude::*;

const FORMS: [Denominator; 2] = [Denominator::SumOfAbs, Denominator::AbsOfSum];

fn check<B: RationalBackend>(case: &Case) {
    let shown = Case {
        x: Vec::new(),
        up: None,
        grad: Vec::new(),
        ..case.clone()
    };
    let exact = case.scalar();
    for (what, found) in [
        ("explicit", explicit::<B>(case)),
        ("autodiff", autodiff::<B>(case)),
        ("reference", reference::<Flex>(case)),
    ] {
        assert_close(&format!("{what} of {shown:?}"), &found, &exact);
    }
}

/// Both forms of a random, well-conditioned case.
fn check_forms<B: RationalBackend>(
    seed: u64,
    shape: &[usize],
    groups: usize,
    degrees: (usize, usize),
    sharing: (bool, bool),
    gated: bool,
) {
    for form in FORMS {
        check::<B>(&Case::well_conditioned(
            seed, shape, groups, form, degrees, sharing, gated,
        ));
    }
}

#[test]
fn group_widths_of_language_models() {
    for (width, groups) in [
        (576, 8),
        (768, 8),
        (960, 8),
        (1536, 8),
        (2560, 8),
        (8192, 8),
        (12_288, 8),
    ] {
        for gated in [false, true] {
            on_every_backend!(check_forms(1, &[37, width], groups, (5, 4), (false, false), gated));
        }
    }
}

#[test]
fn one_group_and_a_group_per_channel() {
    for (rows, width, groups) in [(33, 96, 1), (33, 96, 96), (3, 4099, 4099), (3, 4099, 1), (1, 1, 1)] {
        on_every_backend!(check_forms(3, &[rows, width], groups, (5, 4), (false, false), true));
    }
}

#[test]
fn numbers_of_rows_around_a_cube() {
    for rows in [1, 2, 31, 32, 127, 128, 129, 1000] {
        on_every_backend!(check_forms(5, &[rows, 16], 2, (5, 4), (false, false), true));
    }
}

#[test]
fn a_cube_that_holds_parts_of_some_groups_only() {
    for (rows, width, groups) in [(5, 1200, 2), (5, 4000, 8), (7, 600, 300)] {
        on_every_backend!(check_forms(7, &[rows, width], groups, (5, 4), (false, false), true));
    }
}

#[test]
fn awkward_shapes() {
    let mut seed = 100;
    for rows in [1, 31, 47, 123] {
        for (width, groups) in [(72, 8), (96, 2), (120, 3), (192, 8), (5, 1), (1, 13)] {
            for gated in [false, true] {
                seed += 10;
                let shape = [rows, width * groups];
                check_forms::<crate::Device>(seed, &shape, groups, (5, 4), (false, false), gated);
            }
        }
    }
}

#[test]
fn every_rank() {
    for shape in [&[24][..], &[3, 24], &[2, 3, 24], &[2, 1, 3, 24]] {
        on_every_backend!(check_forms(7, shape, 4, (5, 4), (false, false), true));
    }
}

#[test]
fn every_degree() {
    for n in 1..=9 {
        for m in 1..=8 {
            let (seed, gated) = ((n * 10 + m) as u64, (n + m) % 2 == 0);
            check_forms::<crate::Device>(seed, &[5, 12], 2, (n, m), (false, false), gated);
        }
    }
}

#[test]
fn shared_coefficients() {
    for sharing in [(true, false), (false, true), (true, true)] {
        for gated in [false, true] {
            on_every_backend!(check_forms(3, &[31, 48], 8, (5, 4), sharing, gated));
            on_every_backend!(check_forms(4, &[31, 48], 8, (7, 6), sharing, gated));
        }
    }
}

/// Ten million terms of random signs for each coefficient.
#[test]
fn ten_million_random_terms() {
    let case = Case::random(8, &[16384, 640], 1, FORMS[0], (5, 4), (false, false), true);
    let exact = case.scalar();
    assert_close("explicit", &explicit::<crate::Device>(&case), &exact);
}

/// Ten million terms of one sign: naive f32 sums would lose four digits.
#[test]
fn ten_million_terms_of_one_sign() {
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
    let found = explicit::<crate::Device>(&case);
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
    #![proptest_config(ProptestConfig::with_cases(fixtures::cases(64)))]
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
            check_forms::<crate::Device>(seed, &[rows, width * groups], groups, (n, m), sharing, gated);
        }
    }
}
