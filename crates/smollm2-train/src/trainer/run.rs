use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::ErrorKind,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use burn::tensor::backend::BackendTypes;
use serde::{Deserialize, Serialize};
use smoltalk_data::{Batch, PackedRow};

use super::Trainer;
use crate::{
    EvalRecord, MemoryEstimate, Metric, Metrics, Progress, StepRecord, TrainBackend, TrainConfig, TrainError,
    TrainObserver,
    checkpoint::{self, Checkpoint},
    device_peak,
    loss::Targets,
    plot_loss, read_metrics,
};

/// Where training rows come from, in a fixed order that can be entered anywhere.
pub trait RowSource {
    /// The next rows, fewer than `count` only where the data end.
    ///
    /// # Errors
    /// Whatever reading them meets.
    fn next_rows(&mut self, count: usize) -> Result<Vec<PackedRow>, TrainError>;

    /// Where the next row stands, as JSON for a checkpoint.
    ///
    /// # Errors
    /// [`TrainError::Position`] when the place cannot be written down.
    fn position(&self) -> Result<serde_json::Value, TrainError>;

    /// Goes to a place [`RowSource::position`] gave.
    ///
    /// # Errors
    /// [`TrainError::Position`] when it is no place of such a source; whatever reading up to it meets.
    fn resume(&mut self, position: &serde_json::Value) -> Result<(), TrainError>;
}

/// What a checkpoint holds beside weights, optimiser and recipe. Training draws no random number outside the data
/// order, which the recipe's seed and the position determine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunState {
    /// Steps made.
    pub step: usize,
    /// Place in the data.
    pub position: serde_json::Value,
}

/// Adds files to a checkpoint's folder.
pub type Companions<'a> = &'a dyn Fn(&Path) -> Result<(), TrainError>;

/// Where a run writes, and on what it runs.
#[derive(Clone)]
pub struct RunOptions<'a> {
    /// Folder for `checkpoints/`, `metrics.jsonl`, `loss.svg`, and `run.lock`, which a run holds while it writes.
    pub output: PathBuf,
    /// The device's name, for MFU; `None` or an unknown one records no MFU.
    pub device_name: Option<String>,
    /// Adds files to every checkpoint: the tokenizer, so that the folder is a complete model.
    pub companions: Companions<'a>,
}

impl RunOptions<'_> {
    /// Options that write into `output` and add nothing to checkpoints.
    pub fn new(output: impl Into<PathBuf>) -> Self {
        Self {
            output: output.into(),
            device_name: None,
            companions: &|_| Ok(()),
        }
    }

    /// Folder of the checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.output.join("checkpoints")
    }
}

impl<AB: TrainBackend> Trainer<AB> {
    /// Goes on from the newest complete checkpoint of `options`, data included; damaged ones are reported and passed
    /// over.
    ///
    /// # Errors
    /// [`TrainError::NoCheckpoint`], [`TrainError::Position`]; otherwise as [`Trainer::load`].
    pub fn resume(
        config: TrainConfig,
        device: &<AB as BackendTypes>::Device,
        source: &mut dyn RowSource,
        options: &RunOptions<'_>,
        observer: &mut dyn TrainObserver,
    ) -> Result<Self, TrainError> {
        let found = checkpoint::latest(&options.checkpoints())?;
        found
            .rejected
            .iter()
            .for_each(|reason| observer.skipped_checkpoint(reason));
        let (trainer, state) = Self::load(&found.checkpoint.folder, config, device)?;
        source.resume(&state.position)?;
        Ok(trainer)
    }

    /// Trains to the last step of the recipe: evaluates on `held_out`, saves, records, reports. Returns the last
    /// evaluation.
    ///
    /// # Errors
    /// Before the first step, with every file as it was: [`TrainError::NoHeldOutTargets`]; [`TrainError::Locked`] when
    /// another run writes into the folder; [`TrainError::UsedFolder`] when intact checkpoints are further on than this
    /// run, or a run from the first step finds any. Later the first that occurs; checkpoints written before it are
    /// complete and stay.
    pub fn run(
        &mut self,
        source: &mut dyn RowSource,
        held_out: &[PackedRow],
        options: &RunOptions<'_>,
        observer: &mut dyn TrainObserver,
    ) -> Result<Option<EvalRecord>, TrainError> {
        let held_out = self.held_out(held_out)?;
        let _held_to_the_end = lock(&options.output)?;
        let root = options.checkpoints();
        self.claim(&root)?;
        let path = options.output.join("metrics.jsonl");
        let mut metrics = Metrics::open(&path, self.step)?;
        let (from, steps) = (self.step, self.config.steps);
        observer.started(from, steps, &MemoryEstimate::new(&self.model_config, &self.config));
        let (start, mut last) = (Instant::now(), None);
        while self.step < steps {
            let record = self.timed_step(source, options)?;
            metrics.append(&Metric::Train(record.clone()))?;
            let pace = start.elapsed().as_secs_f64() / (self.step - from) as f64;
            let remaining = Duration::try_from_secs_f64(pace * (steps - self.step) as f64).unwrap_or_default();
            observer.stepped(&record, &Progress { steps, remaining });
            if !held_out.is_empty() && self.due(self.config.eval_every) {
                let evaluation = self.evaluate_watched(&held_out, observer)?;
                metrics.append(&Metric::Eval(evaluation.clone()))?;
                observer.evaluated(&evaluation);
                last = Some(evaluation);
            }
            if self.due(self.config.checkpoint_every) {
                metrics.sync()?;
                let (step, position) = (self.step, source.position()?);
                let state = RunState { step, position };
                observer.saving(step);
                let folder = self.save(&root, &state, options.companions)?;
                observer.saved(step, &folder);
            }
        }
        plot_loss(&read_metrics(&path)?, &options.output.join("loss.svg"))?;
        Ok(last)
    }

