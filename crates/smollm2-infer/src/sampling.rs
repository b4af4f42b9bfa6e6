//! Chooses a token from logits.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::InferError;

/// How a token is chosen from the logits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Sampling {
    /// The most probable token; if several are equally probable, the first.
    #[default]
    Greedy,
    /// A random draw. The filters apply in the order of the fields, as in transformers; each keeps at least one token.
    Sample {
        /// Divides the logits; must be above 0.
        temperature: f64,
        /// Keep this many of the most probable tokens; 0 keeps all.
        top_k: usize,
        /// Keep the fewest tokens whose probabilities sum to at least this (nucleus sampling, arXiv 1904.09751); 1
        /// keeps all.
        top_p: f64,
        /// Keep tokens whose probability is at least this fraction of the highest (arXiv 2407.01082); 0 keeps all.
        min_p: f64,
    },
}

impl Sampling {
    /// Checks that the numbers are in their ranges.
    ///
    /// # Errors
    /// [`InferError::Setting`] naming the field.
    pub fn validate(&self) -> Result<(), InferError> {
        let Self::Sample {
            temperature,
            top_p,
            min_p,
            ..
        } = *self
        else {
            return Ok(());
        };
        for (setting, holds, expected, found) in [
            (
                "temperature",
                temperature > 0.0 && temperature.is_finite(),
                "a finite number above 0",
                temperature,
            ),
            (
                "top_p",
                top_p > 0.0 && top_p <= 1.0,
                "a number above 0 and at most 1",
                top_p,
            ),
            ("min_p", (0.0..=1.0).contains(&min_p), "a number from 0 to 1", min_p),
        ] {
            if !holds {
                return Err(InferError::Setting {
                    setting,
                    expected,
                    found: found.to_string(),
                });
            }
        }
        Ok(())
    }
}

/// A sampler with its own stream of random numbers.
#[derive(Clone, Debug)]
pub(crate) struct Sampler {
    sampling: Sampling,
    rng: ChaCha8Rng,
}

impl Sampler {
    /// A sampler that draws from stream `stream` of `seed`.
    pub(crate) fn new(sampling: Sampling, seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self { sampling, rng }
    }

    /// The next token; `None` when a logit is NaN or the highest is infinite.
    pub(crate) fn choose(&mut self, logits: &[f32]) -> Option<u32> {
        if logits.iter().any(|logit| logit.is_nan()) {
            return None;
        }
        let Sampling::Sample { .. } = self.sampling else {
            return argmax(logits);
        };
        let mut kept = self.sampling.filtered(logits)?;
        let mut draw = self.rng.random::<f64>() * kept.total;
        let mut chosen = None;
        for rank in 0..kept.count {
            let (token, weight) = kept.ranking.get(rank)?;
            chosen = Some(token);
            draw -= weight;
            if draw < 0.0 {
                break;
            }
        }
        // If rounding leaves a remainder of the draw, the least probable kept token is chosen.
        chosen
    }
}

/// What the filters keep: the first `count` tokens of the ranking, whose weights sum to `total`.
struct Kept<'a> {
    ranking: Ranking<'a>,
    count: usize,
    total: f64,
}

impl Sampling {
    /// Every filter keeps the first tokens of one ranking, so all of them together keep the fewest that one keeps.
    fn filtered<'a>(&self, logits: &'a [f32]) -> Option<Kept<'a>> {
        let (temperature, top_k, top_p, min_p) = match *self {
            Self::Greedy => (1.0, 1, 1.0, 0.0),
            Self::Sample {
                temperature,
                top_k,
                top_p,
                min_p,
            } => (temperature, top_k, top_p, min_p),
        };
        let mut ranking = Ranking::new(logits, temperature)?;
        if (1..logits.len()).contains(&top_k) {
            ranking.truncate(top_k);
        }
        let (mut count, mut total) = (ranking.len(), ranking.total());
        if top_p < 1.0 || min_p > 0.0 {
            let needed = if top_p < 1.0 { top_p * total } else { f64::INFINITY };
            (count, total) = (0, 0.0);
            while count == 0 || total < needed {
                let Some((_, weight)) = ranking.get(count).filter(|(_, weight)| *weight >= min_p) else {
                    break;
                };
                count += 1;
                total += weight;
            }
        }
        Some(Kept { ranking, count, total })
    }
}

