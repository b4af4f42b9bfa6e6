//! Forward kernels: `F(x)` and `F(gate) * up`. Each reads every input once and writes the output once.
#![allow(
    clippy::too_many_arguments,
    reason = "a kernel's arguments are its buffers and numbers"
)]

use burn_custom_op::cube::{Grid, column_group, first_row, read, thread_column};
use cubecl::{self, prelude::*};

use super::arithmetic::{Coefficients, Form, Steps, evaluate, read_coefficients};

/// `output = F(x)`.
///
/// A thread stays in one column of vectors, so it reads its group's coefficients once; the vector of its next row is
/// requested before the current one is processed, to keep two loads in flight.
#[cube(launch_unchecked, address_type = "dynamic")]
pub(crate) fn forward<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    numerator: &Array<f32>,
    denominator: &Array<f32>,
    output: &mut Array<Vector<F, N>>,
    grid: &Grid,
    steps: &Steps,
    x_pitch: usize,
    #[comptime] form: Form,
    #[define(F)] _dtype: StorageType,
) {
    let column = thread_column(grid);
    let coefficients = read_coefficients(numerator, denominator, column_group(column, grid), steps, form);
    let mut row = first_row(grid);
    let mut points = read(x, row, column, x_pitch, grid);
    while row < grid.rows {
        let at = row * grid.columns + column;
        row += grid.row_step;
        let points_ahead = read(x, row, column, x_pitch, grid);
        output[at] = values(points, &coefficients, form);
        points = points_ahead;
    }
}

/// `output = F(gate) * up`, rounded once.
#[cube(launch_unchecked, address_type = "dynamic")]
pub(crate) fn forward_gated<F: Float, N: Size>(
    gate: &Array<Vector<F, N>>,
    up: &Array<Vector<F, N>>,
    numerator: &Array<f32>,
    denominator: &Array<f32>,
    output: &mut Array<Vector<F, N>>,
    grid: &Grid,
    steps: &Steps,
    gate_pitch: usize,
    up_pitch: usize,
    #[comptime] form: Form,
    #[define(F)] _dtype: StorageType,
) {
    let column = thread_column(grid);
    let coefficients = read_coefficients(numerator, denominator, column_group(column, grid), steps, form);
    let mut row = first_row(grid);
    let mut points = read(gate, row, column, gate_pitch, grid);
    let mut factors = read(up, row, column, up_pitch, grid);
    while row < grid.rows {
        let at = row * grid.columns + column;
        row += grid.row_step;
        let points_ahead = read(gate, row, column, gate_pitch, grid);
        let factors_ahead = read(up, row, column, up_pitch, grid);
        output[at] = gated_values(points, factors, &coefficients, form);
        points = points_ahead;
        factors = factors_ahead;
    }
}

#[cube]
fn values<F: Float, N: Size>(
    points: Vector<F, N>,
    coefficients: &Coefficients,
    #[comptime] form: Form,
) -> Vector<F, N> {
    let mut out = points;
    #[unroll]
    for lane in 0..N::value() {
        out[lane] = F::cast_from(evaluate(f32::cast_from(points[lane]), coefficients, form));
    }
    out
}

#[cube]
fn gated_values<F: Float, N: Size>(
    points: Vector<F, N>,
    factors: Vector<F, N>,
    coefficients: &Coefficients,
    #[comptime] form: Form,
) -> Vector<F, N> {
    let mut out = points;
    #[unroll]
    for lane in 0..N::value() {
        let value = evaluate(f32::cast_from(points[lane]), coefficients, form);
        out[lane] = F::cast_from(value * f32::cast_from(factors[lane]));
    }
    out
}