    /// Takes the folder of checkpoints into use: refuses one with checkpoints beyond this step, which would count as
    /// newer than this run's, and removes what a killed run left. A run that goes on passed over damaged ones.
    fn claim(&self, root: &Path) -> Result<(), TrainError> {
        checkpoint::create(root)?;
        let beyond = |found: &Checkpoint| {
            found.step > self.step && (self.step == 0 || checkpoint::verify(&found.folder).is_ok())
        };
        match checkpoint::list(root)?.into_iter().rev().find(beyond) {
            Some(newest) => Err(TrainError::UsedFolder {
                path: root.to_owned(),
                from: self.step,
                step: newest.step,
            }),
            None => checkpoint::remove_partial(root),
        }
    }

    /// Whether something done every `every` steps, and at the end, is due.
    fn due(&self, every: usize) -> bool {
        self.step == self.config.steps || (every > 0 && self.step.is_multiple_of(every))
    }

    fn timed_step(&mut self, source: &mut dyn RowSource, options: &RunOptions<'_>) -> Result<StepRecord, TrainError> {
        let start = Instant::now();
        let device = self.device();
        let mut batches = Vec::with_capacity(self.config.gradient_accumulation);
        for _ in 0..self.config.gradient_accumulation {
            let rows = source.next_rows(self.config.micro_batch_rows)?;
            if !rows.is_empty() {
                batches.push(Batch::<AB>::from_rows(&rows, &device)?);
            }
        }
        if batches.is_empty() {
            return Err(TrainError::NoData {
                step: self.step + 1,
                sequence_length: self.config.sequence_length,
            });
        }
        let learning_rate = self.config.rate(self.step);
        let tokens = batches
            .iter()
            .map(|batch| batch.ids.dims().iter().product::<usize>())
            .sum();
        let outcome = self.step(&batches)?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(StepRecord {
            step: self.step,
            loss: outcome.loss,
            learning_rate,
            gradient_norm: outcome.gradient_norm,
            tokens,
            target_tokens: outcome.target_tokens,
            seconds,
            mfu: self.mfu(tokens as f64 / seconds, options.device_name.as_deref()),
        })
    }

    /// Model FLOPs utilisation: 6 per parameter and token plus `12 L H C T` for attention (Chowdhery et al., PaLM,
    /// appendix B), over the device's dense bf16 peak.
    fn mfu(&self, tokens_per_second: f64, device: Option<&str>) -> Option<f64> {
        let model = &self.model_config;
        let attention = 12 * model.num_hidden_layers * model.num_attention_heads * model.head_dim;
        let per_token = 6 * model.num_parameters() + attention * self.config.sequence_length;
        Some(per_token as f64 * tokens_per_second / device_peak(device?)?)
    }

    fn held_out(&self, rows: &[PackedRow]) -> Result<Vec<Batch<AB::InnerBackend>>, TrainError> {
        let rows = &rows[..rows.len().min(self.config.eval_rows)];
        let device = self.device();
        // Rows of unequal length cannot share a batch; runs of equal ones do.
        let groups = rows.chunk_by(|a, b| a.ids.len() == b.ids.len());
        let batches = groups.flat_map(|group| group.chunks(self.config.micro_batch_rows));
        let batches = batches.map(|rows| Ok(Batch::from_rows(rows, &device)?));
        let batches: Vec<Batch<AB::InnerBackend>> = batches.collect::<Result<_, TrainError>>()?;
        if !batches.is_empty() && batches.iter().all(|batch| Targets::of(batch).is_empty()) {
            return Err(TrainError::NoHeldOutTargets);
        }
        Ok(batches)
    }

    fn device(&self) -> <AB as BackendTypes>::Device {
        self.model().model.embed_tokens.weight.val().device()
    }
}

/// The lock of an output folder: two runs would remove each other's half-written checkpoints. The system lets go of it
/// when the process ends, however it ends.
fn lock(output: &Path) -> Result<File, TrainError> {
    fs::create_dir_all(output).map_err(TrainError::io("create", output))?;
    let path = output.join("run.lock");
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let file = file.map_err(TrainError::io("open", &path))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(TrainError::Locked { path }),
        // Some network file systems have no locks, which is no reason not to train.
        Err(TryLockError::Error(error)) if error.kind() != ErrorKind::Unsupported => {
            Err(TrainError::io("lock", &path)(error))
        }
        _ => Ok(file),
    }
}
