//! Samples of gate and up values kept while calibration text streams by, in bounded memory.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A gate value and the up value it is multiplied with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) gate: f32,
    pub(super) up: f32,
}

/// Half a uniform sample of everything seen, half the largest gates by magnitude: the bulk says where the function
/// must be good on average, the outliers (rare, and up to fifty times the bulk) where it must not fail.
///
/// The uniform half is Li's algorithm L (ACM TOMS 20, 1994): random numbers are drawn per replacement, not per value.
#[derive(Debug)]
pub(super) struct Reservoir {
    capacity: usize,
    generator: ChaCha8Rng,
    uniform: Vec<Sample>,
    /// Algorithm L's `W`, and the values to pass over before the next replacement.
    threshold: f64,
    skip: u64,
    /// Up to twice the capacity; the smaller half is dropped when full.
    largest: Vec<Sample>,
    /// Gates below this magnitude are not among the largest any more.
    floor: f32,
    range: (f32, f32),
    seen: u64,
}

impl Reservoir {
    /// Keeps `samples` in all; `stream` sets reservoirs of one `seed` apart.
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

    /// Takes note of one value. Values that are not finite are the caller's to refuse.
    pub(super) fn add(&mut self, sample: Sample) {
        self.seen += 1;
        self.range = (self.range.0.min(sample.gate), self.range.1.max(sample.gate));
        self.add_uniform(sample);
        if sample.gate.abs() >= self.floor {
            self.largest.push(sample);
            if self.largest.len() == 2 * self.capacity {
                self.drop_smaller_half();
            }
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

    fn drop_smaller_half(&mut self) {
        let kept = self.capacity - 1;
        self.largest
            .select_nth_unstable_by(kept, |a, b| b.gate.abs().total_cmp(&a.gate.abs()));
        self.largest.truncate(self.capacity);
        self.floor = self.largest[kept].gate.abs();
    }

    /// Smallest and largest gate seen.
    pub(super) fn range(&self) -> (f32, f32) {
        self.range
    }

    /// Values seen.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// Both halves, each sample with the number of values it stands for: one of the uniform half for all that were
    /// passed over, one of the largest for itself. Without that the fit would serve the outliers and nothing else.
    pub(super) fn samples(&mut self) -> impl Iterator<Item = (Sample, f64)> {
        if self.largest.len() > self.capacity {
            self.drop_smaller_half();
        }
        let share = self.seen as f64 / self.uniform.len().max(1) as f64;
        let uniform = self.uniform.iter().map(move |sample| (*sample, share));
        uniform.chain(self.largest.iter().map(|sample| (*sample, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_a_fair_half_and_the_largest_half() {
        let total = 100_000;
        let mut reservoir = Reservoir::new(4000, 1, 2);
        for index in 0..total {
            reservoir.add(Sample {
                gate: index as f32 * if index % 2 == 0 { 1.0 } else { -1.0 },
                up: 1.0,
            });
        }
        assert_eq!((reservoir.seen(), reservoir.range()), (total, (-99_999.0, 99_998.0)));
        let samples: Vec<Sample> = reservoir.samples().map(|(sample, _)| sample).collect();
        let (uniform, largest) = samples.split_at(2000);
        assert_eq!(largest.len(), 2000);
        assert!(largest.iter().all(|sample| sample.gate.abs() >= 98_000.0));
        // The mean of 2000 uniform draws has a standard deviation of 100000 / sqrt(12 * 2000) = 645.
        let mean = uniform.iter().map(|sample| f64::from(sample.gate.abs())).sum::<f64>() / 2000.0;
        assert!((mean - 50_000.0).abs() < 4.0 * 645.0, "{mean}");
    }
}
