//! Matrices inside larger buffers, and their product.

/// A matrix whose element `[i, j]` is `values[i * strides[0] + j * strides[1]]`.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) values: &'a [f32],
    pub(super) shape: [usize; 2],
    pub(super) strides: [usize; 2],
}

/// Where a product goes: rows `stride` apart, columns adjacent.
pub(super) struct Target<'a> {
    pub(super) values: &'a mut [f32],
    pub(super) stride: usize,
    /// Whether the product is added to what is there.
    pub(super) add: bool,
}

impl<'a> Matrix<'a> {
    /// A contiguous matrix.
    pub(super) fn new(values: &'a [f32], columns: usize) -> Self {
        Self {
            values,
            shape: [values.len() / columns.max(1), columns],
            strides: [columns, 1],
        }
    }

    pub(super) fn transposed(self) -> Self {
        let ([rows, columns], [down, right]) = (self.shape, self.strides);
        Self {
            shape: [columns, rows],
            strides: [right, down],
            ..self
        }
    }

    /// Rows `start .. start + count`.
    pub(super) fn rows(self, start: usize, count: usize) -> Self {
        assert!(start + count <= self.shape[0], "rows of a matrix");
        let offset = if count == 0 { 0 } else { start * self.strides[0] };
        Self {
            values: &self.values[offset..],
            shape: [count, self.shape[1]],
            ..self
        }
    }

    fn is_inside(&self) -> bool {
        let ([rows, columns], [down, right]) = (self.shape, self.strides);
        self.shape.contains(&0) || (rows - 1) * down + (columns - 1) * right < self.values.len()
    }
}

/// `target = factor left right` on this thread, or `+=`.
pub(super) fn multiply(target: Target<'_>, factor: f32, left: Matrix<'_>, right: Matrix<'_>) {
    let ([m, k], [inner, n]) = (left.shape, right.shape);
    assert_eq!(k, inner, "inner dimensions");
    assert!(left.is_inside() && right.is_inside(), "factors lie in their buffers");
    if m == 0 || n == 0 {
        return;
    }
    assert!(n <= target.stride || m == 1, "rows of the product do not overlap");
    assert!(
        (m - 1) * target.stride + n <= target.values.len(),
        "the product lies in its buffer"
    );
    // SAFETY: every index lies inside its slice, as checked above, the target is borrowed exclusively, and its rows do
    // not overlap.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            target.values.as_mut_ptr(),
            1,
            target.stride as isize,
            target.add,
            left.values.as_ptr(),
            left.strides[1] as isize,
            left.strides[0] as isize,
            right.values.as_ptr(),
            right.strides[1] as isize,
            right.strides[0] as isize,
            1.0f32,
            factor,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
