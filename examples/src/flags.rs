//! Flags that several examples share, and values of flags.

use crate::terminal::note;
use clap::Args;
use smollm2_infer::{GenerationConfig, Sampling};

/// Flags for choosing tokens.
#[derive(Args)]
pub struct SamplingFlags {
    /// Maximum number of tokens to generate [default: 128; 512 in `chat`]
    #[arg(long)]
    max_new_tokens: Option<usize>,
    /// Sampling temperature; 0 is greedy [default: 0; 0.2 in `chat`]
    #[arg(long, allow_negative_numbers = true)]
    temperature: Option<f64>,
    /// Sample only from this many most probable tokens (top-k); 0 uses all.
    #[arg(long, default_value_t = 0)]
    top_k: usize,
    /// Sample only from the most probable tokens with this total probability (top-p) [default: 1; 0.9 in `chat`]
    #[arg(long)]
    top_p: Option<f64>,
    /// Sample only from tokens with at least this fraction of the highest probability (min-p).
    #[arg(long, default_value_t = 0.0)]
    min_p: f64,
    /// Repetition penalty; a value above 1 makes repetition less probable.
    #[arg(long, default_value_t = 1.0)]
    repetition_penalty: f64,
    /// Seed for sampling. The default is a random seed, which is printed.
    #[arg(long)]
    seed: Option<u64>,
}

/// The defaults of an example for flags that are not given.
pub struct SamplingDefaults {
    /// Most tokens to add.
    pub max_new_tokens: usize,
    /// 0 is greedy.
    pub temperature: f64,
    /// Probability of the tokens that are kept.
    pub top_p: f64,
}

impl SamplingFlags {
    /// The settings, without stop tokens.
    ///
    /// # Errors
    /// When one is out of its range.
    pub fn settings(&self, defaults: &SamplingDefaults) -> anyhow::Result<GenerationConfig> {
        let mut settings = GenerationConfig {
            max_new_tokens: self.max_new_tokens.unwrap_or(defaults.max_new_tokens),
            repetition_penalty: self.repetition_penalty,
            ..GenerationConfig::default()
        };
        let temperature = self.temperature.unwrap_or(defaults.temperature);
        if temperature != 0.0 {
            settings.sampling = Sampling::Sample {
                temperature,
                top_k: self.top_k,
                top_p: self.top_p.unwrap_or(defaults.top_p),
                min_p: self.min_p,
            };
            settings.seed = self.seed.unwrap_or_else(random_seed);
        }
        settings.validate()?;
        Ok(settings)
    }
}

/// The limit of a task's documents: a count of at least one, or a fraction below 1.
///
/// # Errors
/// As [`at_least_one`].
pub fn limit(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && (number < 1.0 || number.fract() == 0.0) => Ok(number),
        _ => Err(format!(
            "expected a whole number of at least 1 or a fraction between 0 and 1, found `{text}`"
        )),
    }
}

/// A count of at least one. With a count of zero, a run would do nothing, and this would become visible only late.
///
/// # Errors
/// What was expected and found, for clap to put behind the flag's name.
pub fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("expected a whole number of at least 1, found `{text}`")),
        Ok(number) => Ok(number),
    }
}

/// A finite number above 0.
///
/// # Errors
/// As [`at_least_one`].
pub fn above_zero(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err(format!("expected a number above 0, found `{text}`")),
    }
}

/// A random seed that is short enough to type, and a note with it, so that the same text can be generated again.
fn random_seed() -> u64 {
    let seed = u64::from(rand::random::<u32>());
    note(format_args!("--seed {seed}"));
    seed
}
