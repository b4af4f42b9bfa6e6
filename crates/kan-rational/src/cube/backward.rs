//! Backward kernels: the gradients of the inputs and, per cube, the sums of the coefficient gradients, in one pass.
#![allow(
    clippy::too_many_arguments,
    reason = "a kernel's arguments are its buffers and numbers"
)]

use cubecl::{self, prelude::*};

use super::{
    arithmetic::{Coefficients, Form, accumulate, differentiate, read_coefficients, zero_sums},
    fold::fold_cube,
    grid::{Grid, column_group, first_row, row_or_last},
};

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
    x_pitch: usize,
    gradient_pitch: usize,
    #[comptime] form: Form,
    #[define(F)] _dtype: StorageType,
) {
    let column = ABSOLUTE_POS % grid.columns;
    let group = column_group(column, grid);
    let coefficients = read_coefficients(
        numerator,
        denominator,
        group * grid.numerator_step,
        group * grid.denominator_step,
        form,
    );
    let sums = zero_sums(form);
    let mut row = first_row(grid);
    let mut points = x[row_or_last(row, grid) * x_pitch + column];
    let mut gradients = output_gradient[row_or_last(row, grid) * gradient_pitch + column];
    while row < grid.rows {
        let at = row * grid.columns + column;
        row += grid.row_step;
        let points_ahead = x[row_or_last(row, grid) * x_pitch + column];
        let gradients_ahead = output_gradient[row_or_last(row, grid) * gradient_pitch + column];
        x_gradient[at] = gradient_vector(points, gradients, &coefficients, &sums, form);
        points = points_ahead;
        gradients = gradients_ahead;
    }
    fold_cube(&sums, partials, grid, form);
}

/// Gradients of `F(gate) * up`; `F(gate)` is computed again rather than kept.
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
    gate_pitch: usize,
    up_pitch: usize,
    gradient_pitch: usize,
    #[comptime] form: Form,
    #[define(F)] _dtype: StorageType,
) {
    let column = ABSOLUTE_POS % grid.columns;
    let group = column_group(column, grid);
    let coefficients = read_coefficients(
        numerator,
        denominator,
        group * grid.numerator_step,
        group * grid.denominator_step,
        form,
    );
    let sums = zero_sums(form);
    let mut row = first_row(grid);
    let mut points = gate[row_or_last(row, grid) * gate_pitch + column];
    let mut factors = up[row_or_last(row, grid) * up_pitch + column];
    let mut gradients = output_gradient[row_or_last(row, grid) * gradient_pitch + column];
    while row < grid.rows {
        let at = row * grid.columns + column;
        row += grid.row_step;
        let points_ahead = gate[row_or_last(row, grid) * gate_pitch + column];
        let factors_ahead = up[row_or_last(row, grid) * up_pitch + column];
        let gradients_ahead = output_gradient[row_or_last(row, grid) * gradient_pitch + column];
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
    fold_cube(&sums, partials, grid, form);
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
