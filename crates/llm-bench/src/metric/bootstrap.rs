//! Standard errors of scores that are no means, by resampling documents as lm-evaluation-harness does: draw for draw.

use crate::{PythonRandom, stats};

/// Resamples that share a generator, which is seeded with their number.
const CHUNK: usize = 1000;

/// The standard deviation of a score over resamples of `documents`; `None` for fewer than two. `score` is called with
/// the indices drawn.
pub(super) fn bootstrap_stderr(
    documents: usize,
    resamples: usize,
    score: &(dyn Fn(&[usize]) -> f64 + Sync),
) -> Option<f64> {
    if documents < 2 {
        return None;
    }
    let size = CHUNK.min(resamples);
    let chunks = resamples / size;
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(chunks);
    let mut scores = vec![0.0; chunks * size];
    std::thread::scope(|scope| {
        for (first, part) in scores.chunks_mut(chunks.div_ceil(workers) * size).enumerate() {
            let seed = first * chunks.div_ceil(workers);
            scope.spawn(move || fill(part, size, seed, documents, score));
        }
    });
    // The mean has the sample's deviation over the root of their number.
    stats::mean_stderr(&scores).map(|error| error * (scores.len() as f64).sqrt())
}

/// The scores of consecutive chunks, the first of them with this seed.
fn fill(scores: &mut [f64], size: usize, seed: usize, documents: usize, score: &(dyn Fn(&[usize]) -> f64 + Sync)) {
    let mut drawn = Vec::with_capacity(documents);
    for (chunk, scores) in scores.chunks_mut(size).enumerate() {
        let mut random = PythonRandom::new((seed + chunk) as u64);
        for value in scores {
            drawn.clear();
            drawn.extend((0..documents).map(|_| random.choice(documents)));
            *value = score(&drawn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::bootstrap_stderr;

    /// What CPython 3.11 gives for `random.Random(i).choices` in chunks of 1000 and the sample deviation of the largest.
    #[test]
    fn resamples_are_those_of_python() {
        let values = [0.5, 1.5, -2.0, 4.0, 0.25, 3.0, 7.5];
        let largest = |drawn: &[usize]| drawn.iter().map(|&index| values[index]).fold(f64::MIN, f64::max);
        let error = bootstrap_stderr(values.len(), 3000, &largest).unwrap();
        assert!((error - EXPECTED).abs() < 1e-12, "{error}");
        assert_eq!(bootstrap_stderr(1, 3000, &largest), None);
    }

    const EXPECTED: f64 = 1.8580699745252414;
}
