//! The skeleton of a one-pass elementwise kernel in CubeCL, one source for CUDA, WGPU and every other runtime, with its
//! host code.
//!
//! A kernel reads each input and writes each output once, 16 bytes at a time where the shape allows it. A thread stays
//! in one column of vectors, hence in one group of channels: it reads the group's parameters once, into registers, and
//! keeps its sums over the group's elements there until the end.
//!
//! - `grid`: which thread works on which vectors, for the kernel: [`Grid`], [`first_row`], [`read`].
//! - `fold`: the deterministic sums over groups of channels, first per cube ([`fold_cube`]), then of all cubes
//!   ([`fold_partials`]).
//! - `layout`: how the tensors lie and how the work is divided, for the host: [`Rows`], [`Sharing`], [`Work`].
//! - `launch`: output tensors and the arguments of a launch.
//! - `fusion`: the operation as one of the stream that `Fusion` keeps ([`queue`]).
//!
//! The loop of a kernel, here without a prefetched row; `kan_rational`'s kernels are whole examples:
//!
//! ```text
//! let column = thread_column(grid);
//! let mut row = first_row(grid);
//! while row < grid.rows {
//!     output[row * grid.columns + column] = f(read(x, row, column, x_pitch, grid));
//!     row += grid.row_step;
//! }
//! ```
#![allow(missing_docs, reason = "CubeCL's macros add items without a comment")]

mod fold;
mod fusion;
mod grid;
mod launch;
mod layout;

pub use fold::{fold_cube, fold_partials, zero_sums};
pub use fusion::queue;
pub use grid::{Grid, GridCompilationArg, GridLaunch, THREADS, column_group, first_row, read, thread_column};
pub use launch::{address_type, cubes, like, partial_sums, zeros};
pub use layout::{Rows, Sharing, Work, is_supported};
