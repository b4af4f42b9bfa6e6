//! Samples gate and up values while calibration text is processed, in bounded memory.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A gate value and the up value it is multiplied with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) gate: f32,
    pub(super) up: f32,
}

/// Half the largest gates by magnitude, half a uniform sample of all the others: the bulk says where the function
/// must be good on average, the outliers (rare, and up to fifty times the bulk) where it must not fail.
///
/// A value is in one half or in the other, never in both: what the largest half gives up, now or at the end, is
/// offered to the uniform half only then. That half is Li's algorithm L (ACM TOMS 20, 1994), which is fair whatever
/// the order values come in, and draws random numbers per replacement, not per value.
#[derive(Debug)]
pub(super) struct Reservoir {
    capacity: usize,
    generator: ChaCha8Rng,
    uniform: Vec<Sample>,
    /// Algorithm L's `W`, and the values to pass over before the next replacement.
    threshold: f64,
    skip: u64,
    /// Up to twice the capacity; the smaller half goes to the others when full.
    largest: Vec<Sample>,
    /// Gates below this magnitude are not among the largest any more.
    floor: f32,
    range: (f32, f32),
    seen: u64,
}

impl Reservoir {
    /// Keeps `samples` in total; `stream` distinguishes reservoirs with the same `seed`.
    pub(super) fn new(samples: usize, seed: u64, stream: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        Self {
            capacity: (samples / 2).max(1),
            generator,
            uniform: Vec::new(),
            threshold: 1.0,
            skip: 0,
            largest: Vec::new(),
            floor: 0.0,
            range: (f32::INFINITY, f32::NEG_INFINITY),
            seen: 0,
        }
    }

    /// Adds one value. The caller must refuse values that are not finite.
    pub(super) fn add(&mut self, sample: Sample) {
        self.seen += 1;
        self.range = (self.range.0.min(sample.gate), self.range.1.max(sample.gate));
        if sample.gate.abs() < self.floor {
            self.add_uniform(sample);
            return;
        }
        self.largest.push(sample);
        if self.largest.len() == 2 * self.capacity {
            self.give_up_smaller_half();
        }
    }

    fn add_uniform(&mut self, sample: Sample) {
        if self.uniform.len() < self.capacity {
            self.uniform.push(sample);
            if self.uniform.len() == self.capacity {
                self.draw_skip();
            }
        } else if self.skip > 0 {
            self.skip -= 1;
        } else {
            let place = self.generator.random_range(0..self.capacity);
            self.uniform[place] = sample;
            self.draw_skip();
        }
    }

    fn draw_skip(&mut self) {
        let (first, second): (f64, f64) = (self.generator.random(), self.generator.random());
        // 1 - x is in (0, 1]: its logarithm is finite.
        self.threshold *= ((1.0 - first).ln() / self.capacity as f64).exp();
        let skip = (1.0 - second).ln() / (1.0 - self.threshold).ln();
        self.skip = if skip.is_finite() { skip as u64 } else { u64::MAX };
    }

    /// Leaves the largest `capacity` values, and offers the rest to the uniform half.
    fn give_up_smaller_half(&mut self) {
        let kept = self.capacity - 1;
        self.largest
            .select_nth_unstable_by(kept, |a, b| b.gate.abs().total_cmp(&a.gate.abs()));
        self.floor = self.largest[kept].gate.abs();
        for sample in self.largest.split_off(self.capacity) {
            self.add_uniform(sample);
        }
    }

    /// Smallest and largest gate seen.
    pub(super) fn range(&self) -> (f32, f32) {
        self.range
    }

