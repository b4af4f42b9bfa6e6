//! Tensors as slices.

use burn::{
    backend::Flex,
    tensor::{DType, Tensor},
};
use burn_custom_op::{
    flex::{are_f32, contiguous, from_values, values, whole_rows},
    unwrap, vectorized, wrap,
};

fn counted() -> Tensor<Flex, 2> {
    wrap(from_values((0..6).map(|i| i as f32).collect(), &[3, 2]))
}

#[test]
fn a_view_is_read_in_the_order_of_its_rows() {
    assert_eq!(values(&contiguous(unwrap(counted()))), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let columns = contiguous(unwrap(counted().transpose()));
    assert_eq!(values(&columns), [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
    let rows = unwrap(counted().slice([1..3, 0..2]));
    let start = values(&rows).as_ptr();
    assert_eq!(values(&rows), [2.0, 3.0, 4.0, 5.0]);
    assert_eq!(
        values(&contiguous(rows)).as_ptr(),
        start,
        "rows of a buffer are not copied"
    );
}

#[test]
fn other_types_are_told_apart() {
    let [f32, f16] = [counted(), counted().cast(DType::F16)].map(unwrap);
    assert!(are_f32([&f32, &f32]) && !are_f32([&f32, &f16]));
}

#[test]
fn a_task_has_whole_rows() {
    assert_eq!(
        [1, 7, 100, 101, 0].map(|width| whole_rows(100, width)),
        [100, 98, 100, 101, 0]
    );
}

vectorized! {
    /// Elementwise, so that the width of a register changes no bit.
    fn cubes(x: &[f32], out: &mut [f32]) {
        for (x, out) in x.iter().zip(out) {
            *out = x * x * x + 0.1;
        }
    }
}

#[test]
fn vector_instructions_give_the_bits_of_single_ones() {
    let x: Vec<f32> = (0..1001).map(|i| i as f32 * 0.37 - 150.0).collect();
    let mut found = vec![0.0; x.len()];
    cubes(&x, &mut found);
    for (x, found) in x.into_iter().zip(found) {
        assert_eq!(found, x * x * x + 0.1);
    }
}
