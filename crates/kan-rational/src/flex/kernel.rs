//! The arithmetic of one block of rows, compiled for fixed degrees.
//!
//! Each body exists once and is inlined twice: into a function with AVX2 and FMA enabled, and into one for the
//! baseline target. Lower degrees run in the next larger kernel with zeros in front, which changes no result.

use super::lanes::{LANES, Lanes};
use crate::MAX_DEGREES;

/// Most coefficients of one group.
pub(super) const TERMS: usize = MAX_DEGREES.coefficients();
/// Elements of one row after which f32 sums move into f64.
const FLUSH: usize = 2048;

/// Coefficients of one group, zero beyond its degrees; `|b_k|` in form A.
#[derive(Clone, Copy)]
pub(super) struct Group {
    pub(super) a: [f32; MAX_DEGREES.numerator + 1],
    pub(super) b: [f32; MAX_DEGREES.denominator],
}

/// One block of whole rows. `up` is empty unless the operation is gated.
pub(super) struct Block<'a> {
    pub(super) x: &'a [f32],
    pub(super) up: &'a [f32],
    pub(super) groups: &'a [Group],
    pub(super) width: usize,
}

/// Sums of a group over one block: `sum t x^k` for `k = 0 ..= N`, then `sum t F z^k` for `k = 1 ..= M`.
pub(super) type Sums = [f64; TERMS];

/// What the backward of a block writes. `up` is empty unless the operation is gated.
pub(super) struct Gradients<'a> {
    pub(super) output: &'a [f32],
    pub(super) x: &'a mut [f32],
    pub(super) up: &'a mut [f32],
}

/// Runs `$kernel::<N, M, B, GATED>` for the smallest compiled degrees that hold `$degrees`.
macro_rules! dispatch {
    ($degrees:expr, $form:expr, $gated:expr, $kernel:ident($($argument:expr),*)) => {{
        let (n, m) = ($degrees.numerator, $degrees.denominator);
        let form_b = $form == Denominator::AbsOfSum;
        match ((n, m), form_b, $gated) {
            ((0..=5, 0..=4), false, false) => $kernel::<5, 4, false, false>($($argument),*),
            ((0..=5, 0..=4), false, true) => $kernel::<5, 4, false, true>($($argument),*),
            ((0..=5, 0..=4), true, false) => $kernel::<5, 4, true, false>($($argument),*),
            ((0..=5, 0..=4), true, true) => $kernel::<5, 4, true, true>($($argument),*),
            ((0..=7, 0..=6), false, false) => $kernel::<7, 6, false, false>($($argument),*),
            ((0..=7, 0..=6), false, true) => $kernel::<7, 6, false, true>($($argument),*),
            ((0..=7, 0..=6), true, false) => $kernel::<7, 6, true, false>($($argument),*),
            ((0..=7, 0..=6), true, true) => $kernel::<7, 6, true, true>($($argument),*),
            (_, false, false) => $kernel::<9, 8, false, false>($($argument),*),
            (_, false, true) => $kernel::<9, 8, false, true>($($argument),*),
            (_, true, false) => $kernel::<9, 8, true, false>($($argument),*),
            (_, true, true) => $kernel::<9, 8, true, true>($($argument),*),
        }
    }};
}
pub(super) use dispatch;

/// Degrees `(N, M)` a kernel was compiled for: where the denominator's sums start.
pub(super) const fn compiled(degrees: crate::Degrees) -> crate::Degrees {
    match (degrees.numerator, degrees.denominator) {
        (0..=5, 0..=4) => crate::Degrees::new(5, 4),
        (0..=7, 0..=6) => crate::Degrees::new(7, 6),
        _ => MAX_DEGREES,
    }
}

/// Writes `F(x)`, or `F(x) * up` when gated, to `out`.
pub(super) fn forward<const N: usize, const M: usize, const B: bool, const GATED: bool>(
    block: &Block<'_>,
    out: &mut [f32],
) {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
        // SAFETY: the processor has both features.
        return unsafe { forward_avx2::<N, M, B, GATED>(block, out) };
    }
    forward_body::<N, M, B, GATED, false>(block, out);
}

