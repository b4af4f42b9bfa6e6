//! Arithmetic over slices that the compiler turns into vector instructions when it is inlined into a `vectorized!`
//! function.

/// Values summed side by side: the width of the widest registers, so that a sum has one order on every processor.
const LANES: usize = 16;

/// `e^x` within 2 units in the last place on `[-87, 88]`; beyond, the value at the nearer end. NaN stays NaN.
///
/// `e^x = 2^n e^r`, `|r| <= ln(2) / 2`, the latter by the polynomial of Cephes' `expf` (Moshier). No fused
/// multiply-add: the bits are the same on every processor.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    /// Adding it rounds to an integer, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    /// The high bits of ln 2, whose product with a small integer is exact, and what they leave.
    const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];
    const POLYNOMIAL: [f32; 5] = [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_6e-1, 0.5];
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2[0] - n * LN_2[1];
    let mut p = 1.987_569_1e-4;
    for coefficient in POLYNOMIAL {
        p = p * r + coefficient;
    }
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    (p * (r * r) + r + 1.0) * power
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `sum_i f(x_i, y_i)`.
#[inline(always)]
pub(super) fn sum(x: &[f32], y: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (x_chunks, y_chunks) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let tail: f32 = x_chunks
        .remainder()
        .iter()
        .zip(y_chunks.remainder())
        .map(|(x, y)| f(*x, *y))
        .sum();
    for (x, y) in x_chunks.zip(y_chunks) {
        for lane in 0..LANES {
            lanes[lane] += f(x[lane], y[lane]);
        }
    }
    lanes.iter().sum::<f32>() + tail
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// The largest value; NaN counts as none.
#[inline(always)]
pub(super) fn maximum(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = x.chunks_exact(LANES);
    let tail = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, larger);
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = larger(lanes[lane], chunk[lane]);
        }
    }
    lanes.into_iter().fold(tail, larger)
}

/// `row = softmax(row)`. What lies more than 87 below the maximum becomes exactly 0.
#[inline(always)]
pub(super) fn softmax(row: &mut [f32]) {
    let maximum = maximum(row);
    for x in row.iter_mut() {
        let distance = *x - maximum;
        *x = if distance < -87.0 { 0.0 } else { exp(distance) };
    }
    let inverse = 1.0 / sum(row, row, |x, _| x);
    row.iter_mut().for_each(|x| *x *= inverse);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        let mut worst = 0.0f64;
        for step in 0..=1_000_000 {
            let x = -87.0 + 175.0 * (step as f32 / 1e6);
            let (found, exact) = (f64::from(exp(x)), f64::from(x).exp());
            worst = worst.max((found - exact).abs() / exact);
        }
        assert!(worst < 2.0 * f64::from(f32::EPSILON), "{worst:e}");
        assert!(exp(f32::NAN).is_nan() && exp(f32::INFINITY).is_finite() && exp(f32::NEG_INFINITY) > 0.0);
    }

    #[test]
    fn a_score_far_below_the_maximum_has_no_weight() {
        let mut row = vec![-6e4f32; 37];
        row[5] = 1.0;
        row[36] = 1.0;
        softmax(&mut row);
        assert_eq!((row[5], row[36], row.iter().sum::<f32>()), (0.5, 0.5, 1.0));
        let mut uniform = vec![-6e4f32; 8];
        softmax(&mut uniform);
        assert_eq!(uniform, [0.125; 8]);
        let mut poisoned = [0.0, f32::NAN, 1.0];
        softmax(&mut poisoned);
        assert!(poisoned.iter().all(|x| x.is_nan()));
    }
}