/// Tokens by descending logit, the lower id first among equals. It is sorted only as far as it is read: a draw rarely
/// reaches beyond the first hundred of a vocabulary of 49,152.
struct Ranking<'a> {
    logits: &'a [f32],
    highest: f64,
    temperature: f64,
    order: Vec<u32>,
    sorted: usize,
}

impl<'a> Ranking<'a> {
    /// `None` when the highest logit is infinite.
    fn new(logits: &'a [f32], temperature: f64) -> Option<Self> {
        let highest = argmax(logits)?;
        Some(Self {
            logits,
            highest: f64::from(logits[highest as usize]),
            temperature,
            order: (0..logits.len() as u32).collect(),
            sorted: 0,
        })
    }

    fn len(&self) -> usize {
        self.order.len()
    }

    /// The probability of a token relative to that of the most probable.
    fn weight(&self, token: u32) -> f64 {
        ((f64::from(self.logits[token as usize]) - self.highest) / self.temperature).exp()
    }

    fn total(&self) -> f64 {
        self.order.iter().map(|token| self.weight(*token)).sum()
    }

    /// The token at `rank` and its weight.
    fn get(&mut self, rank: usize) -> Option<(u32, f64)> {
        while rank >= self.sorted && self.sorted < self.order.len() {
            self.sort(self.sorted + self.sorted.max(64));
        }
        let token = *self.order.get(rank)?;
        Some((token, self.weight(token)))
    }

    /// Keeps the first `count` tokens.
    fn truncate(&mut self, count: usize) {
        self.sort(count);
        self.order.truncate(count);
    }

    /// Puts the first `count` tokens into their places.
    fn sort(&mut self, count: usize) {
        let count = count.min(self.order.len());
        sort_first(&mut self.order[self.sorted..], self.logits, count - self.sorted);
        self.sorted = count;
    }
}

/// Moves the `count` ids with the highest values to the front, in descending order, the lower id first among equals.
pub(crate) fn sort_first(ids: &mut [u32], values: &[f32], count: usize) {
    // Selection takes one pass over all values, sorting takes many.
    if (1..ids.len()).contains(&count) {
        ids.select_nth_unstable_by(count - 1, |a, b| descending(values, *a, *b));
    }
    ids[..count].sort_unstable_by(|a, b| descending(values, *a, *b));
}

fn descending(values: &[f32], a: u32, b: u32) -> Ordering {
    values[b as usize].total_cmp(&values[a as usize]).then(a.cmp(&b))
}

/// Makes tokens that are already in the row less probable.
pub(crate) fn penalise(logits: &mut [f32], seen: &BTreeSet<u32>, penalty: f64) {
    if penalty == 1.0 {
        return;
    }
    let penalty = penalty as f32;
    for token in seen {
        if let Some(logit) = logits.get_mut(*token as usize) {
            *logit = if *logit > 0.0 {
                *logit / penalty
            } else {
                *logit * penalty
            };
        }
    }
}

