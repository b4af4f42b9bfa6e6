//! The files about a run that are written next to its checkpoints.

use std::fmt;

use serde::{Deserialize, Serialize};
use smollm2_model::FeedForwardKind;

use super::RunOptions;
use crate::{
    Objective, TrainBackend, TrainError, Trainer,
    checkpoint::{RECIPE, RECORD},
    files,
    objective::SFT,
};

/// Names for the record of the run, which the application knows and the trainer does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunOrigin {
    /// The model that training started from: a path, or a hub id with its revision.
    pub model: String,
    /// The training data: a path, or a hub id with its revision.
    pub data: String,
    /// The held-out data: a path, a hub id, or a share of the training data. Empty: none.
    pub held_out: String,
    /// The device.
    pub device: String,
}

/// The model, data and version of a run: `run.json` in the output folder and in every checkpoint.
///
/// The contents of the data are identified by the fingerprint in the checkpoint's position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Version of this crate.
    pub version: String,
    /// The names given by the application.
    #[serde(flatten)]
    pub origin: RunOrigin,
    /// Name of the objective, [`Objective::name`]. `sft` if an older version wrote none.
    #[serde(default = "sft")]
    pub objective: String,
    /// The kinds of feed-forward in the model, each once.
    pub feed_forward: Vec<String>,
    /// Trainable parameters; a tied embedding counts once.
    pub parameters: usize,
    /// Type of the weights: `float32`, `bfloat16` or `float16`.
    pub dtype: String,
}

fn sft() -> String {
    SFT.to_owned()
}

impl<AB: TrainBackend, O: Objective<AB>> Trainer<AB, O> {
    /// The record of a run of this trainer with this origin.
    pub fn record(&self, origin: &RunOrigin) -> RunRecord {
        let model = self.model().config();
        let used = FeedForwardKind::ALL
            .into_iter()
            .filter(|kind| model.feed_forward.iter().any(|layer| layer.kind() == *kind));
        RunRecord {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            origin: origin.clone(),
            objective: self.objective.name().to_owned(),
            feed_forward: used.map(|kind| kind.name().to_owned()).collect(),
            parameters: model.num_parameters(),
            dtype: model.dtype.name().to_owned(),
        }
    }

    /// Writes the resolved recipe and the record of the run into the output folder.
    pub(super) fn describe(&self, options: &RunOptions<'_>) -> Result<(), TrainError> {
        files::replace(&options.output.join(RECIPE), self.config.to_toml()?.as_bytes())?;
        let path = options.output.join(RECORD);
        let record = serde_json::to_string_pretty(&self.record(&options.origin));
        let record = record.map_err(|error| TrainError::io("write", &path)(error.into()))?;
        files::replace(&path, record.as_bytes())
    }
}

impl fmt::Display for RunRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = &self.origin;
        writeln!(f, "smollm2-train {}, objective {}", self.version, self.objective)?;
        writeln!(
            f,
            "model {}: {}, {} parameters, {}",
            origin.model,
            self.feed_forward.join(", "),
            self.parameters,
            self.dtype
        )?;
        writeln!(f, "data {}", origin.data)?;
        if !origin.held_out.is_empty() {
            writeln!(f, "held out {}", origin.held_out)?;
        }
        write!(f, "device {}", origin.device)
    }
}
