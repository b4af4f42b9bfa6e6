//! Shapes and constants of a model: the three published sizes, and the contents of `config.json`.

mod feed_forward;
mod json;

pub use feed_forward::{FeedForwardConfig, FeedForwardKind, GatedRationalConfig, GroupKanConfig, RationalConfig};

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Tensor, backend::Backend},
};

use crate::{DecoderBackend, ModelError, SmolLm2};

/// Most numbers in a rotary table: 2^19 positions of 64 channels, 128 MB.
const MAX_ROTARY: usize = 1 << 25;

/// Maximum number of parameters, so that their size in bytes, and an optimiser's, fits in 64 bits.
const MAX_PARAMETERS: u128 = 1 << 48;

/// Draws every weight now. Burn draws at first use, so two clones of an unused model would have different weights, and
/// the seed at that moment would count.
pub(crate) struct DrawNow;

impl<B: Backend> ModuleVisitor<B> for DrawNow {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        drop(param.val());
    }
}

/// Float type of weights, as `torch_dtype` in `config.json` spells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoredDtype {
    /// IEEE single precision.
    #[default]
    Float32,
    /// IEEE half precision.
    Float16,
    /// bfloat16, the published checkpoints' type.
    Bfloat16,
}

impl StoredDtype {
    /// The name PyTorch and `transformers` use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Float16 => "float16",
            Self::Bfloat16 => "bfloat16",
        }
    }

    /// The inverse of [`StoredDtype::name`].
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Float32, Self::Float16, Self::Bfloat16]
            .into_iter()
            .find(|dtype| dtype.name() == name)
    }
}

/// Shapes and constants of one SmolLM2 (a Llama architecture: RMSNorm, rotary positions, grouped-query attention,
/// gated feed-forward, tied embedding), named as in Hugging Face's `config.json`.
///
/// ```
/// use smollm2_model::{FeedForwardKind, SmolLm2Config};
///
/// let config = SmolLm2Config::smollm2_135m();
/// assert_eq!(config.num_parameters(), 134_515_008);
/// // A Kolmogorov-Arnold feed-forward of the same cost in every layer:
/// let kat = config.with_feed_forward(FeedForwardKind::GroupKan);
/// assert_eq!(kat.num_parameters(), 134_515_008 + 30 * 2 * 8 * (6 + 4));
/// # Ok::<(), smollm2_model::ModelError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SmolLm2Config {
    /// Rows of the embedding, V. Published: 49152.
    pub vocab_size: usize,
    /// Width of the residual stream, D.
    pub hidden_size: usize,
    /// Width of the SwiGLU feed-forward, F. Layers of another kind may carry their own width.
    pub intermediate_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Query heads, H.
    pub num_attention_heads: usize,
    /// Key and value heads, K; H is a multiple of K.
    pub num_key_value_heads: usize,
    /// Channels per head, C. Published: 64. Even, because rotary positions turn pairs of channels.
    pub head_dim: usize,
    /// Added to the mean square in every RMSNorm.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Largest number of positions.
    pub max_position_embeddings: usize,
    /// Whether the output projection is the embedding transposed. Published: true.
    pub tie_word_embeddings: bool,
    /// Standard deviation of freshly drawn weights.
    pub initializer_range: f64,
    /// Token that starts a document, if any.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a generation; may be empty.
    pub eos_token_ids: Vec<u32>,
    /// Token that fills rows, if any.
    pub pad_token_id: Option<u32>,
    /// Type of the weights: in `config.json` of those in the file, in [`SmolLm2::config`] of those of the model. A
    /// model drawn by [`SmolLm2Config::init`] has the device's float type regardless of this field.
    pub dtype: StoredDtype,
    /// Feed-forward of every layer: exactly `num_hidden_layers` entries.
    pub feed_forward: Vec<FeedForwardConfig>,
}

/// The sizes in which the published models differ.
struct Size {
    hidden: usize,
    intermediate: usize,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    rope_theta: f64,
    initializer_range: f64,
}

impl SmolLm2Config {
    /// [SmolLM2-135M](https://huggingface.co/HuggingFaceTB/SmolLM2-135M).
    pub fn smollm2_135m() -> Self {
        Self::published(Size {
            hidden: 576,
            intermediate: 1536,
            layers: 30,
            heads: 9,
            kv_heads: 3,
            rope_theta: 100_000.0,
            initializer_range: 1.0 / 24.0,
        })
    }

    /// [SmolLM2-360M](https://huggingface.co/HuggingFaceTB/SmolLM2-360M).
    pub fn smollm2_360m() -> Self {
        Self::published(Size {
            hidden: 960,
            intermediate: 2560,
            layers: 32,
            heads: 15,
            kv_heads: 5,
            rope_theta: 100_000.0,
            initializer_range: 0.02,
        })
    }

    /// [SmolLM2-1.7B](https://huggingface.co/HuggingFaceTB/SmolLM2-1.7B).
    pub fn smollm2_1_7b() -> Self {
        Self::published(Size {
            hidden: 2048,
            intermediate: 8192,
            layers: 24,
            heads: 32,
            kv_heads: 32,
            rope_theta: 130_000.0,
            initializer_range: 0.02,
        })
    }

    fn published(size: Size) -> Self {
        Self {
            vocab_size: 49152,
            hidden_size: size.hidden,
            intermediate_size: size.intermediate,
            num_hidden_layers: size.layers,
            num_attention_heads: size.heads,
            num_key_value_heads: size.kv_heads,
            head_dim: 64,
            rms_norm_eps: 1e-5,
            rope_theta: size.rope_theta,
            max_position_embeddings: 8192,
            tie_word_embeddings: true,
            initializer_range: size.initializer_range,
            bos_token_id: Some(0),
            eos_token_ids: vec![0],
            pad_token_id: None,
            dtype: StoredDtype::Float32,
            feed_forward: vec![FeedForwardConfig::SwiGlu; size.layers],
        }
    }

