//! From logits to one token.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::ModelError;

/// How a token is chosen from the logits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Sampling {
    /// The most probable token; the first of equals.
    #[default]
    Greedy,
    /// A draw. The filters apply in the order of the fields, as in transformers; each keeps at least one token.
    Sample {
        /// Logits are divided by this, above 0.
        temperature: f64,
        /// Keep this many of the most probable tokens; 0 keeps all.
        top_k: usize,
        /// Keep the fewest tokens whose probabilities sum to at least this (nucleus sampling, arXiv 1904.09751); 1
        /// keeps all.
        top_p: f64,
        /// Keep tokens at least this times as probable as the most probable (arXiv 2407.01082); 0 keeps all.
        min_p: f64,
    },
}

impl Sampling {
    /// Refuses numbers that have no meaning.
    ///
    /// # Errors
    /// [`ModelError::Setting`] naming the field.
    pub fn validate(&self) -> Result<(), ModelError> {
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
                return Err(ModelError::Setting {
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
pub struct Sampler {
    sampling: Sampling,
    rng: ChaCha8Rng,
}

impl Sampler {
    /// Stream `stream` of `seed`.
    pub fn new(sampling: Sampling, seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self { sampling, rng }
    }

    /// The next token; `None` when a logit is NaN or the highest is infinite.
    pub fn choose(&mut self, logits: &[f32]) -> Option<u32> {
        if logits.iter().any(|logit| logit.is_nan()) {
            return None;
        }
        match self.sampling {
            Sampling::Greedy => argmax(logits),
            Sampling::Sample { .. } => {
                let kept = self.sampling.distribution(logits)?;
                let mut draw = self.rng.random::<f64>();
                for (token, probability) in &kept {
                    draw -= probability;
                    if draw < 0.0 {
                        return Some(*token);
                    }
                }
                // Rounding may leave a little of the draw: the least probable kept token takes it.
                kept.last().map(|(token, _)| *token)
            }
        }
    }
}

impl Sampling {
    /// Kept tokens with their probabilities, the most probable first.
    fn distribution(&self, logits: &[f32]) -> Option<Vec<(u32, f64)>> {
        let Self::Sample {
            temperature,
            top_k,
            top_p,
            min_p,
        } = *self
        else {
            return argmax(logits).map(|token| vec![(token, 1.0)]);
        };
        let mut order: Vec<u32> = (0..logits.len() as u32).collect();
        let descending = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
        // Selecting takes a pass where sorting the whole vocabulary takes many.
        if (1..order.len()).contains(&top_k) {
            order.select_nth_unstable_by(top_k - 1, descending);
            order.truncate(top_k);
        }
        order.sort_unstable_by(descending);
        let highest = f64::from(logits[*order.first()? as usize]);
        if !highest.is_finite() {
            return None;
        }
        let weight = |token: u32| ((f64::from(logits[token as usize]) - highest) / temperature).exp();
        let mut kept: Vec<(u32, f64)> = order.into_iter().map(|token| (token, weight(token))).collect();
        let total: f64 = kept.iter().map(|(_, weight)| weight).sum();
        let mut seen = 0.0;
        let nucleus = kept.iter().take_while(|(_, weight)| {
            let needed = seen < top_p * total;
            seen += weight;
            needed
        });
        let nucleus = nucleus.count().max(1);
        kept.truncate(nucleus);
        kept.retain(|(_, weight)| *weight >= min_p);
        let total: f64 = kept.iter().map(|(_, weight)| weight).sum();
        kept.iter_mut().for_each(|(_, weight)| *weight /= total);
        Some(kept)
    }
}

/// Makes tokens that already stand in the row less probable.
pub(super) fn penalise(logits: &mut [f32], seen: &[u32], penalty: f64) {
    if penalty == 1.0 {
        return;
    }
    let mut seen = seen.to_vec();
    seen.sort_unstable();
    seen.dedup();
    for token in seen {
        if let Some(logit) = logits.get_mut(token as usize) {
            *logit = if *logit > 0.0 {
                *logit / penalty as f32
            } else {
                *logit * penalty as f32
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
        sampling.distribution(&logits).expect("numbers")
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
        penalise(&mut logits, &[0, 1, 0, 9], 2.0);
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
            let kept = sample(1.0, top_k, 1.0, 0.0).distribution(&[0.0, 2.0, 1.0, 2.0, 1.0, 1.0]);
            kept.expect("numbers")
                .into_iter()
                .map(|(token, _)| token)
                .collect::<Vec<_>>()
        };
        for top_k in 1..=6 {
            assert_eq!(tokens(top_k), [1, 3, 2, 4, 5, 0][..top_k]);
        }
        assert_eq!(tokens(0), tokens(6));
        assert_eq!(tokens(7), tokens(6));
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