fn argmax(logits: &[f32]) -> Option<u32> {
    let mut best = None;
    for (token, logit) in (0u32..).zip(logits) {
        if best.is_none_or(|(_, highest)| *logit > highest) {
            best = Some((token, *logit));
        }
    }
    best.filter(|(_, highest)| highest.is_finite()).map(|(token, _)| token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(sampling: Sampling, probabilities: &[f64]) -> Vec<(u32, f64)> {
        let logits: Vec<f32> = probabilities.iter().map(|p| p.ln() as f32).collect();
        distribution(sampling, &logits)
    }

    fn distribution(sampling: Sampling, logits: &[f32]) -> Vec<(u32, f64)> {
        let mut kept = sampling.filtered(logits).expect("numbers");
        let ranked = (0..kept.count).filter_map(|rank| kept.ranking.get(rank));
        ranked.map(|(token, weight)| (token, weight / kept.total)).collect()
    }

    /// The definition: sort all, filter, divide.
    fn sorted_distribution(sampling: Sampling, logits: &[f32]) -> Vec<(u32, f64)> {
        let Sampling::Sample {
            temperature,
            top_k,
            top_p,
            min_p,
        } = sampling
        else {
            panic!("a draw")
        };
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a])); // stable: the lower id first
        let weight = |id: &usize| ((f64::from(logits[*id]) - f64::from(logits[order[0]])) / temperature).exp();
        let mut kept: Vec<(u32, f64)> = order.iter().map(|id| (*id as u32, weight(id))).collect();
        kept.truncate(if top_k == 0 { kept.len() } else { top_k });
        let needed = top_p * kept.iter().map(|(_, weight)| weight).sum::<f64>();
        let mut sum = 0.0;
        let nucleus = kept.iter().position(|(_, weight)| {
            sum += weight;
            sum >= needed
        });
        if top_p < 1.0 {
            kept.truncate(nucleus.map_or(kept.len(), |last| last + 1));
        }
        kept.retain(|(_, weight)| *weight >= min_p);
        let total: f64 = kept.iter().map(|(_, weight)| weight).sum();
        kept.iter().map(|(id, weight)| (*id, weight / total)).collect()
    }

    fn sample(temperature: f64, top_k: usize, top_p: f64, min_p: f64) -> Sampling {
        Sampling::Sample {
            temperature,
            top_k,
            top_p,
            min_p,
        }
    }

    const PROBABILITIES: [f64; 4] = [0.1, 0.5, 0.15, 0.25];

    fn assert_close(found: &[(u32, f64)], expected: &[(u32, f64)]) {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                found.0 == expected.0 && (found.1 - expected.1).abs() < 1e-6,
                "{found:?} {expected:?}"
            );
        }
    }

    #[test]
    fn each_filter_keeps_what_its_definition_says() {
        let all = [(1, 0.5), (3, 0.25), (2, 0.15), (0, 0.1)];
        assert_close(&kept(sample(1.0, 0, 1.0, 0.0), &PROBABILITIES), &all);
        assert_close(
            &kept(sample(1.0, 2, 1.0, 0.0), &PROBABILITIES),
            &[(1, 2.0 / 3.0), (3, 1.0 / 3.0)],
        );
        assert_close(
            &kept(sample(1.0, 0, 0.6, 0.0), &PROBABILITIES),
            &[(1, 2.0 / 3.0), (3, 1.0 / 3.0)],
        );
        assert_close(&kept(sample(1.0, 0, 1e-9, 0.0), &PROBABILITIES), &[(1, 1.0)]);
        assert_close(
            &kept(sample(1.0, 0, 1.0, 0.4), &PROBABILITIES),
            &[(1, 2.0 / 3.0), (3, 1.0 / 3.0)],
        );
        let squared: f64 = PROBABILITIES.iter().map(|p| p * p).sum();
        assert!((kept(sample(0.5, 0, 1.0, 0.0), &PROBABILITIES)[0].1 - 0.25 / squared).abs() < 1e-6);
    }

    #[test]
    fn draws_follow_the_distribution() {
        let logits: Vec<f32> = PROBABILITIES.iter().map(|p| p.ln() as f32).collect();
        let mut sampler = Sampler::new(sample(1.0, 0, 1.0, 0.0), 7, 0);
        let mut counts = [0u32; 4];
        const DRAWS: u32 = 40_000;
        for _ in 0..DRAWS {
            counts[sampler.choose(&logits).expect("a token") as usize] += 1;
        }
        // Pearson's statistic with three degrees of freedom exceeds 16.27 once in a thousand seeds.
        let expected = PROBABILITIES.map(|p| p * f64::from(DRAWS));
        let statistic: f64 = counts
            .iter()
            .zip(expected)
            .map(|(n, e)| (f64::from(*n) - e).powi(2) / e)
            .sum();
        assert!(statistic < 16.27, "{counts:?}");
    }

    #[test]
    fn a_seed_repeats_and_streams_differ() {
        let logits = [0.0f32; 64];
        let draws = |seed, stream| {
            let mut sampler = Sampler::new(sample(1.0, 0, 1.0, 0.0), seed, stream);
            (0..16).map(|_| sampler.choose(&logits)).collect::<Vec<_>>()
        };
        assert_eq!(draws(1, 0), draws(1, 0));
        assert_ne!(draws(1, 0), draws(2, 0));
        assert_ne!(draws(1, 0), draws(1, 1));
    }

    #[test]
    fn a_repeated_token_is_penalised_once() {
        let mut logits = [2.0, -2.0, 1.0];
        penalise(&mut logits, &[0, 1, 0, 9].into_iter().collect(), 2.0);
        assert_eq!(logits, [1.0, -4.0, 1.0]);
    }

    #[test]
    fn greedy_takes_the_first_of_equals_and_no_nan() {
        let mut sampler = Sampler::new(Sampling::Greedy, 0, 0);
        assert_eq!(sampler.choose(&[1.0, 3.0, 3.0]), Some(1));
        assert_eq!(sampler.choose(&[1.0, f32::NAN]), None);
    }

    #[test]
    fn no_token_is_chosen_by_an_infinite_logit() {
        const LOW: f32 = f32::NEG_INFINITY;
        for sampling in [Sampling::Greedy, sample(1.0, 0, 1.0, 0.0), sample(1.0, 1, 1.0, 0.0)] {
            let mut sampler = Sampler::new(sampling, 0, 0);
            assert_eq!(sampler.choose(&[LOW, LOW]), None, "{sampling:?}");
            assert_eq!(sampler.choose(&[1.0, f32::INFINITY]), None, "{sampling:?}");
            assert_eq!(sampler.choose(&[]), None, "{sampling:?}");
            assert_eq!(sampler.choose(&[LOW, -3.0, LOW]), Some(1), "{sampling:?}");
        }
    }

    #[test]
    fn top_k_keeps_the_first_of_equals() {
        let tokens = |top_k| {
            let kept = distribution(sample(1.0, top_k, 1.0, 0.0), &[0.0, 2.0, 1.0, 2.0, 1.0, 1.0]);
            kept.into_iter().map(|(token, _)| token).collect::<Vec<_>>()
        };
        for top_k in 1..=6 {
            assert_eq!(tokens(top_k), [1, 3, 2, 4, 5, 0][..top_k]);
        }
        assert_eq!(tokens(0), tokens(6));
        assert_eq!(tokens(7), tokens(6));
    }

    #[test]
    fn a_ranking_sorted_in_parts_keeps_what_the_definition_keeps() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for scale in [0.0, 0.5, 3.0, 20.0] {
            // Rounded, so that there are equals.
            let logits: Vec<f32> = (0..1000)
                .map(|_| (rng.random::<f32>() * scale * 8.0).round() / 8.0)
                .collect();
            for (temperature, top_k, top_p, min_p) in [
                (1.0, 0, 1.0, 0.0),
                (0.2, 0, 0.9, 0.0),
                (1.0, 0, 0.999, 0.0),
                (2.0, 0, 1.0, 0.05),
                (1.0, 300, 0.95, 0.01),
                (1.0, 1, 0.5, 0.5),
                (1.0, 1000, 1.0, 0.0),
            ] {
                let sampling = sample(temperature, top_k, top_p, min_p);
                assert_close(
                    &distribution(sampling, &logits),
                    &sorted_distribution(sampling, &logits),
                );
            }
        }
    }

    #[test]
    fn impossible_settings_are_named() {
        for (sampling, field) in [
            (sample(0.0, 0, 1.0, 0.0), "temperature"),
            (sample(1.0, 0, 1.5, 0.0), "top_p"),
            (sample(1.0, 0, 1.0, -0.1), "min_p"),
        ] {
            let error = sampling.validate().expect_err(field);
            assert!(error.to_string().contains(field), "{error}");
        }
    }
}
