use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use smollm2_model::weights;
use smoltalk_data::{Mismatch, PackedRow};

use super::{RowSource, RunOrigin, RunState, Trainer};
use crate::{
    Batch, Difference, EvalRecord, MemoryEstimate, Metric, Metrics, Progress, StepRecord, TrainBackend, TrainError,
    TrainObserver,
    checkpoint::{self, Checkpoint, RECIPE, RECORD},
    device_peak,
    metrics::replace,
    plot_loss, read_metrics,
};

/// Files of the output folder besides the recipe and the record.
const LOCK: &str = "run.lock";
const METRICS: &str = "metrics.jsonl";
const FIGURE: &str = "loss.svg";

/// Adds files to a checkpoint's folder.
pub type Companions<'a> = &'a dyn Fn(&Path) -> Result<(), TrainError>;

/// Where a run writes, and on what it runs.
#[derive(Clone)]
pub struct RunOptions<'a> {
    /// Folder for `checkpoints/`, `train.toml`, `run.json`, `metrics.jsonl`, `loss.svg`, and `run.lock`, which a run
    /// holds while it writes.
    pub output: PathBuf,
    /// Names for the record of the run.
    pub origin: RunOrigin,
    /// The device's name, for MFU; `None` or an unknown one records no MFU.
    pub device_name: Option<String>,
    /// Adds files to every checkpoint: the tokenizer, so that the folder is a complete model.
    pub companions: Companions<'a>,
}

impl RunOptions<'_> {
    /// Options that write into `output`, name nothing and add nothing to checkpoints.
    pub fn new(output: impl Into<PathBuf>) -> Self {
        Self {
            output: output.into(),
            origin: RunOrigin::default(),
            device_name: None,
            companions: &|_| Ok(()),
        }
    }

    /// Folder of the checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.output.join("checkpoints")
    }

    /// Refuses an output folder with files that a run would replace and that no run has written: it has neither
    /// `run.lock` nor a checkpoint.
    ///
    /// # Errors
    /// [`TrainError::ForeignFile`], naming the first; [`TrainError::Io`].
    pub fn check_folder(&self) -> Result<(), TrainError> {
        if self.output.join(LOCK).exists() || !checkpoint::list(&self.checkpoints())?.is_empty() {
            return Ok(());
        }
        let mut files = [RECIPE, RECORD, METRICS, FIGURE]
            .map(|name| self.output.join(name))
            .into_iter();
        match files.find(|path| path.exists()) {
            Some(path) => Err(TrainError::ForeignFile { path }),
            None => Ok(()),
        }
    }
}

impl<AB: TrainBackend> Trainer<AB> {
    /// Trains to the last step of the recipe, or until the observer asks to stop: evaluates on `held_out`, saves,
    /// records, reports. Returns the last evaluation; [`Trainer::step_count`] tells where the run ended.
    ///
    /// # Errors
    /// Before the first step, with every file as it was: [`TrainError::OtherRows`];
    /// [`TrainError::NoHeldOutTargets`]; [`TrainError::ForeignFile`] when the folder has files that no run has written
    /// and this one would replace; [`TrainError::Locked`] when another run writes into the folder;
    /// [`TrainError::UsedFolder`] when intact checkpoints are further on than this run, or a run from the first step
    /// finds any. Later the first that occurs; checkpoints written before it are complete and stay. When no more data
    /// can be read, a batch cannot be used, or the held-out loss is not finite while the weights are, the steps made so
    /// far are saved first.
    pub fn run(
        &mut self,
        source: &mut dyn RowSource,
        held_out: &[PackedRow],
        options: &RunOptions<'_>,
        observer: &mut dyn TrainObserver,
    ) -> Result<Option<EvalRecord>, TrainError> {
        self.check_source(source)?;
        let held_out = self.held_out(held_out)?;
        options.check_folder()?;
        let _held_to_the_end = lock(&options.output)?;
        self.claim(&options.checkpoints())?;
        self.describe(options)?;
        let path = options.output.join(METRICS);
        let (metrics, damaged) = Metrics::open(&path, self.step)?;
        if let Some(damaged) = damaged {
            observer.damaged_metrics(&damaged);
        }
        observer.started(
            self.step,
            self.config.steps,
            &MemoryEstimate::new(self.model().config(), &self.config),
        );
        let session = Session {
            saved: self.step,
            trainer: self,
            source,
            options,
            observer,
            metrics,
        };
        let last = session.train(&held_out)?;
        plot_loss(&read_metrics(&path)?, &options.output.join(FIGURE))?;
        Ok(last)
    }

