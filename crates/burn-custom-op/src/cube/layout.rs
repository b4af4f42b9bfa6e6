//! Determines the memory layout of the tensors of a call, the width of the vectors and the number of threads.

use burn::tensor::DType;
use burn_cubecl::{CubeRuntime, kernel::into_contiguous, tensor::CubeTensor};
use cubecl::ir::{StorageType, VectorSize};

use super::grid::{GridLaunch, THREADS};

/// How a kernel's threads share the rows of a tensor.
#[derive(Clone, Copy, Debug)]
pub struct Sharing {
    /// Threads that one multiprocessor holds at a time: its 65,536 registers over those of a thread, in whole cubes.
    pub resident: usize,
    /// Maximum number of rows per thread.
    pub most_rows: usize,
}

/// Multiprocessors of a large device, used if the device does not report its own.
const MULTIPROCESSORS: u32 = 128;

/// A tensor whose rows are contiguous and lie at equal distances.
pub struct Rows<R: CubeRuntime> {
    /// `[.., D]`
    pub tensor: CubeTensor<R>,
    /// Elements from one row to the next.
    pub pitch: usize,
}

impl<R: CubeRuntime> Rows<R> {
    /// Takes the tensor as it is if its rows can be addressed by one distance (contiguous, padded, or sliced in the
    /// last dimension), copies it otherwise.
    pub fn new(tensor: CubeTensor<R>) -> Self {
        if let Some(pitch) = row_pitch(tensor.meta.shape(), tensor.meta.strides()) {
            return Self { tensor, pitch };
        }
        let tensor = into_contiguous(tensor);
        let pitch = *tensor
            .meta
            .shape()
            .last()
            .expect("a checked tensor has a last dimension");
        Self { tensor, pitch }
    }

    /// Vectors from one row to the next.
    pub fn vector_pitch(&self, vector: VectorSize) -> usize {
        self.pitch / vector
    }
}

/// The distance between neighbouring rows in elements, or `None` if there is no single one.
fn row_pitch(shape: &[usize], strides: &[usize]) -> Option<usize> {
    let (width, shape) = shape.split_last()?;
    let (unit, strides) = strides.split_last()?;
    if *unit != 1 && *width > 1 {
        return None;
    }
    let mut leading = shape.iter().zip(strides).rev().filter(|(size, _)| **size > 1);
    let Some((size, pitch)) = leading.next() else {
        return Some(*width);
    };
    let mut expected = size * pitch;
    for (size, stride) in leading {
        if *stride != expected {
            return None;
        }
        expected *= size;
    }
    Some(*pitch)
}

/// The work of one call: everything about its shape, nothing about its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    rows: usize,
    /// Elements in a row.
    width: usize,
    groups: usize,
    /// Sums that a thread keeps, all of one group: 0 for a kernel that folds nothing.
    terms: usize,
    /// Elements that are read and written at a time.
    pub vector: VectorSize,
    row_step: usize,
}

impl Work {
    /// Divides the work of `tensors`, which have one shape and element type, among threads. `groups` divides the last
    /// dimension.
    pub fn new<R: CubeRuntime>(tensors: &[&Rows<R>], groups: usize, terms: usize, sharing: Sharing) -> Self {
        let shape = tensors[0].tensor.meta.shape();
        let width = *shape.last().expect("a checked input has a last dimension");
        let rows = shape.iter().product::<usize>() / width.max(1);
        let vector = vector_size(tensors, width / groups);
        let hardware = &tensors[0].tensor.client.properties().hardware;
        let multiprocessors = hardware.num_streaming_multiprocessors.unwrap_or(MULTIPROCESSORS) as usize;
        Self {
            rows,
            width,
            groups,
            terms,
            vector,
            row_step: row_step(rows, width / vector, multiprocessors, sharing),
        }
    }

    /// Nothing to read and nothing to write.
    pub fn is_empty(&self) -> bool {
        self.rows == 0 || self.width == 0
    }

    fn columns(&self) -> usize {
        self.width / self.vector
    }

    fn group_columns(&self) -> usize {
        self.columns() / self.groups
    }

    /// Threads with work.
    pub fn threads(&self) -> usize {
        self.row_step * self.columns()
    }

