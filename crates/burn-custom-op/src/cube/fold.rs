//! Adds the threads' sums to get one sum per group: first within a cube, then over the cubes.
//!
//! The shape and the device determine the order of all additions, and there are no atomics, so the sums are
//! bit-identical in every run. A thread adds few terms before its sum is added in a tree. This keeps `f32` sums of ten
//! million terms within 1e-5 of the exact ones.
#![allow(
    clippy::too_many_arguments,
    reason = "a kernel's arguments are its buffers and numbers"
)]

use cubecl::{self, prelude::*};

use super::grid::{Grid, THREADS, first_group};

/// One sum of every thread, with a gap that keeps the sums of one thread out of a single bank of shared memory.
const STRIDE: usize = THREADS + 1;

/// Sums that share a round: bounds shared memory to 12 KiB and a fold's 1 KiB, within the 16 KiB every WebGPU
/// device has.
const ROUND: usize = 12;

/// Rounds needed for so many sums, as even as they can be.
fn rounds(terms: usize) -> usize {
    terms.div_ceil(ROUND)
}

/// Sums of round `round`.
fn round_range(terms: usize, round: usize) -> (usize, usize) {
    let length = terms.div_ceil(rounds(terms));
    (round * length, usize::min((round + 1) * length, terms))
}

/// The sums of a thread, one variable each.
#[cube]
pub fn zero_sums(#[comptime] terms: usize) -> Sequence<RuntimeCell<f32>> {
    let mut sums = Sequence::<RuntimeCell<f32>>::new();
    #[unroll]
    for _term in 0..terms {
        sums.push(RuntimeCell::<f32>::new(0.0f32));
    }
    sums
}

/// Adds the sums of the cube's threads group by group and writes them to `partials`: `[slots, terms, cubes]`.
#[cube]
pub fn fold_cube(sums: &Sequence<RuntimeCell<f32>>, partials: &mut Array<f32>, grid: &Grid, #[comptime] terms: usize) {
    let unit = UNIT_POS as usize;
    let mut shared = SharedMemory::<f32>::new(comptime!(round_range(terms, 0).1 * STRIDE));
    let mut folded = SharedMemory::<f32>::new(THREADS);
    #[unroll]
    for round in 0..comptime!(rounds(terms)) {
        let first = comptime!(round_range(terms, round).0);
        let count = comptime!(round_range(terms, round).1 - round_range(terms, round).0);
        #[unroll]
        for k in 0..count {
            shared[unit + comptime!(k * STRIDE)] = sums.index(comptime!(first + k)).read();
        }
        sync_cube();
        fold_round(&shared, &mut folded, partials, grid, first, count, terms);
        sync_cube();
    }
}

/// Folds the sums `first .. first + count`: `lanes` threads per task of one group and one sum, then one.
#[cube]
fn fold_round(
    shared: &SharedMemory<f32>,
    folded: &mut SharedMemory<f32>,
    partials: &mut Array<f32>,
    grid: &Grid,
    #[comptime] first: usize,
    #[comptime] count: usize,
    #[comptime] terms: usize,
) {
    let unit = UNIT_POS as usize;
    let tasks = grid.slots * count;
    let lanes = select(tasks < THREADS, THREADS / tasks, 1);
    if lanes > 1 && unit < tasks * lanes {
        folded[unit] = fold_task(shared, unit / lanes, unit % lanes, lanes, grid, count);
    }
    sync_cube();
    if CUBE_POS < grid.cubes {
        let mut task = unit;
        while task < tasks {
            let mut total = 0.0f32;
            if lanes > 1 {
                for lane in 0..lanes {
                    total += folded[task * lanes + lane];
                }
            } else {
                total = fold_task(shared, task, 0, 1, grid, count);
            }
            let term = first + task % count;
            let slot = task / count;
            partials[(slot * terms + term) * grid.cubes + CUBE_POS] = total;
            task += THREADS;
        }
    }
}

/// One lane's share of a task: of the threads that hold the task's group, every `lanes`-th.
///
/// Those threads form runs of `group_columns`, one per row the cube touches. Positions are shifted by `columns`, so
/// that a run that begins before the cube does has a position too.
#[cube]
fn fold_task(
    shared: &SharedMemory<f32>,
    task: usize,
    lane: usize,
    lanes: usize,
    grid: &Grid,
    #[comptime] count: usize,
) -> f32 {
    let group = (first_group(CUBE_POS, grid) + task / count) % grid.groups;
    let base = (task % count) * STRIDE;
    let begin = grid.columns;
    let end = begin + THREADS;
    // Long runs are divided among the lanes, short ones dealt out whole.
    let whole = grid.group_columns < lanes;
    let run_step = select(whole, lanes * grid.columns, grid.columns);
    let step = select(whole, 1, lanes);
    let offset = select(whole, 0, lane);
    let mut run = group * grid.group_columns + begin - (CUBE_POS * THREADS) % grid.columns;
    run += select(whole, lane * grid.columns, 0);
    let mut total = 0.0f32;
    while run < end {
        let stop = select(run + grid.group_columns < end, run + grid.group_columns, end);
        let mut position = select(run < begin, begin, run) + offset;
        while position < stop {
            total += shared[base + position - begin];
            position += step;
        }
        run += run_step;
    }
    total
}

/// The sum of one term over the groups `first .. end` and all cubes: the second stage, for one cube per sum. Valid
/// in the first of its threads.
#[cube]
pub fn fold_partials(
    partials: &Array<f32>,
    first: usize,
    end: usize,
    term: usize,
    grid: &Grid,
    #[comptime] terms: usize,
) -> f32 {
    let mut group = first;
    let mut total = 0.0f32;
    while group < end {
        let mut cube = UNIT_POS as usize;
        while cube < grid.cubes {
            let slot = (group + grid.groups - first_group(cube, grid)) % grid.groups;
            if slot < grid.slots {
                total += partials[(slot * terms + term) * grid.cubes + cube];
            }
            cube += THREADS;
        }
        group += 1;
    }
    fold_tree(total)
}

/// The sum over the threads of a cube, valid in the first of them.
#[cube]
fn fold_tree(value: f32) -> f32 {
    let unit = UNIT_POS as usize;
    let mut shared = SharedMemory::<f32>::new(THREADS);
    shared[unit] = value;
    sync_cube();
    #[unroll]
    for level in 0..comptime!(THREADS.ilog2()) {
        let half = comptime!(THREADS >> (level + 1));
        if unit < half {
            shared[unit] = shared[unit] + shared[unit + half];
        }
        sync_cube();
    }
    shared[0]
}