    /// Refuses a source that makes other rows than the recipe describes: the recipe's fields would have no effect.
    pub(super) fn check_source(&self, source: &dyn RowSource) -> Result<(), TrainError> {
        let Some(data) = source.config() else {
            return Ok(());
        };
        match self.config.data_differences(data)?.into_iter().next() {
            Some(Difference { field, here, there }) => Err(TrainError::OtherRows {
                field,
                mismatch: Mismatch::new(here, there),
            }),
            None => Ok(()),
        }
    }

    /// Takes the folder of checkpoints into use: refuses one with checkpoints beyond this step, which would count as
    /// newer than this run's, and removes what a killed run left. A resumed run passed over damaged ones.
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

    /// Writes the resolved recipe and the record of the run into the output folder.
    fn describe(&self, options: &RunOptions<'_>) -> Result<(), TrainError> {
        replace(&options.output.join(RECIPE), self.config.to_toml()?.as_bytes())?;
        let path = options.output.join(RECORD);
        let record = serde_json::to_string_pretty(&self.record(&options.origin));
        let record = record.map_err(|error| TrainError::io("write", &path)(error.into()))?;
        replace(&path, record.as_bytes())
    }

    /// Whether something done every `every` steps, and at the end, is due.
    fn due(&self, every: usize) -> bool {
        self.step == self.config.steps || (every > 0 && self.step.is_multiple_of(every))
    }

    /// Model FLOPs utilisation: 6 per parameter and token plus `12 L H C T` for attention (Chowdhery et al., PaLM,
    /// appendix B), over the device's dense bf16 peak.
    fn mfu(&self, tokens_per_second: f64, device: Option<&str>) -> Option<f64> {
        let model = self.model().config();
        let attention = 12 * model.num_hidden_layers * model.num_attention_heads * model.head_dim;
        let per_token =
            6.0 * model.num_parameters() as f64 + attention as f64 * self.config.data.sequence_length as f64;
        Some(per_token * tokens_per_second / device_peak(device?)?)
    }

    fn held_out(&self, rows: &[PackedRow]) -> Result<Vec<Batch<AB::InnerBackend>>, TrainError> {
        let rows = &rows[..rows.len().min(self.config.eval_rows)];
        let device = self.model().device();
        // Rows of unequal length cannot share a batch; runs of equal ones do.
        let groups = rows.chunk_by(|a, b| a.ids.len() == b.ids.len());
        let batches = groups.flat_map(|group| group.chunks(self.config.micro_batch_rows));
        let batches = batches.map(|rows| Batch::from_rows(rows, &device));
        let batches: Vec<Batch<AB::InnerBackend>> = batches.collect::<Result<_, TrainError>>()?;
        batches.iter().try_for_each(|batch| self.check(batch))?;
        if !batches.is_empty() && batches.iter().all(|batch| batch.targets.is_empty()) {
            return Err(TrainError::NoHeldOutTargets);
        }
        Ok(batches)
    }

    /// Whether every weight is a finite number: weights that are not are of no use in a checkpoint.
    fn is_finite(&self) -> bool {
        let tensors = weights::named_tensors(self.model());
        tensors.values().all(|data| data.iter::<f32>().all(f32::is_finite))
    }
}

/// The steps of one call of [`Trainer::run`].
struct Session<'a, 'o, AB: TrainBackend> {
    trainer: &'a mut Trainer<AB>,
    source: &'a mut dyn RowSource,
    options: &'a RunOptions<'o>,
    observer: &'a mut dyn TrainObserver,
    metrics: Metrics,
    /// Step of the newest checkpoint of this run.
    saved: usize,
}

impl<AB: TrainBackend> Session<'_, '_, AB> {
    fn train(mut self, held_out: &[Batch<AB::InnerBackend>]) -> Result<Option<EvalRecord>, TrainError> {
        let (from, steps) = (self.trainer.step, self.trainer.config.steps);
        let (start, mut last) = (Instant::now(), None);
        while self.trainer.step < steps {
            let record = self.step()?;
            self.metrics.append(&Metric::Train(record.clone()))?;
            let pace = start.elapsed().as_secs_f64() / (self.trainer.step - from) as f64;
            let remaining = Duration::try_from_secs_f64(pace * (steps - self.trainer.step) as f64);
            let remaining = remaining.unwrap_or(Duration::MAX);
            self.observer.stepped(&record, &Progress { steps, remaining });
            if !held_out.is_empty() && self.trainer.due(self.trainer.config.eval_every) {
                last = Some(self.evaluate(held_out)?);
            }
            let stop = self.observer.stop_requested();
            if stop || self.trainer.due(self.trainer.config.checkpoint_every) {
                let position = self.source.position()?;
                self.save(self.trainer.config.keep_checkpoints, position)?;
            }
            if stop {
                break;
            }
        }
        Ok(last)
    }

