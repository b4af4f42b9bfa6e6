//! Operations on eight f32 values at a time, stored in plain arrays. In a function that enables AVX2, the compiler
//! inlines each operation and turns it into one instruction. In other functions it uses the instructions of the target.

/// Values per [`Lanes`].
pub(super) const LANES: usize = 8;

/// How the target computes `a * b + c`.
pub(super) trait Arithmetic {
    fn mul_add(a: f32, b: f32, c: f32) -> f32;
}

/// One instruction, rounded once. For targets that have it: elsewhere `f32::mul_add` calls a library function that is
/// a hundred times slower.
pub(super) struct Fused;

impl Arithmetic for Fused {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

/// A product and a sum, each rounded.
pub(super) struct Separate;

impl Arithmetic for Separate {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

#[derive(Clone, Copy)]
#[repr(align(32))]
pub(super) struct Lanes(pub(super) [f32; LANES]);

impl Lanes {
    pub(super) const ZERO: Self = Self([0.0; LANES]);

    #[inline(always)]
    pub(super) fn splat(value: f32) -> Self {
        Self([value; LANES])
    }

    /// Up to eight values; missing ones are zero.
    #[inline(always)]
    pub(super) fn load(values: &[f32]) -> Self {
        let mut lanes = Self::ZERO;
        match values.try_into() {
            Ok(full) => lanes.0 = full,
            Err(_) => lanes.0[..values.len()].copy_from_slice(values),
        }
        lanes
    }

    /// Writes as many values as `out` holds, at most eight.
    #[inline(always)]
    pub(super) fn store(self, out: &mut [f32]) {
        match <&mut [f32; LANES]>::try_from(&mut *out) {
            Ok(full) => *full = self.0,
            Err(_) => out.copy_from_slice(&self.0[..out.len()]),
        }
    }

    #[inline(always)]
    pub(super) fn map(mut self, f: impl Fn(f32) -> f32) -> Self {
        for lane in 0..LANES {
            self.0[lane] = f(self.0[lane]);
        }
        self
    }

    #[inline(always)]
    pub(super) fn zip(mut self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        for lane in 0..LANES {
            self.0[lane] = f(self.0[lane], other.0[lane]);
        }
        self
    }

    #[inline(always)]
    pub(super) fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    pub(super) fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    /// `self * factor + term`.
    #[inline(always)]
    pub(super) fn mul_add<A: Arithmetic>(mut self, factor: Self, term: Self) -> Self {
        for lane in 0..LANES {
            self.0[lane] = A::mul_add(self.0[lane], factor.0[lane], term.0[lane]);
        }
        self
    }
}