    /// Values seen.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// Both halves, each sample weighted by the number of values it represents: 1 for the largest half, and an equal
    /// share of all other values for the uniform half. The weights sum to the number of values seen. Without them the
    /// fit would be dominated by the outliers.
    pub(super) fn samples(&mut self) -> impl Iterator<Item = (Sample, f64)> {
        if self.largest.len() > self.capacity {
            self.give_up_smaller_half();
        }
        let others = self.seen - self.largest.len() as u64;
        let share = others as f64 / self.uniform.len().max(1) as f64;
        let uniform = self.uniform.iter().map(move |sample| (*sample, share));
        uniform.chain(self.largest.iter().map(|sample| (*sample, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOTAL: u64 = 100_000;
    /// 7919 is a prime that does not divide the total: every magnitude comes once, in an order like a random one.
    const STRIDE: u64 = 7919;

    /// Magnitudes `magnitude(0)`, .., `magnitude(TOTAL - 1)` with alternating signs.
    fn filled(samples: usize, magnitude: impl Fn(u64) -> f64) -> Reservoir {
        let mut reservoir = Reservoir::new(samples, 1, 2);
        for index in 0..TOTAL {
            let sign = if index % 2 == 0 { 1.0 } else { -1.0 };
            let gate = (sign * magnitude(index * STRIDE % TOTAL)) as f32;
            reservoir.add(Sample { gate, up: 1.0 });
        }
        reservoir
    }

    fn weight_where(samples: &[(Sample, f64)], counts: impl Fn(f64) -> bool) -> f64 {
        let counted = samples
            .iter()
            .filter(|(sample, _)| counts(f64::from(sample.gate.abs())));
        counted.map(|(_, weight)| weight).sum()
    }

    #[test]
    fn keeps_a_fair_half_and_the_largest_half() {
        let mut reservoir = filled(4000, |rank| rank as f64);
        assert_eq!(reservoir.seen(), TOTAL);
        let samples: Vec<(Sample, f64)> = reservoir.samples().collect();
        let (uniform, largest) = samples.split_at(2000);
        assert_eq!(largest.len(), 2000);
        assert!(largest.iter().all(|(sample, _)| sample.gate.abs() >= 98_000.0));
        assert!(uniform.iter().all(|(sample, _)| sample.gate.abs() < 98_000.0));
        // The mean of 2000 draws below 98000 has a standard deviation of 98000 / sqrt(12 * 2000) = 633.
        let mean = uniform
            .iter()
            .map(|(sample, _)| f64::from(sample.gate.abs()))
            .sum::<f64>()
            / 2000.0;
        assert!((mean - 49_000.0).abs() < 4.0 * 633.0, "{mean}");
        let (low, high) = reservoir.range();
        assert!(
            low.abs().max(high) == 99_999.0 && low < -99_990.0 && high > 99_990.0,
            "{low}, {high}"
        );
    }

    /// Every value counts once: exactly in the tail, on average below it.
    #[test]
    fn no_value_counts_twice() {
        let samples: Vec<(Sample, f64)> = filled(4000, |rank| rank as f64).samples().collect();
        assert!((weight_where(&samples, |_| true) - TOTAL as f64).abs() < 1e-6);
        for tail in [99_999.0, 99_900.0, 99_000.0, 98_000.0] {
            let expected = TOTAL as f64 - tail;
            assert_eq!(weight_where(&samples, |gate| gate >= tail), expected, "from {tail} on");
        }
        // A tenth of 98000 values, each of 2000 draws standing for 49: 4 sqrt(2000 * 0.1 * 0.9) * 49 = 2630.
        for low in [0.0, 30_000.0, 80_000.0] {
            let weight = weight_where(&samples, |gate| (low..low + 9_800.0).contains(&gate));
            assert!((weight - 9_800.0).abs() < 2_630.0, "{low}: {weight}");
        }
    }

    /// Pareto magnitudes with exponent 3/2, whose variance is in the tail: the weighted second moment is right only
    /// when the tail counts once.
    #[test]
    fn moments_of_a_heavy_tail_are_right() {
        let magnitude = |rank: u64| ((rank as f64 + 0.5) / TOTAL as f64).powf(-2.0 / 3.0);
        let expected = (0..TOTAL).map(|rank| magnitude(rank).powi(2)).sum::<f64>();
        let samples: Vec<(Sample, f64)> = filled(4000, magnitude).samples().collect();
        let found: f64 = samples
            .iter()
            .map(|(sample, weight)| weight * f64::from(sample.gate).powi(2))
            .sum();
        assert!((found / expected - 1.0).abs() < 0.01, "{found} against {expected}");
    }

    #[test]
    fn few_values_and_equal_values_keep_their_weight() {
        for (count, gate) in [(10, 1.0), (2000, 1.0), (2001, -3.0), (4001, 0.0), (30_000, 2.0)] {
            let mut reservoir = Reservoir::new(4000, 1, 2);
            (0..count).for_each(|_| reservoir.add(Sample { gate, up: 1.0 }));
            let samples: Vec<(Sample, f64)> = reservoir.samples().collect();
            assert!(samples.len() <= 4000);
            let weight = weight_where(&samples, |_| true);
            assert!((weight - f64::from(count)).abs() < 1e-6, "{count}: {weight}");
        }
    }
}