    /// The token ids of the Instruct checkpoints: `<|im_start|>` begins, `<|im_end|>` ends and pads.
    pub fn with_instruct_tokens(mut self) -> Self {
        self.bos_token_id = Some(1);
        self.eos_token_ids = vec![2];
        self.pad_token_id = Some(2);
        self
    }

    /// Gives every layer the feed-forward of `kind`, sized so that parameters and multiplications match the SwiGLU
    /// of this configuration ([`FeedForwardConfig::matched`]). Assign the field for anything else.
    pub fn with_feed_forward(mut self, kind: FeedForwardKind) -> Self {
        let layer = FeedForwardConfig::matched(kind, self.intermediate_size);
        self.feed_forward = vec![layer; self.num_hidden_layers];
        self
    }

    /// Number of trainable parameters; a tied embedding counts once.
    pub fn num_parameters(&self) -> usize {
        usize::try_from(self.count_parameters()).unwrap_or(usize::MAX)
    }

    /// Refuses shapes and constants the architecture cannot have.
    ///
    /// # Errors
    /// [`ModelError::Config`] with the key, what was expected and what was found.
    pub fn validate(&self) -> Result<(), ModelError> {
        self.validate_sizes()?;
        self.validate_constants()?;
        self.validate_tokens()?;
        if self.feed_forward.len() != self.num_hidden_layers {
            let expected = format!("{} entries, one per layer", self.num_hidden_layers);
            return Err(ModelError::config("feed_forward", expected, self.feed_forward.len()));
        }
        let uniform = self.uniform_feed_forward().is_some();
        for (index, layer) in self.feed_forward.iter().enumerate() {
            let key = if uniform {
                "feed_forward".to_owned()
            } else {
                format!("feed_forward[{index}]")
            };
            layer.validate(&key, self.hidden_size, self.intermediate_size)?;
        }
        self.validate_count()
    }

    /// Rejects a model whose size in bytes overflows: each size is possible, but not all of them together.
    fn validate_count(&self) -> Result<(), ModelError> {
        let count = self.count_parameters();
        if count > MAX_PARAMETERS {
            let expected = "sizes of a model with at most 2^48 parameters";
            return Err(ModelError::config("num_hidden_layers", expected, count));
        }
        Ok(())
    }

    /// The feed-forward all layers share, or `None` when they differ (or there is no layer).
    pub(crate) fn uniform_feed_forward(&self) -> Option<&FeedForwardConfig> {
        let first = self.feed_forward.first()?;
        self.feed_forward.iter().all(|layer| layer == first).then_some(first)
    }

    /// Draws a model: matrices and embedding from a normal of standard deviation `initializer_range`, norms 1,
    /// rational functions at their starting activation.
    ///
    /// Draws follow the backend's generator: seed it with `Backend::seed` for a reproducible model. Weights have the
    /// device's float type, and the model's [`dtype`](SmolLm2Config::dtype) says which.
    ///
    /// # Errors
    /// As [`SmolLm2Config::validate`].
    pub fn init<B: DecoderBackend>(&self, device: &B::Device) -> Result<SmolLm2<B>, ModelError> {
        self.validate()?;
        let model = SmolLm2::new(self, device);
        model.visit(&mut DrawNow);
        Ok(model.settled())
    }

    fn validate_sizes(&self) -> Result<(), ModelError> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.max_position_embeddings),
        ];
        for (key, value) in sizes {
            // The upper bound keeps every product of two sizes, in bytes, inside 64 bits.
            if value == 0 || value > 1 << 28 {
                return Err(ModelError::config(key, "a size between 1 and 2^28", value));
            }
        }
        self.validate_heads()
    }

    fn validate_heads(&self) -> Result<(), ModelError> {
        // The rotary table has a row per position, and no weight in a file vouches for their number.
        let (positions, limit) = (self.max_position_embeddings, MAX_ROTARY / self.head_dim);
        if positions > limit {
            let expected = format!("at most {limit} for head_dim = {}", self.head_dim);
            return Err(ModelError::config("max_position_embeddings", expected, positions));
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            let expected = format!("a divisor of num_attention_heads = {}", self.num_attention_heads);
            return Err(ModelError::config(
                "num_key_value_heads",
                expected,
                self.num_key_value_heads,
            ));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(ModelError::config(
                "head_dim",
                "an even number (rotary positions turn pairs)",
                self.head_dim,
            ));
        }
        Ok(())
    }

    fn validate_constants(&self) -> Result<(), ModelError> {
        for (key, value) in [("rms_norm_eps", self.rms_norm_eps), ("rope_theta", self.rope_theta)] {
            if !(value.is_finite() && value > 0.0) {
                return Err(ModelError::config(key, "a positive number", value));
            }
        }
        let range = self.initializer_range;
        if !(range.is_finite() && range >= 0.0) {
            let expected = "a number that is not negative";
            return Err(ModelError::config("initializer_range", expected, range));
        }
        Ok(())
    }

    pub(crate) fn validate_tokens(&self) -> Result<(), ModelError> {
        let eos = self.eos_token_ids.iter().map(|id| ("eos_token_id", *id));
        let others = [("bos_token_id", self.bos_token_id), ("pad_token_id", self.pad_token_id)];
        let others = others.into_iter().filter_map(|(key, id)| id.map(|id| (key, id)));
        for (key, id) in eos.chain(others) {
            if id as usize >= self.vocab_size {
                let expected = format!("an id below vocab_size = {}", self.vocab_size);
                return Err(ModelError::config(key, expected, id));
            }
        }
        Ok(())
    }
}
