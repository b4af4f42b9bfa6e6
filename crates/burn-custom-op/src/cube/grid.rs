//! Assigns vectors to threads.
//!
//! The tensor is treated as `[rows, columns]` of vectors and processed by `row_step * columns` threads. Thread `p`
//! processes column `p % columns` and rows `p / columns`, `p / columns + row_step`, .. Neighbouring threads therefore
//! read neighbouring vectors at any width. A thread never leaves its column, so it never leaves its group. Only threads
//! at the end of the last cube are idle. With one block per group, or rows padded to the width of a warp, up to two
//! fifths of the lanes would be idle at group widths such as 72 or 96.

use cubecl::{self, prelude::*};

/// Threads in a cube; every runtime supports this number.
pub const THREADS: usize = 256;

/// The numbers of a call that the kernels read while running, so that no shape is compiled in.
#[derive(CubeType, CubeLaunch, Clone)]
pub struct Grid {
    /// Rows of the tensor: the product of all dimensions but the last.
    pub rows: usize,
    /// Vectors in a row.
    pub columns: usize,
    /// Rows between two rows of the same thread.
    pub row_step: usize,
    /// Vectors of a group in a row.
    pub group_columns: usize,
    /// Groups: runs of neighbouring channels that share parameters.
    pub groups: usize,
    /// Groups of which one cube can hold a part.
    pub slots: usize,
    /// Cubes.
    pub cubes: usize,
}

/// The column of this thread.
#[cube]
pub fn thread_column(grid: &Grid) -> usize {
    ABSOLUTE_POS % grid.columns
}

/// The group of a column.
#[cube]
pub fn column_group(column: usize, grid: &Grid) -> usize {
    column / grid.group_columns
}

/// The first row of this thread, or the number of rows if it has none.
#[cube]
pub fn first_row(grid: &Grid) -> usize {
    select(
        ABSOLUTE_POS < grid.row_step * grid.columns,
        ABSOLUTE_POS / grid.columns,
        grid.rows,
    )
}

/// The vector of a row and column of a tensor whose rows are `pitch` vectors apart. Past the last row, the last row is
/// read instead: a prefetch whose result is not used.
#[cube]
pub fn read<F: Float, N: Size>(
    tensor: &Array<Vector<F, N>>,
    row: usize,
    column: usize,
    pitch: usize,
    grid: &Grid,
) -> Vector<F, N> {
    tensor[select(row < grid.rows, row, grid.rows - 1) * pitch + column]
}

/// The group in the first slot of a cube: group 0 if the cube has a slot for every group, else that of its first
/// thread.
#[cube]
pub(super) fn first_group(cube: usize, grid: &Grid) -> usize {
    let column = (cube * THREADS) % grid.columns;
    select(grid.slots == grid.groups, 0, column_group(column, grid))
}
