//! The arithmetic of one block of rows, compiled for fixed degrees.
//!
//! Each body is written once and inlined twice: into a function with AVX2 and FMA enabled, and into one for the
//! baseline target. Lower degrees use the next larger kernel with zeros as leading coefficients, which does not change
//! any result.

use super::lanes::{Arithmetic, Fused, LANES, Lanes, Separate};
use crate::{Degrees, Denominator, MAX_DEGREES};

/// Maximum number of coefficients of one group.
pub(super) const TERMS: usize = MAX_DEGREES.coefficients();
/// Elements of one row after which f32 sums move into f64.
const FLUSH: usize = 2048;

/// The degrees that kernels are compiled for, ascending. [`dispatch!`] has one arm per rung.
const LADDER: [Degrees; 3] = [Degrees::new(5, 4), Degrees::new(7, 6), MAX_DEGREES];

/// The smallest rung of [`LADDER`] that holds `degrees`.
pub(super) fn rung(degrees: Degrees) -> usize {
    LADDER
        .iter()
        .position(|rung| degrees.numerator <= rung.numerator && degrees.denominator <= rung.denominator)
        .expect("the last rung holds the largest degrees")
}

/// Degrees of the kernel that [`dispatch!`] runs for `degrees`. They determine where the denominator's sums start.
pub(super) fn compiled(degrees: Degrees) -> Degrees {
    LADDER[rung(degrees)]
}

/// The constants that a kernel is compiled with.
pub(super) trait Kernel {
    const DEGREES: Degrees;
    const FORM: Denominator;
    const GATED: bool;

    /// Degree of the numerator.
    const N: usize = Self::DEGREES.numerator;
    /// Degree of the denominator.
    const M: usize = Self::DEGREES.denominator;
}

/// The kernel of a rung of [`LADDER`].
pub(super) struct Compiled<const RUNG: usize, const ABS_OF_SUM: bool, const GATED: bool>;

impl<const RUNG: usize, const ABS_OF_SUM: bool, const GATED: bool> Kernel for Compiled<RUNG, ABS_OF_SUM, GATED> {
    const DEGREES: Degrees = LADDER[RUNG];
    const FORM: Denominator = if ABS_OF_SUM {
        Denominator::AbsOfSum
    } else {
        Denominator::SumOfAbs
    };
    const GATED: bool = GATED;
}

/// Runs `$function::<K>` for the [`Kernel`] `K` of these degrees, this form and gate.
macro_rules! dispatch {
    (@rung $rung:literal, $form:expr, $gated:expr, $function:ident $arguments:tt) => {
        match ($form, $gated) {
            (Denominator::SumOfAbs, false) => $function::<Compiled<$rung, false, false>> $arguments,
            (Denominator::SumOfAbs, true) => $function::<Compiled<$rung, false, true>> $arguments,
            (Denominator::AbsOfSum, false) => $function::<Compiled<$rung, true, false>> $arguments,
            (Denominator::AbsOfSum, true) => $function::<Compiled<$rung, true, true>> $arguments,
        }
    };
    ($degrees:expr, $form:expr, $gated:expr, $function:ident $arguments:tt) => {
        match rung($degrees) {
            0 => dispatch!(@rung 0, $form, $gated, $function $arguments),
            1 => dispatch!(@rung 1, $form, $gated, $function $arguments),
            2 => dispatch!(@rung 2, $form, $gated, $function $arguments),
            rung => unreachable!("no arm for rung {rung}"),
        }
    };
}
pub(super) use dispatch;

/// Coefficients of one group, zero beyond its degrees; `|b_k|` in form A.
#[derive(Clone, Copy, Default)]
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

/// The outputs of a block's backward pass. `up` is empty unless the operation is gated.
pub(super) struct Gradients<'a> {
    pub(super) output: &'a [f32],
    pub(super) x: &'a mut [f32],
    pub(super) up: &'a mut [f32],
}

/// Writes `F(x)`, or `F(x) * up` when gated, to `out`.
pub(super) fn forward<K: Kernel>(block: &Block<'_>, out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
        // SAFETY: the processor has both features.
        return unsafe { forward_avx2::<K>(block, out) };
    }
    forward_body::<K, Separate>(block, out);
}

