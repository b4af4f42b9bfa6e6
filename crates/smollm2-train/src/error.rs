//! What can go wrong in this crate, one variant per failure.

use std::path::{Path, PathBuf};

use smollm2_model::ModelError;
use smoltalk_data::DataError;

/// An error of this crate. Every variant names the place and says what to do where that is not obvious.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The recipe is not TOML, or holds an unknown or ill-typed key.
    #[error("training configuration: {0}")]
    ConfigSyntax(#[source] Box<toml::de::Error>),

    /// A value of the recipe has no meaning.
    #[error("training configuration, field `{field}`: expected {expected}, found {found}")]
    Config {
        /// The field as TOML spells it, with its table (`optimizer.beta1`).
        field: &'static str,
        /// What would have been accepted.
        expected: String,
        /// What is there.
        found: String,
    },

    /// A row is longer than the model has positions.
    #[error("sequence_length is {sequence_length}, but the model has {positions} positions")]
    SequenceTooLong {
        /// Tokens per row of the recipe.
        sequence_length: usize,
        /// `max_position_embeddings` of the model.
        positions: usize,
    },

    /// A loss or a gradient is not finite. The weights are those of the step before; no checkpoint was touched.
    #[error(
        "step {step}: the {quantity} is {value}; the weights were left as they were after step {before}. \
         Resume from the last checkpoint with a lower learning_rate, a longer warm-up or a smaller max_grad_norm",
        before = step - 1
    )]
    NotFinite {
        /// The step that failed, counted from 1; for `held-out loss` the one that would have come next.
        step: usize,
        /// `loss`, `gradient norm` or `held-out loss`.
        quantity: &'static str,
        /// What was found: NaN or an infinity.
        value: f64,
    },

    /// No micro-batch of a step holds a token that counts.
    #[error("step {step}: no token of the batch counts towards the loss; check the mask and the packing of the data")]
    NoTargets {
        /// The step, counted from 1.
        step: usize,
    },

    /// No held-out row holds a token that counts.
    #[error("no token of the held-out rows counts towards the loss; check their mask and packing, or hold nothing out")]
    NoHeldOutTargets,

    /// A run would write among checkpoints that are further on, which count as newer.
    #[error(
        "{path}: expected no checkpoint beyond step {from}, found one of step {step}; \
         resume it, choose another output folder, or remove this one"
    )]
    UsedFolder {
        /// Folder of the checkpoints.
        path: PathBuf,
        /// Steps made by the run that was refused.
        from: usize,
        /// Step of the newest.
        step: usize,
    },

    /// Another run writes into the output folder at this moment.
    #[error("{path} is locked: another run writes into this folder; wait for its end, or choose another output folder")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },

    /// The data ended before the last step.
    #[error(
        "step {step}: the data hold no further row of {sequence_length} tokens: \
         give more data, fewer steps or a smaller sequence_length"
    )]
    NoData {
        /// The step that found none, counted from 1.
        step: usize,
        /// Tokens per row of the recipe.
        sequence_length: usize,
    },

    /// A file or folder could not be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },

    /// A checkpoint is incomplete or damaged.
    #[error("checkpoint {checkpoint}, {file}: expected {expected}, found {found}")]
    Checkpoint {
        /// The checkpoint's folder.
        checkpoint: PathBuf,
        /// The file within it.
        file: String,
        /// What would have been accepted.
        expected: String,
        /// What is there.
        found: String,
    },

    /// A resume was asked for where no complete checkpoint exists.
    #[error("{folder} holds no complete checkpoint{}", rejected.iter().map(|r| format!("\n  skipped {r}")).collect::<String>())]
    NoCheckpoint {
        /// The folder of checkpoints.
        folder: PathBuf,
        /// Why each candidate was refused.
        rejected: Vec<String>,
    },

    /// A checkpoint was made with other data, so that its place in them has no meaning.
    #[error("`{field}` differs from the checkpoint's: expected {expected}, found {found}")]
    ResumeMismatch {
        /// The field of the recipe, or `data loader`.
        field: &'static str,
        /// Its value in the checkpoint.
        expected: String,
        /// Its value now.
        found: String,
    },

    /// A checkpoint's place in the data is none of this source.
    #[error("data position: expected {expected}, found {found}; was the checkpoint made with another kind of data?")]
    Position {
        /// What a place in this source looks like.
        expected: &'static str,
        /// What the checkpoint holds.
        found: String,
    },

    /// A line of a metrics file is no record.
    #[error("{path}, line {line}: expected a metrics record, found {found}")]
    Metrics {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// Why it was refused.
        found: String,
    },

    /// A figure could not be drawn.
    #[error("cannot draw {path}: {reason}")]
    Plot {
        /// The file.
        path: PathBuf,
        /// What failed.
        reason: String,
    },

    /// The model could not be loaded or saved.
    #[error(transparent)]
    Model(#[from] ModelError),

    /// The data could not be read.
    #[error(transparent)]
    Data(#[from] DataError),
}

impl TrainError {
    /// For `map_err`: an I/O error with the action and the path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// A refused place in the data.
    pub(crate) fn position(expected: &'static str, found: impl ToString) -> Self {
        Self::Position {
            expected,
            found: found.to_string(),
        }
    }

    /// A refused value of the recipe.
    pub(crate) fn config(field: &'static str, expected: impl Into<String>, found: impl ToString) -> Self {
        Self::Config {
            field,
            expected: expected.into(),
            found: found.to_string(),
        }
    }
}
