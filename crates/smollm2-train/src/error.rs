//! The errors of this crate, with one variant per kind of failure.

use std::path::{Path, PathBuf};

use smollm2_model::ModelError;
use smoltalk_data::{DataError, Mismatch};

/// An error of this crate. Every variant names the place, and says what to do if that is not obvious.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The recipe is not TOML, or holds an unknown or ill-typed key.
    #[error("training configuration: {0}")]
    ConfigSyntax(#[source] Box<toml::de::Error>),

    /// A value of the recipe is invalid.
    #[error("training configuration, field `{field}`: {mismatch}")]
    Config {
        /// The field as TOML spells it, with its table (`optimizer.beta1`).
        field: &'static str,
        /// Its value.
        mismatch: Mismatch,
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
        /// The step that failed, counted from 1.
        step: usize,
        /// `loss` or `gradient norm`.
        quantity: &'static str,
        /// What was found: NaN or an infinity.
        value: f64,
    },

    /// Rows that cannot form a batch.
    #[error("rows of a batch: {0}")]
    Rows(Mismatch),

    /// A token id or a position outside the tables of the model.
    #[error(
        "step {step}: {quantity} {found}, but the model has {limit}: do the tokenizer and the model belong together?"
    )]
    BeyondModel {
        /// The step, counted from 1.
        step: usize,
        /// `token id` or `position`.
        quantity: &'static str,
        /// What the batch holds.
        found: u32,
        /// How many the model has; the largest it accepts is one less.
        limit: usize,
    },

    /// The held-out loss is not finite.
    #[error(
        "the held-out loss after step {step} is {value}: look at the held-out data. If the weights are at fault, remove \
         the checkpoint of this step and resume from an earlier one with a lower learning_rate"
    )]
    HeldOutNotFinite {
        /// Steps made.
        step: usize,
        /// What was found: NaN or an infinity.
        value: f64,
    },

    /// A run ended in an error, and the steps made before the error could not be saved either.
    #[error("{error}; the steps before it could not be saved: {saving}")]
    Unsaved {
        /// What ended the run.
        #[source]
        error: Box<TrainError>,
        /// Why no checkpoint could be written.
        saving: Box<TrainError>,
    },

    /// The source does not produce the rows that the recipe describes.
    #[error("rows, field `{field}` of the recipe: {mismatch}; make the data loader with TrainConfig::data")]
    OtherRows {
        /// The field as TOML spells it.
        field: String,
        /// Its values in the recipe and in the source.
        mismatch: Mismatch,
    },

    /// No micro-batch of a step contains a target token.
    #[error("step {step}: no token of the batch counts towards the loss; check the mask and the packing of the data")]
    NoTargets {
        /// The step, counted from 1.
        step: usize,
    },

    /// No held-out row contains a target token.
    #[error("no token of the held-out rows counts towards the loss; check their mask and packing, or hold nothing out")]
    NoHeldOutTargets,

    /// The output folder contains checkpoints of later steps, which would be taken for newer ones.
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

    /// A run would overwrite a file in its output folder that was not written by a run.
    #[error(
        "{path} exists, but no run has written into this folder; move the file away, or choose another output folder"
    )]
    ForeignFile {
        /// The file.
        path: PathBuf,
    },

    /// Another run is writing into the output folder.
    #[error(
        "{path} is locked: another run is writing into this folder; wait until it ends, or choose another output folder"
    )]
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
    #[error("checkpoint {checkpoint}, {file}: {mismatch}")]
    Checkpoint {
        /// The checkpoint's folder.
        checkpoint: PathBuf,
        /// The file within it.
        file: String,
        /// Its content, or whether it is there.
        mismatch: Mismatch,
    },

    /// The state of an optimiser does not fit the model.
    #[error("optimiser state: {0}")]
    OptimizerState(Mismatch),

    /// A run was to be resumed, but there is no complete checkpoint.
    #[error("{folder} holds no complete checkpoint{}", rejected.iter().map(|r| format!("\n  skipped {r}")).collect::<String>())]
    NoCheckpoint {
        /// The folder of checkpoints.
        folder: PathBuf,
        /// Why each candidate was refused.
        rejected: Vec<String>,
    },

    /// A checkpoint was made with other data, so that its position in the data is not valid, or with another objective.
    #[error("`{field}` differs from the checkpoint's: {mismatch}")]
    ResumeMismatch {
        /// The field of the recipe, `data loader` or `objective`.
        field: String,
        /// Its values in the checkpoint and now.
        mismatch: Mismatch,
    },

    /// A checkpoint's position is not valid for this source.
    #[error("data position: {0}; was the checkpoint made with another kind of data?")]
    Position(Mismatch),

    /// A line of a metrics file is not a record.
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
    #[error("cannot draw {path}: {source}")]
    Plot {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: Box<dyn std::error::Error + Send + Sync>,
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

    /// Rows that cannot form a batch.
    pub(crate) fn rows(expected: impl Into<String>, found: impl ToString) -> Self {
        Self::Rows(Mismatch::new(expected, found))
    }

    /// An invalid position in the data.
    pub(crate) fn position(expected: &'static str, found: impl ToString) -> Self {
        Self::Position(Mismatch::new(expected, found))
    }

    /// An invalid value of the recipe.
    pub(crate) fn config(field: &'static str, expected: impl Into<String>, found: impl ToString) -> Self {
        Self::Config {
            field,
            mismatch: Mismatch::new(expected, found),
        }
    }
}
