//! The second stage of the backward pass: from the partial sums of the cubes to the gradients of the coefficients.
#![allow(
    clippy::too_many_arguments,
    reason = "a kernel's arguments are its buffers and numbers"
)]

use burn_custom_op::cube::{Grid, fold_partials};
use cubecl::{self, prelude::*};

use super::arithmetic::{Form, Steps};

/// Adds the cubes' partial sums, one cube per coefficient.
#[cube(launch_unchecked, address_type = "dynamic")]
pub(crate) fn combine(
    partials: &Array<f32>,
    denominator: &Array<f32>,
    numerator_gradient: &mut Array<f32>,
    denominator_gradient: &mut Array<f32>,
    grid: &Grid,
    steps: &Steps,
    numerator_rows: usize,
    denominator_rows: usize,
    #[comptime] form: Form,
) {
    let numerator_jobs = numerator_rows * comptime!(form.degrees.numerator + 1);
    let denominator_jobs = denominator_rows * comptime!(form.degrees.denominator);
    let of_numerator = CUBE_POS < numerator_jobs;
    let job = select(of_numerator, CUBE_POS, CUBE_POS - numerator_jobs);
    let width = select(
        of_numerator,
        comptime!(form.degrees.numerator + 1),
        comptime!(form.degrees.denominator),
    );
    let row = job / width;
    let term = job % width + select(of_numerator, 0, comptime!(form.degrees.numerator + 1));
    // A row shared by all groups receives the sum over the groups.
    let own = select(of_numerator, numerator_rows, denominator_rows) == grid.groups;
    let first = select(own, row, 0);
    let end = select(own, row + 1, grid.groups);
    let sum = fold_partials(partials, first, end, term, grid, comptime!(form.terms()));
    if UNIT_POS == 0 {
        if of_numerator {
            numerator_gradient[job] = sum;
        } else if job < denominator_jobs {
            if comptime!(form.abs_of_sum()) {
                denominator_gradient[job] = -sum;
            } else {
                // d|b|/db is taken as +1 at 0: otherwise a denominator that starts at 0 never moves.
                let coefficient = denominator[row * steps.denominator + job % width];
                denominator_gradient[job] = select(coefficient < 0.0f32, sum, -sum);
            }
        }
    }
}