    fn step(&mut self) -> Result<StepRecord, TrainError> {
        let start = Instant::now();
        let before = self.source.position()?;
        let batches = match self.batches() {
            Ok(batches) => batches,
            Err(error) => return Err(self.saved_first(self.trainer.config.keep_checkpoints, before, error)),
        };
        let learning_rate = self.trainer.config.rate(self.trainer.step);
        let tokens = batches.iter().map(Batch::tokens).sum();
        let outcome = match self.trainer.step(&batches) {
            // The data are at fault, and the weights are as they were.
            Err(error @ (TrainError::NoTargets { .. } | TrainError::BeyondModel { .. })) => {
                return Err(self.saved_first(self.trainer.config.keep_checkpoints, before, error));
            }
            outcome => outcome?,
        };
        let seconds = start.elapsed().as_secs_f64();
        let device = self.options.device_name.as_deref();
        Ok(StepRecord {
            step: self.trainer.step,
            loss: outcome.loss,
            learning_rate,
            gradient_norm: outcome.gradient_norm,
            rational_norm: Some(outcome.rational_norm),
            other_norm: Some(outcome.other_norm),
            tokens,
            target_tokens: outcome.target_tokens,
            seconds,
            mfu: self.trainer.mfu(tokens as f64 / seconds, device),
        })
    }

    /// The micro-batches of the next step.
    fn batches(&mut self) -> Result<Vec<Batch<AB>>, TrainError> {
        let (config, device) = (&self.trainer.config, self.trainer.model().device());
        let mut batches = Vec::new();
        for _ in 0..config.gradient_accumulation {
            let rows = self.source.next_rows(config.micro_batch_rows)?;
            if rows.is_empty() {
                break;
            }
            batches.push(Batch::from_rows(&rows, &device)?);
        }
        if batches.is_empty() {
            return Err(TrainError::NoData {
                step: self.trainer.step + 1,
                sequence_length: config.data.sequence_length,
            });
        }
        Ok(batches)
    }

    fn evaluate(&mut self, held_out: &[Batch<AB::InnerBackend>]) -> Result<EvalRecord, TrainError> {
        match self.trainer.evaluate_watched(held_out, self.observer) {
            Ok(evaluation) => {
                self.metrics.append(&Metric::Eval(evaluation.clone()))?;
                self.observer.evaluated(&evaluation);
                Ok(evaluation)
            }
            Err(error) if self.trainer.is_finite() => {
                let position = self.source.position()?;
                // The weights may be at fault all the same: no earlier checkpoint makes room for this one.
                Err(self.saved_first(usize::MAX, position, error))
            }
            Err(error) => Err(error),
        }
    }

    fn save(&mut self, keep: usize, position: serde_json::Value) -> Result<(), TrainError> {
        let step = self.trainer.step;
        self.metrics.sync()?;
        self.observer.saving(step);
        let folder = self
            .trainer
            .save_keeping(keep, &RunState { step, position }, self.options)?;
        self.observer.saved(step, &folder);
        self.saved = step;
        Ok(())
    }

    /// Saves the steps that no checkpoint holds yet, and returns the error that ends the run.
    fn saved_first(&mut self, keep: usize, position: serde_json::Value, error: TrainError) -> TrainError {
        if self.saved == self.trainer.step {
            return error;
        }
        match self.save(keep, position) {
            Ok(()) => error,
            Err(saving) => TrainError::Unsaved {
                error: Box::new(error),
                saving: Box::new(saving),
            },
        }
    }
}

/// The lock of an output folder: two runs would remove each other's half-written checkpoints. The system lets go of it
/// when the process ends, however it ends.
fn lock(output: &Path) -> Result<File, TrainError> {
    checkpoint::create(output)?;
    let path = output.join(LOCK);
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let file = file.map_err(TrainError::io("open", &path))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(TrainError::Locked { path }),
        // Some network file systems have no locks, which is no reason not to train.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}