/// Writes the gradients of a block's inputs and returns the sums of every group.
pub(super) fn backward<const N: usize, const M: usize, const B: bool, const GATED: bool>(
    block: &Block<'_>,
    gradients: &mut Gradients<'_>,
) -> Vec<Sums> {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
        // SAFETY: the processor has both features.
        return unsafe { backward_avx2::<N, M, B, GATED>(block, gradients) };
    }
    backward_body::<N, M, B, GATED, false>(block, gradients)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn forward_avx2<const N: usize, const M: usize, const B: bool, const GATED: bool>(block: &Block<'_>, out: &mut [f32]) {
    forward_body::<N, M, B, GATED, true>(block, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn backward_avx2<const N: usize, const M: usize, const B: bool, const GATED: bool>(
    block: &Block<'_>,
    gradients: &mut Gradients<'_>,
) -> Vec<Sums> {
    backward_body::<N, M, B, GATED, true>(block, gradients)
}

#[inline(always)]
fn forward_body<const N: usize, const M: usize, const B: bool, const GATED: bool, const FMA: bool>(
    block: &Block<'_>,
    out: &mut [f32],
) {
    for (slice, (x, out)) in block
        .x
        .chunks_exact(block.width)
        .zip(out.chunks_exact_mut(block.width))
        .enumerate()
    {
        let group = block.groups[slice % block.groups.len()];
        let up = if GATED {
            &block.up[slice * block.width..][..block.width]
        } else {
            x
        };
        let chunks = x
            .chunks_exact(LANES)
            .zip(up.chunks_exact(LANES))
            .zip(out.chunks_exact_mut(LANES));
        for ((x, up), out) in chunks {
            value::<N, M, B, GATED, FMA>(x, up, &group).store(out);
        }
        let tail = x.len() - x.len() % LANES;
        if tail < x.len() {
            value::<N, M, B, GATED, FMA>(&x[tail..], &up[tail..], &group).store(&mut out[tail..]);
        }
    }
}

#[inline(always)]
fn value<const N: usize, const M: usize, const B: bool, const GATED: bool, const FMA: bool>(
    x: &[f32],
    up: &[f32],
    group: &Group,
) -> Lanes {
    let x = Lanes::load(x);
    let mut p = Lanes::splat(group.a[N]);
    for k in (0..N).rev() {
        p = p.mul_add::<FMA>(x, Lanes::splat(group.a[k]));
    }
    let z = if B { x } else { x.map(f32::abs) };
    let mut s = Lanes::splat(group.b[M - 1]);
    for k in (0..M - 1).rev() {
        s = s.mul_add::<FMA>(z, Lanes::splat(group.b[k]));
    }
    let q = if B {
        s.mul(z).map(|s| 1.0 + s.abs())
    } else {
        s.mul_add::<FMA>(z, Lanes::splat(1.0))
    };
    let f = p.mul(q.map(|q| 1.0 / q));
    if GATED { f.mul(Lanes::load(up)) } else { f }
}

#[inline(always)]
fn backward_body<const N: usize, const M: usize, const B: bool, const GATED: bool, const FMA: bool>(
    block: &Block<'_>,
    gradients: &mut Gradients<'_>,
) -> Vec<Sums> {
    let width = block.width;
    let mut sums = vec![[0.0; TERMS]; block.groups.len()];
    for slice in 0..block.x.len() / width {
        let index = slice % block.groups.len();
        let group = block.groups[index];
        for start in (0..width).step_by(FLUSH) {
            let range = slice * width + start..slice * width + width.min(start + FLUSH);
            let partial = backward_run::<N, M, B, GATED, FMA>(block, gradients, range, &group);
            for (sum, lanes) in sums[index].iter_mut().zip(partial) {
                *sum += lanes.0.iter().map(|&lane| f64::from(lane)).sum::<f64>();
            }
        }
    }
    sums
}

/// A run of elements of one group in one row; returns its sums lane by lane.
#[inline(always)]
fn backward_run<const N: usize, const M: usize, const B: bool, const GATED: bool, const FMA: bool>(
    block: &Block<'_>,
    gradients: &mut Gradients<'_>,
    range: std::ops::Range<usize>,
    group: &Group,
) -> [Lanes; TERMS] {
    let mut sums = [Lanes::ZERO; TERMS];
    let x = &block.x[range.clone()];
    let output = &gradients.output[range.clone()];
    let x_gradient = &mut gradients.x[range.clone()];
    let (up, up_gradient) = if GATED {
        (&block.up[range.clone()], &mut gradients.up[range])
    } else {
        (x, &mut [] as &mut [f32])
    };
    let full = x.len() - x.len() % LANES;
    for at in (0..full).step_by(LANES) {
        let to = at + LANES;
        let element = Element {
            x: &x[at..to],
            up: &up[at..to],
            output: &output[at..to],
        };
        let (dx, du) = element.backward::<N, M, B, GATED, FMA>(group, &mut sums);
        dx.store(&mut x_gradient[at..to]);
        if GATED {
            du.store(&mut up_gradient[at..to]);
        }
    }
    if full < x.len() {
        let element = Element {
            x: &x[full..],
            up: &up[full..],
            output: &output[full..],
        };
        let (dx, du) = element.backward::<N, M, B, GATED, FMA>(group, &mut sums);
        dx.store(&mut x_gradient[full..]);
        if GATED {
            du.store(&mut up_gradient[full..]);
        }
    }
    sums
}

/// Up to eight neighbouring elements.
struct Element<'a> {
    x: &'a [f32],
    up: &'a [f32],
    output: &'a [f32],
}

impl Element<'_> {
    /// Gradients of `x` and `up`, and the terms of the coefficient gradients added to `sums`. Lanes that a short
    /// slice leaves empty have a zero output gradient and add nothing.
    #[inline(always)]
    fn backward<const N: usize, const M: usize, const B: bool, const GATED: bool, const FMA: bool>(
        &self,
        group: &Group,
        sums: &mut [Lanes; TERMS],
    ) -> (Lanes, Lanes) {
        let x = Lanes::load(self.x);
        let mut p = Lanes::splat(group.a[N]);
        let mut p_slope = Lanes::ZERO;
        for k in (0..N).rev() {
            p_slope = p_slope.mul_add::<FMA>(x, p);
            p = p.mul_add::<FMA>(x, Lanes::splat(group.a[k]));
        }
        let z = if B { x } else { x.map(f32::abs) };
        let mut s = Lanes::splat(group.b[M - 1]);
        let mut s_slope = Lanes::ZERO;
        for k in (0..M - 1).rev() {
            s_slope = s_slope.mul_add::<FMA>(z, s);
            s = s.mul_add::<FMA>(z, Lanes::splat(group.b[k]));
        }
        s_slope = s_slope.mul_add::<FMA>(z, s);
        let s = s.mul(z);
        // Form A: Q' carries sgn(x), with sgn(0) = 1. Form B: sgn(s), with sgn(0) = 0.
        let side = if B {
            s.map(|s| if s == 0.0 { 0.0 } else { s.signum() })
        } else {
            x.map(|x| if x < 0.0 { -1.0 } else { 1.0 })
        };
        let reciprocal = s.map(|s| 1.0 / (1.0 + if B { s.abs() } else { s }));
        let f = p.mul(reciprocal);
        let output = Lanes::load(self.output);
        let t = if GATED {
            output.mul(Lanes::load(self.up))
        } else {
            output
        }
        .mul(reciprocal);
        let dx = t.mul(p_slope.zip(f.mul(side).mul(s_slope), |a, b| a - b));
        let mut term = t;
        sums[0] = sums[0].add(term);
        for sum in &mut sums[1..=N] {
            term = term.mul(x);
            *sum = sum.add(term);
        }
        let mut term = if B { t.mul(f).mul(side) } else { t.mul(f) };
        for sum in &mut sums[N + 1..=N + M] {
            term = term.mul(z);
            *sum = sum.add(term);
        }
        (dx, output.mul(f))
    }
}