    /// Cubes with work.
    pub fn cubes(&self) -> usize {
        self.threads().div_ceil(THREADS)
    }

    /// The groups a cube of [`THREADS`] neighbouring columns can touch, counting a part at either end.
    pub fn slots(&self) -> usize {
        usize::min(self.groups, (THREADS - 1) / self.group_columns() + 2)
    }

    /// Elements of the partial sums: `[slots, terms, cubes]`.
    pub fn partials(&self) -> usize {
        self.slots() * self.terms * self.cubes()
    }

    /// The numbers the kernels read.
    pub fn grid<R: CubeRuntime>(&self) -> GridLaunch<R> {
        GridLaunch::new(
            self.rows,
            self.columns(),
            self.row_step,
            self.group_columns(),
            self.groups,
            self.slots(),
            self.cubes(),
        )
    }
}

/// Rows between two rows of a thread.
///
/// Small work gets a thread for every vector. Large work fills the device a whole number of times: a last round of few
/// threads would leave most of the device idle for as long as a full one takes.
fn row_step(rows: usize, columns: usize, multiprocessors: usize, sharing: Sharing) -> usize {
    let vectors = rows * columns;
    let resident = multiprocessors * sharing.resident;
    let rounds = vectors.div_ceil(resident * sharing.most_rows).max(1);
    let rows_each = vectors.div_ceil(rounds * resident).max(1);
    rows.div_ceil(rows_each)
}

/// The widest vector that divides a group and every pitch: 16 bytes where the shape allows it.
fn vector_size<R: CubeRuntime>(tensors: &[&Rows<R>], group_width: usize) -> VectorSize {
    let tensor = &tensors[0].tensor;
    let mut sizes = tensor.client.io_optimized_vector_sizes(tensor.dtype.size());
    let found = sizes
        .find(|size| group_width.is_multiple_of(*size) && tensors.iter().all(|rows| rows.pitch.is_multiple_of(*size)));
    found.unwrap_or(1)
}

/// Whether the device reads and writes this type and has the threads a cube needs.
pub fn is_supported<R: CubeRuntime>(tensor: &CubeTensor<R>) -> bool {
    let properties = tensor.client.properties();
    matches!(tensor.dtype, DType::F32 | DType::F16 | DType::BF16)
        && properties.supports_type(StorageType::from(tensor.dtype))
        && properties.hardware.max_units_per_cube as usize >= THREADS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_at_equal_distances_are_recognised() {
        assert_eq!(row_pitch(&[4, 6], &[6, 1]), Some(6));
        assert_eq!(row_pitch(&[4, 6], &[8, 1]), Some(8));
        assert_eq!(row_pitch(&[2, 4, 6], &[32, 8, 1]), Some(8));
        assert_eq!(row_pitch(&[2, 4, 6], &[48, 8, 1]), None);
        assert_eq!(row_pitch(&[2, 1, 6], &[10, 99, 1]), Some(10));
        assert_eq!(row_pitch(&[1, 1, 6], &[77, 99, 1]), Some(6));
        assert_eq!(row_pitch(&[4, 6], &[1, 4]), None);
        assert_eq!(row_pitch(&[4, 6], &[0, 1]), Some(0));
        assert_eq!(row_pitch(&[6], &[1]), Some(6));
        assert_eq!(row_pitch(&[4, 1], &[3, 7]), Some(3));
    }

    #[test]
    fn small_work_gets_a_thread_per_vector_and_large_work_whole_rounds() {
        let sharing = Sharing {
            resident: 1024,
            most_rows: 32,
        };
        assert_eq!(row_step(0, 72, 132, sharing), 0);
        assert_eq!(row_step(1, 1, 132, sharing), 1);
        assert_eq!(row_step(5, 72, 132, sharing), 5);
        for (rows, columns, rounds) in [(16384, 72, 1), (16384, 192, 1), (16384, 288, 2), (8192, 1024, 2)] {
            let threads = row_step(rows, columns, 132, sharing) * columns;
            let filled = threads as f64 / (rounds * 132 * 1024) as f64;
            assert!((0.9..=1.0).contains(&filled), "{rows}x{columns}: {filled}");
        }
    }
}
