//! Backward kernels: the gradients of the inputs and, per cube, the sums of the coefficient gradients, in one pass.
#![allow(
    clippy::too_many_arguments,
    reason = "a kernel's arguments are its buffers and numbers"
)]

use burn_custom_op::cube::{Grid, column_group, first_row, fold_cube, read, thread_column, zero_sums};
use cubecl::{self, prelude::*};

use super::arithmetic::{Coefficients, Form, Steps, accumulate, differentiate, read_coefficients};

/// `x_gradient = output_gradient * F'(x)`, and the cube's coefficient sums into `partials`.
#[cube(launch_unchecked, address_type = "dynamic")]
pub(crate) fn backward<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    output_gradient: &Array<Vector<F, N>>,
    numerator: &Array<f32>,
    denominator: &Array<f32>,
    x_gradient: &mut Array<Vector<F, N>>,
    partials: &mut Array<f32>,
    grid: &Grid,
    steps: &Steps,
    x_pitch: usize,
    gradient_pitch: usize,
    #[comptime] form: Form,
    #[define(F)] _dtype: StorageType,
) {
    let column = thread_column(grid);
    let coefficients = read_coefficients(numerator, denominator, column_group(column, grid), steps, form);
    let sums = zero_sums(comptime!(form.terms()));
    let mut row = first_row(grid);
    let mut points = read(x, row, column, x_pitch, grid);
    let mut gradients = read(output_gradient, row, column, gradient_pitch, grid);
    while row < grid.rows {
        let at = row * grid.columns + column;
        row += grid.row_step;
        let points_ahead = read(x, row, column, x_pitch, grid);
        let gradients_ahead = read(output_gradient, row, column, gradient_pitch, grid);
        x_gradient[at] = gradient_vector(points, gradients, &coefficients, &sums, form);
        points = points_ahead;
        gradients = gradients_ahead;
    }
    fold_cube(&sums, partials, grid, comptime!(form.terms()));
}

/// Gradients of `F(gate) * up`; `F(gate)` is recomputed rather than kept.
#[cube(launch_unchecked, address_type = "dynamic")]
pub(crate) fn backward_gated<F: Float, N: Size>(
    gate: &Array<Vector<F, N>>,
    up: &Array<Vector<F, N>>,
    output_gradient: &Array<Vector<F, N>>,
    numerator: &Array<f32>,
    denominator: &Array<f32>,
    gate_gradient: &mut Array<Vector<F, N>>,
    up_gradient: &mut Array<Vector<F, N>>,
    partials: &mut Array<f32>,
    grid: &Grid,
    steps: &Steps,
    gate_pitch: usize,
    up_pitch: usize,
    gradient_pitch: usize,
    #[comptime] form: Form,
    #[define(F)] _dtype: StorageType,
) {
    let column = thread_column(grid);
    let coefficients = read_coefficients(numerator, denominator, column_group(column, grid), steps, form);
    let sums = zero_sums(comptime!(form.terms()));
    let mut row = first_row(grid);
    let mut points = read(gate, row, column, gate_pitch, grid);
    let mut factors = read(up, row, column, up_pitch, grid);
    let mut gradients = read(output_gradient, row, column, gradient_pitch, grid);
    while row < grid.rows {
        let at = row * grid.columns + column;
        row += grid.row_step;
        let points_ahead = read(gate, row, column, gate_pitch, grid);
        let factors_ahead = read(up, row, column, up_pitch, grid);
        let gradients_ahead = read(output_gradient, row, column, gradient_pitch, grid);
        let mut to_gate = points;
        let mut to_up = points;
        #[unroll]
        for lane in 0..N::value() {
            let x = f32::cast_from(points[lane]);
            let gradient = f32::cast_from(gradients[lane]);
            let point = differentiate(x, &coefficients, form);
            let scaled = gradient * f32::cast_from(factors[lane]) * point.reciprocal;
            to_gate[lane] = F::cast_from(scaled * point.slope);
            to_up[lane] = F::cast_from(gradient * point.value);
            accumulate(&sums, x, scaled, scaled * point.signed_value, form);
        }
        gate_gradient[at] = to_gate;
        up_gradient[at] = to_up;
        points = points_ahead;
        factors = factors_ahead;
        gradients = gradients_ahead;
    }
    fold_cube(&sums, partials, grid, comptime!(form.terms()));
}

#[cube]
fn gradient_vector<F: Float, N: Size>(
    points: Vector<F, N>,
    gradients: Vector<F, N>,
    coefficients: &Coefficients,
    sums: &Sequence<RuntimeCell<f32>>,
    #[comptime] form: Form,
) -> Vector<F, N> {
    let mut out = points;
    #[unroll]
    for lane in 0..N::value() {
        let x = f32::cast_from(points[lane]);
        let point = differentiate(x, coefficients, form);
        let scaled = f32::cast_from(gradients[lane]) * point.reciprocal;
        out[lane] = F::cast_from(scaled * point.slope);
        accumulate(sums, x, scaled, scaled * point.signed_value, form);
    }
    out
}
