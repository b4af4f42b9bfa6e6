//! The plan of a study: what it compares, on which data, and how. It is a TOML file.

mod defaults;
mod toml_form;
mod validate;

use llm_bench::report::Criteria;
use serde::{Deserialize, Serialize};
use smollm2_model::{FeedForwardKind, SmolLm2Config};
use smollm2_train::TrainConfig;
use std::path::PathBuf;

pub(super) use toml_form::json;

/// Everything that determines the result of a study. [`StudyPlan::open`] reads it from TOML; the resolved form is
/// written into the study's folder.
///
/// ```
/// use kallm::StudyPlan;
///
/// let plan = StudyPlan::from_toml(
///     r#"
///     seeds = [1, 2, 3]
///     [model]
///     pretrained = "HuggingFaceTB/SmolLM2-135M"
///     [data.files]
///     training = ["HuggingFaceTB/smol-smoltalk"]
///     held_out = { share = 0.05 }
///     [recipe]
///     steps = 800
///     [criteria]
///     margin_nats = 0.01
///     margin_points = 1.0
///     [[variants]]
///     feed_forward = "swiglu"
///     [[variants]]
///     feed_forward = "gated_rational"
///     "#,
/// )?;
/// assert_eq!(plan.cells().len(), 6);
/// assert_eq!(plan.variants[1].name, "gated-rational");
/// # Ok::<(), kallm::KallmError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyPlan {
    /// The page's title.
    #[serde(default = "defaults::title")]
    pub title: String,
    /// Every variant has one cell per seed. It seeds the random weights, the order of the data and the synthetic world.
    pub seeds: Vec<u64>,
    /// Where every variant starts.
    pub model: ModelPlan,
    /// What is trained on and held out.
    pub data: DataPlan,
    /// How every variant is trained. Its `seed` comes from the cell and must not be given.
    #[serde(with = "toml_form::recipe", default)]
    pub recipe: TrainConfig,
    /// The tasks evaluated after training. Default: none, so that only held-out losses are compared.
    #[serde(default)]
    pub tasks: TasksPlan,
    /// Margins within which the report calls variants equal, fixed before anything is trained.
    pub criteria: Criteria,
    /// The variants in the report's order; the first is the baseline.
    pub variants: Vec<VariantPlan>,
}

/// Where every variant starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelPlan {
    /// From a pretrained SwiGLU model with its tokenizer: a folder, a `.gguf` file or a hub id.
    Pretrained(String),
    /// From random weights.
    Scratch(ModelShape),
}

/// Sizes of a model from scratch, named as in `config.json`. All else is as in SmolLM2-135M.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct ModelShape {
    /// The tokenizer, which sets the vocabulary.
    pub tokenizer: TokenizerPlan,
    pub hidden_size: usize,
    /// Of the SwiGLU layer. Ungated layers are 1.5 times as wide, so that all variants have as many parameters.
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub num_key_value_heads: usize,
    pub head_dim: usize,
    pub max_position_embeddings: usize,
}

/// The tokenizer of models from scratch. Both have SmolLM2's special tokens and write conversations as plain ChatML.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenizerPlan {
    /// A token for each byte.
    Bytes,
    /// Byte pair encoding with this many tokens, learned from the training split.
    Bpe(usize),
}

/// What is trained on and held out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataPlan {
    /// One [`SyntheticWorld`](crate::synthetic::SyntheticWorld) per seed, with its own tasks and held-out data.
    Synthetic(SyntheticPlan),
    /// Conversations from files or the hub, the same for every seed.
    Files(FilesPlan),
}

/// The size of the synthetic worlds, of which each seed has one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyntheticPlan {
    /// Number of training conversations, each of one to three exchanges.
    pub conversations: usize,
}

/// Conversations from files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesPlan {
    /// JSONL or Parquet files, folders with them, hub ids, or text files. They are read in turn, a conversation of each.
    pub training: Vec<String>,
    /// What the held-out loss is of.
    pub held_out: HeldOutPlan,
}

/// What the held-out loss is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldOutPlan {
    /// About this share of the training conversations, excluded from training.
    Share(f64),
    /// Separate conversations, named as in [`FilesPlan::training`].
    Files(Vec<String>),
}

/// The tasks evaluated after training, with the settings of [`evaluate`](llm_bench::evaluate()).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TasksPlan {
    /// Built-in tasks or YAML files; with synthetic data, tasks of the synthetic world.
    pub names: Vec<String>,
    /// Folder of the tasks' data. Ignored with synthetic data.
    pub data: PathBuf,
    /// Few-shot examples before each question. Default: the task's own number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_fewshot: Option<usize>,
    /// Maximum number of documents per task, or a fraction of them if below 1. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// Whether to apply the chat template. Default false.
    pub apply_chat_template: bool,
    /// Documents per batch. Scores do not depend on it. Default 8.
    pub batch_size: usize,
}

/// One variant: what differs from the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, from = "toml_form::VariantToml")]
pub struct VariantPlan {
    /// Name in tables and folders. Default: the kind of feed-forward with dashes.
    pub name: String,
    /// The kind of every feed-forward layer.
    #[serde(with = "toml_form::kind")]
    pub feed_forward: FeedForwardKind,
    /// How these layers are initialised.
    pub start: FeedForwardStart,
}

/// How the feed-forward layers of a variant are initialised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedForwardStart {
    /// As they are in the pretrained model. The default of `swiglu`.
    Kept,
    /// Fitted to the pretrained SwiGLU. The default of `gated_rational`.
    Converted,
    /// With random weights. The default of the others, and the only start without a pretrained model.
    Fresh,
}

/// One variant with one seed: the unit of training and evaluation, which can run on any machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell<'a> {
    /// Its place in [`StudyPlan::cells`], from 0.
    pub index: usize,
    /// The variant.
    pub variant: &'a VariantPlan,
    /// The seed.
    pub seed: u64,
}

impl std::fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, seed {}", self.variant.name, self.seed)
    }
}

impl StudyPlan {
    /// All cells in the order in which one process takes them: every variant with the first seed, then with the second,
    /// and so on.
    pub fn cells(&self) -> Vec<Cell<'_>> {
        let pairs = self
            .seeds
            .iter()
            .flat_map(|seed| self.variants.iter().map(move |variant| (*seed, variant)));
        let cells = pairs
            .enumerate()
            .map(|(index, (seed, variant))| Cell { index, variant, seed });
        cells.collect()
    }

    /// How a cell with this seed is trained.
    pub fn recipe_of(&self, seed: u64) -> TrainConfig {
        let mut recipe = self.recipe.clone();
        recipe.data.seed = seed;
        recipe
    }

    /// Tokens in one optimiser step.
    pub fn tokens_per_step(&self) -> usize {
        let recipe = &self.recipe;
        recipe.data.sequence_length * recipe.micro_batch_rows * recipe.gradient_accumulation
    }
}

impl ModelShape {
    /// The configuration of a SwiGLU model of these sizes with this many tokens.
    pub(super) fn config(&self, vocab_size: usize) -> SmolLm2Config {
        let mut config = SmolLm2Config::smollm2_135m().with_instruct_tokens();
        config.vocab_size = vocab_size;
        config.hidden_size = self.hidden_size;
        config.intermediate_size = self.intermediate_size;
        config.num_hidden_layers = self.num_hidden_layers;
        config.num_attention_heads = self.num_attention_heads;
        config.num_key_value_heads = self.num_key_value_heads;
        config.head_dim = self.head_dim;
        config.max_position_embeddings = self.max_position_embeddings;
        config.with_feed_forward(FeedForwardKind::SwiGlu)
    }
}