/// Writes the gradients of a block's inputs and returns the sums of every group.
pub(super) fn backward<K: Kernel>(block: &Block<'_>, gradients: &mut Gradients<'_>) -> Vec<Sums> {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
        // SAFETY: the processor has both features.
        return unsafe { backward_avx2::<K>(block, gradients) };
    }
    backward_body::<K, Separate>(block, gradients)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn forward_avx2<K: Kernel>(block: &Block<'_>, out: &mut [f32]) {
    forward_body::<K, Fused>(block, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn backward_avx2<K: Kernel>(block: &Block<'_>, gradients: &mut Gradients<'_>) -> Vec<Sums> {
    backward_body::<K, Fused>(block, gradients)
}

#[inline(always)]
fn forward_body<K: Kernel, A: Arithmetic>(block: &Block<'_>, out: &mut [f32]) {
    for (slice, (x, out)) in block
        .x
        .chunks_exact(block.width)
        .zip(out.chunks_exact_mut(block.width))
        .enumerate()
    {
        let group = block.groups[slice % block.groups.len()];
        let up = if K::GATED {
            &block.up[slice * block.width..][..block.width]
        } else {
            x
        };
        let chunks = x
            .chunks_exact(LANES)
            .zip(up.chunks_exact(LANES))
            .zip(out.chunks_exact_mut(LANES));
        for ((x, up), out) in chunks {
            value::<K, A>(x, up, &group).store(out);
        }
        let tail = x.len() - x.len() % LANES;
        if tail < x.len() {
            value::<K, A>(&x[tail..], &up[tail..], &group).store(&mut out[tail..]);
        }
    }
}

/// The variable of the denominator: `|x|` in form A, `x` in form B.
#[inline(always)]
fn variable<K: Kernel>(x: Lanes) -> Lanes {
    match K::FORM {
        Denominator::SumOfAbs => x.map(f32::abs),
        Denominator::AbsOfSum => x,
    }
}

#[inline(always)]
fn value<K: Kernel, A: Arithmetic>(x: &[f32], up: &[f32], group: &Group) -> Lanes {
    let x = Lanes::load(x);
    let mut p = Lanes::splat(group.a[K::N]);
    for k in (0..K::N).rev() {
        p = p.mul_add::<A>(x, Lanes::splat(group.a[k]));
    }
    let z = variable::<K>(x);
    let mut s = Lanes::splat(group.b[K::M - 1]);
    for k in (0..K::M - 1).rev() {
        s = s.mul_add::<A>(z, Lanes::splat(group.b[k]));
    }
    let q = match K::FORM {
        Denominator::SumOfAbs => s.mul_add::<A>(z, Lanes::splat(1.0)),
        Denominator::AbsOfSum => s.mul(z).map(|s| 1.0 + s.abs()),
    };
    let f = p.mul(q.map(|q| 1.0 / q));
    if K::GATED { f.mul(Lanes::load(up)) } else { f }
}

#[inline(always)]
fn backward_body<K: Kernel, A: Arithmetic>(block: &Block<'_>, gradients: &mut Gradients<'_>) -> Vec<Sums> {
    let width = block.width;
    let mut sums = vec![[0.0; TERMS]; block.groups.len()];
    for slice in 0..block.x.len() / width {
        let index = slice % block.groups.len();
        let group = block.groups[index];
        for start in (0..width).step_by(FLUSH) {
            let range = slice * width + start..slice * width + width.min(start + FLUSH);
            let partial = backward_run::<K, A>(block, gradients, range, &group);
            for (sum, lanes) in sums[index].iter_mut().zip(partial) {
                *sum += lanes.0.iter().map(|&lane| f64::from(lane)).sum::<f64>();
            }
        }
    }
    sums
}

/// A run of elements of one group in one row; returns its sums lane by lane.
#[inline(always)]
fn backward_run<K: Kernel, A: Arithmetic>(
    block: &Block<'_>,
    gradients: &mut Gradients<'_>,
    range: std::ops::Range<usize>,
    group: &Group,
) -> [Lanes; TERMS] {
    let mut sums = [Lanes::ZERO; TERMS];
    let x = &block.x[range.clone()];
    let output = &gradients.output[range.clone()];
    let x_gradient = &mut gradients.x[range.clone()];
    let (up, up_gradient) = if K::GATED {
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
        let (dx, du) = element.backward::<K, A>(group, &mut sums);
        dx.store(&mut x_gradient[at..to]);
        if K::GATED {
            du.store(&mut up_gradient[at..to]);
        }
    }
    if full < x.len() {
        let element = Element {
            x: &x[full..],
            up: &up[full..],
            output: &output[full..],
        };
        let (dx, du) = element.backward::<K, A>(group, &mut sums);
        dx.store(&mut x_gradient[full..]);
        if K::GATED {
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
    fn backward<K: Kernel, A: Arithmetic>(&self, group: &Group, sums: &mut [Lanes; TERMS]) -> (Lanes, Lanes) {
        let x = Lanes::load(self.x);
        let mut p = Lanes::splat(group.a[K::N]);
        let mut p_slope = Lanes::ZERO;
        for k in (0..K::N).rev() {
            p_slope = p_slope.mul_add::<A>(x, p);
            p = p.mul_add::<A>(x, Lanes::splat(group.a[k]));
        }
        let z = variable::<K>(x);
        let mut s = Lanes::splat(group.b[K::M - 1]);
        let mut s_slope = Lanes::ZERO;
        for k in (0..K::M - 1).rev() {
            s_slope = s_slope.mul_add::<A>(z, s);
            s = s.mul_add::<A>(z, Lanes::splat(group.b[k]));
        }
        s_slope = s_slope.mul_add::<A>(z, s);
        let s = s.mul(z);
        // Form A: Q' carries sgn(x), with sgn(0) = 1. Form B: sgn(s), with sgn(0) = 0.
        let side = match K::FORM {
            Denominator::SumOfAbs => x.map(|x| if x < 0.0 { -1.0 } else { 1.0 }),
            Denominator::AbsOfSum => s.map(|s| if s == 0.0 { 0.0 } else { s.signum() }),
        };
        let reciprocal = match K::FORM {
            Denominator::SumOfAbs => s.map(|s| 1.0 / (1.0 + s)),
            Denominator::AbsOfSum => s.map(|s| 1.0 / (1.0 + s.abs())),
        };
        let f = p.mul(reciprocal);
        let output = Lanes::load(self.output);
        let t = if K::GATED {
            output.mul(Lanes::load(self.up))
        } else {
            output
        }
        .mul(reciprocal);
        let dx = t.mul(p_slope.zip(f.mul(side).mul(s_slope), |a, b| a - b));
        let mut term = t;
        sums[0] = sums[0].add(term);
        for sum in &mut sums[1..=K::N] {
            term = term.mul(x);
            *sum = sum.add(term);
        }
        let mut term = match K::FORM {
            Denominator::SumOfAbs => t.mul(f),
            Denominator::AbsOfSum => t.mul(f).mul(side),
        };
        for sum in &mut sums[K::N + 1..=K::N + K::M] {
            term = term.mul(z);
            *sum = sum.add(term);
        }
        (dx, output.mul(f))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rung_holds_the_one_before_and_the_last_holds_all() {
        for pair in LADDER.windows(2) {
            assert!(pair[0].numerator <= pair[1].numerator && pair[0].denominator <= pair[1].denominator);
        }
        for numerator in 1..=MAX_DEGREES.numerator {
            for denominator in 1..=MAX_DEGREES.denominator {
                let compiled = compiled(Degrees::new(numerator, denominator));
                assert!(numerator <= compiled.numerator && denominator <= compiled.denominator);
            }
        }
        assert_eq!(compiled(Degrees::new(5, 4)), Degrees::new(5, 4));
        assert_eq!(compiled(Degrees::new(3, 5)), Degrees::new(7, 6));
    }
}
