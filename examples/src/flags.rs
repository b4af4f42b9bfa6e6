//! Flags that several examples share, and values of flags.

use crate::terminal::note;
use clap::Args;
use smollm2_infer::{GenerationConfig, Sampling};

/// How tokens are chosen.
#[derive(Args)]
pub struct SamplingFlags {
    /// Most tokens to add [default: 128; 512 in `chat`]
    #[arg(long)]
    max_new_tokens: Option<usize>,
    /// 0 is greedy [default: 0; 0.2 in `chat`]
    #[arg(long, allow_negative_numbers = true)]
    temperature: Option<f64>,
    /// Keep this many of the most probable tokens; 0 keeps all.
    #[arg(long, default_value_t = 0)]
    top_k: usize,
    /// Keep the most probable tokens up to this much probability [default: 1; 0.9 in `chat`]
    #[arg(long)]
    top_p: Option<f64>,
    /// Keep tokens at least this times as probable as the most probable.
    #[arg(long, default_value_t = 0.0)]
    min_p: f64,
    /// Above 1 makes repetition less probable.
    #[arg(long, default_value_t = 1.0)]
    repetition_penalty: f64,
    /// Seed of the draws; without it a random one, which is printed.
    #[arg(long)]
    seed: Option<u64>,
}

/// What an example does where a flag is not given.
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

/// A count of at least one: of none there would be nothing to do, and much time lost until that shows.
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

/// A seed for who gives none, short enough to type, and a note with it so that the same text can be made again.
fn random_seed() -> u64 {
    let seed = u64::from(rand::random::<u32>());
    note(format_args!("--seed {seed}"));
    seed
}
