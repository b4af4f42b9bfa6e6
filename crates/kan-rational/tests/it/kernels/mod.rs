//! The fused kernels against f64 arithmetic, bare and behind `Fusion`, on whatever device WGPU finds.

mod case;
mod special;

use burn::tensor::Tensor;
use case::{Case, Data, Tensors, assert_close, expected};
use kan_rational::{Denominator, RationalBackend};
use proptest::prelude::*;

/// Without fusion.
pub(crate) type Plain = burn_cubecl::CubeBackend<cubecl::wgpu::WgpuRuntime, f32, i32, u32>;
/// With fusion: what people use.
pub(crate) type Fused = burn::backend::Wgpu;

fn check<B: RationalBackend>(case: Case) {
    let data = Data::random(&case, case.rows as u64 * 31 + case.width as u64);
    let found = Tensors::<B>::new(&case, &data).run(case.spec());
    assert_close(&case, &found, &expected(&case, &data));
}

fn check_both(case: Case) {
    check::<Plain>(case);
    check::<Fused>(case);
}

#[test]
fn group_widths_of_language_models() {
    for (width, groups) in [(576, 8), (768, 8), (960, 8), (1536, 8), (2560, 8), (8192, 8)] {
        check_both(Case::new(37, width, groups));
    }
}

#[test]
fn one_group_and_a_group_per_channel() {
    check_both(Case::new(33, 96, 1));
    check_both(Case::new(33, 96, 96));
    check_both(Case::new(3, 4099, 4099));
    check_both(Case::new(3, 4099, 1));
    check_both(Case::new(1, 1, 1));
}

#[test]
fn numbers_of_rows_around_a_cube() {
    for rows in [1, 2, 31, 32, 127, 128, 129, 1000] {
        check_both(Case::new(rows, 16, 2));
    }
}

#[test]
fn both_forms_share_numerator_denominator_both_or_none() {
    for form in [Denominator::SumOfAbs, Denominator::AbsOfSum] {
        for (numerator, denominator) in [(false, false), (true, false), (false, true), (true, true)] {
            check_both(Case::new(29, 72, 8).form(form).shared(numerator, denominator));
        }
    }
}

#[test]
fn degrees_up_to_nine_and_eight() {
    for (numerator, denominator) in [(1, 1), (1, 8), (9, 1), (3, 4), (4, 3), (7, 6), (9, 8)] {
        for form in [Denominator::SumOfAbs, Denominator::AbsOfSum] {
            check_both(Case::new(50, 24, 4).degrees(numerator, denominator).form(form));
        }
    }
}

#[test]
fn a_cube_that_holds_parts_of_some_groups_only() {
    check_both(Case::new(5, 300 * 4, 2));
    check_both(Case::new(5, 1000 * 4, 8));
    check_both(Case::new(7, 600, 300));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_shapes(
        rows in 1usize..200,
        groups in 1usize..12,
        group_width in 1usize..100,
        shared in any::<(bool, bool)>(),
        abs_of_sum in any::<bool>(),
    ) {
        let form = if abs_of_sum { Denominator::AbsOfSum } else { Denominator::SumOfAbs };
        check::<Fused>(Case::new(rows, groups * group_width, groups).form(form).shared(shared.0, shared.1));
    }
}

#[test]
fn ten_million_terms_for_each_coefficient() {
    let case = Case::new(16384, 640, 1);
    let data = Data::random(&case, 7);
    let found = Tensors::<Fused>::new(&case, &data).run(case.spec());
    assert_close(&case, &found, &expected(&case, &data));
}

#[test]
fn gradients_are_the_same_bits_in_every_run() {
    let case = Case::new(999, 576, 8);
    let tensors = Tensors::<Fused>::new(&case, &Data::random(&case, 3));
    let first = tensors.run(case.spec());
    for _ in 0..3 {
        assert!(tensors.run(case.spec()).same_bits(&first));
    }
}

#[test]
fn views_give_what_their_copies_give() {
    let case = Case::new(40, 48, 8);
    let data = Data::random(&case, 11);
    let whole = Tensors::<Plain>::new(&case, &data);
    let expected = whole.run(case.spec());
    // A slice of wider rows, a transposed matrix, and a slice that does not begin where memory is aligned.
    let device = Default::default();
    let wide = |tensor: &Tensor<Plain, 2>, left: usize| {
        let padding = |columns| Tensor::<Plain, 2>::full([40, columns], f32::NAN, &device);
        let all = Tensor::cat(vec![padding(left), tensor.clone(), padding(5)], 1);
        all.slice([0..40, left..left + 48])
    };
    let views = Tensors {
        x: wide(&whole.x, 64),
        up: whole.up.clone().transpose().mul_scalar(1.0).transpose(),
        gradient: wide(&whole.gradient, 3),
        numerator: whole.numerator.clone().transpose().mul_scalar(1.0).transpose(),
        denominator: whole.denominator.clone(),
    };
    assert!(views.run(case.spec()).same_bits(&expected));
}
