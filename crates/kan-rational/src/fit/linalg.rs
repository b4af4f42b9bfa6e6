//! The two small dense solvers that the fits use: Householder least squares and a non-negative quadratic program.

/// Householder factorisation of a column-major matrix, kept as its reflectors.
pub(super) struct Factored {
    columns: Vec<Vec<f64>>,
    betas: Vec<f64>,
    diagonal: Vec<f64>,
}

impl Factored {
    /// Factors `columns`, all of one length not below their number.
    pub(super) fn new(mut columns: Vec<Vec<f64>>) -> Self {
        let count = columns.len();
        let (mut betas, mut diagonal) = (vec![0.0; count], vec![0.0; count]);
        for k in 0..count {
            let (done, rest) = columns.split_at_mut(k + 1);
            let column = &mut done[k];
            let norm = dot(&column[k..], &column[k..]).sqrt();
            if norm == 0.0 {
                continue;
            }
            diagonal[k] = if column[k] > 0.0 { -norm } else { norm };
            column[k] -= diagonal[k];
            betas[k] = 2.0 / dot(&column[k..], &column[k..]);
            for other in rest {
                reflect(&column[k..], betas[k], &mut other[k..]);
            }
        }
        Self {
            columns,
            betas,
            diagonal,
        }
    }

    /// Rotates `vector` so that its first entries lie in the span of the columns and the rest is orthogonal to it.
    pub(super) fn rotate(&self, vector: &mut [f64]) {
        for (k, column) in self.columns.iter().enumerate() {
            reflect(&column[k..], self.betas[k], &mut vector[k..]);
        }
    }

    /// Solves for the coefficients of the columns from a rotated right-hand side. A vanishing column gets zero.
    pub(super) fn solve(&self, rotated: &[f64]) -> Vec<f64> {
        let count = self.columns.len();
        let largest = self.diagonal.iter().fold(0.0, |max: f64, d| max.max(d.abs()));
        let mut solution = vec![0.0; count];
        for k in (0..count).rev() {
            if self.diagonal[k].abs() <= largest * 1e-14 {
                continue;
            }
            let known: f64 = (k + 1..count).map(|j| self.columns[j][k] * solution[j]).sum();
            solution[k] = (rotated[k] - known) / self.diagonal[k];
        }
        solution
    }
}

/// Sum of products in eight interleaved partial sums: fixed order, and the compiler may vectorise it.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let (chunks_a, chunks_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f64 = chunks_a
        .remainder()
        .iter()
        .zip(chunks_b.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in chunks_a.zip(chunks_b) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    lanes.iter().sum::<f64>() + tail
}

fn reflect(reflector: &[f64], beta: f64, vector: &mut [f64]) {
    if beta == 0.0 {
        return;
    }
    let factor = beta * dot(reflector, vector);
    for (entry, v) in vector.iter_mut().zip(reflector) {
        *entry -= factor * v;
    }
}

/// Minimises `v^T M v / 2 - h^T v`, over `v >= 0` when `bounded`, for a symmetric positive definite `M`.
///
/// Lawson and Hanson's active-set method ("Solving Least Squares Problems", 1974, chapter 23) on the normal
/// equations, with unit diagonal after scaling.
pub(super) fn quadratic_programme(matrix: &[Vec<f64>], h: &[f64], bounded: bool) -> Option<Vec<f64>> {
    let count = h.len();
    let scale: Vec<f64> = (0..count).map(|i| matrix[i][i].max(f64::MIN_POSITIVE).sqrt()).collect();
    let m: Vec<Vec<f64>> = (0..count)
        .map(|i| (0..count).map(|j| matrix[i][j] / (scale[i] * scale[j])).collect())
        .collect();
    let h: Vec<f64> = (0..count).map(|i| h[i] / scale[i]).collect();
    let v = if bounded {
        bounded_minimum(&m, &h)?
    } else {
        cholesky_solve(&m, &h, &(0..count).collect::<Vec<_>>())?
    };
    Some(v.iter().zip(&scale).map(|(v, s)| v / s).collect())
}

/// The minimum over `v >= 0`, variables freed one by one.
fn bounded_minimum(m: &[Vec<f64>], h: &[f64]) -> Option<Vec<f64>> {
    let count = h.len();
    let mut v = vec![0.0; count];
    let mut free: Vec<usize> = Vec::new();
    for _ in 0..4 * count {
        let entering = (0..count)
            .filter(|i| !free.contains(i))
            .map(|i| (i, h[i] - (0..count).map(|j| m[i][j] * v[j]).sum::<f64>()))
            .filter(|&(_, slope)| slope > 1e-14)
            .max_by(|a, b| a.1.total_cmp(&b.1));
        let Some((entering, _)) = entering else { break };
        free.push(entering);
        settle(m, h, &mut free, &mut v)?;
    }
    Some(v)
}

/// Moves `v` to the minimum over the free variables, fixing at zero those that would turn negative on the way.
fn settle(m: &[Vec<f64>], h: &[f64], free: &mut Vec<usize>, v: &mut [f64]) -> Option<()> {
    while !free.is_empty() {
        let target = cholesky_solve(m, h, free)?;
        let mut step = 1.0f64;
        for (&i, &t) in free.iter().zip(&target) {
            if t <= 0.0 {
                step = step.min(v[i] / (v[i] - t).max(f64::MIN_POSITIVE));
            }
        }
        let arrived = target.iter().all(|&t| t > 0.0);
        for (&i, &t) in free.iter().zip(&target) {
            v[i] = if arrived { t } else { v[i] + step * (t - v[i]) };
        }
        if arrived {
            break;
        }
        let blocked: Vec<usize> = free
            .iter()
            .zip(&target)
            .filter(|&(&i, &t)| t <= 0.0 && v[i] <= 1e-300)
            .map(|(&i, _)| i)
            .collect();
        let blocked = if blocked.is_empty() {
            // Rounding left the blocking variable just above zero: the smallest one that wants to turn negative.
            let worst = free.iter().zip(&target).filter(|&(_, &t)| t <= 0.0);
            vec![*worst.min_by(|a, b| v[*a.0].total_cmp(&v[*b.0]))?.0]
        } else {
            blocked
        };
        for &i in &blocked {
            v[i] = 0.0;
        }
        free.retain(|i| !blocked.contains(i));
    }
    Some(())
}

/// Solves the rows and columns `free` of `m v = h`; `None` when they are not positive definite.
fn cholesky_solve(m: &[Vec<f64>], h: &[f64], free: &[usize]) -> Option<Vec<f64>> {
    let count = free.len();
    let mut lower = vec![vec![0.0; count]; count];
    for i in 0..count {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| lower[i][k] * lower[j][k]).sum();
            let rest = m[free[i]][free[j]] - sum;
            if i != j {
                lower[i][j] = rest / lower[j][j];
            } else if rest > 0.0 && rest.is_finite() {
                lower[i][i] = rest.sqrt();
            } else {
                return None;
            }
        }
    }
    let mut v = vec![0.0; count];
    for i in 0..count {
        v[i] = (h[free[i]] - (0..i).map(|k| lower[i][k] * v[k]).sum::<f64>()) / lower[i][i];
    }
    for i in (0..count).rev() {
        v[i] = (v[i] - (i + 1..count).map(|k| lower[k][i] * v[k]).sum::<f64>()) / lower[i][i];
    }
    Some(v)
}
