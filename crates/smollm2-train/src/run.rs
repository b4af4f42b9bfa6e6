//! A complete run with steps, evaluations, checkpoints and records, from the trainer's current step to the last.

mod evaluate;
mod lock;
mod mfu;
mod observer;
mod report;
mod resume;
mod step;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use smoltalk_data::{Mismatch, PackedRow};

use crate::{
    Batch, Difference, MemoryEstimate, MetricRecord, MetricsFile, Objective, RowSource, TrainBackend, TrainError,
    Trainer, plot_loss, read_metrics,
};

pub use mfu::device_peak;
pub use observer::{EvalRecord, RunProgress, StepLine, StepRecord, TrainObserver};
pub use report::{RunOrigin, RunRecord};
pub use resume::RunState;
pub use step::StepOutcome;

/// Files of the output folder other than the recipe and the record.
const METRICS: &str = "metrics.jsonl";
const FIGURE: &str = "loss.svg";

/// Adds files to a checkpoint's folder.
pub type Companions<'a> = &'a dyn Fn(&Path) -> Result<(), TrainError>;

/// Where a run writes, and what its record contains.
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
    /// Options that write into `output`, without names and without additional files in checkpoints.
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
}

impl<AB: TrainBackend, O: Objective<AB>> Trainer<AB, O> {
    /// Trains to the last step of the recipe, or until the observer asks to stop. Evaluates on `held_out`, saves
    /// checkpoints, records and reports. Returns the last evaluation; [`Trainer::step_count`] is the last step.
    ///
    /// # Errors
    /// Before the first step, with every file as it was: [`TrainError::OtherRows`]; [`TrainError::ResumeMismatch`] when
    /// the checkpoint was made with another objective; [`TrainError::NoHeldOutTargets`]; [`TrainError::ForeignFile`]
    /// when the folder has files that no run has written and this one would replace; [`TrainError::Locked`] when
    /// another run writes into the folder; [`TrainError::UsedFolder`] when intact checkpoints are ahead of this
    /// run, or a run from the first step finds any. Later, the first error that occurs; checkpoints written before it
    /// are complete and stay. When no more data can be read, a batch cannot be used, or the held-out loss is not finite
    /// while the weights are, the steps made so far are saved first.
    pub fn run(
        &mut self,
        source: &mut dyn RowSource,
        held_out: &[PackedRow],
        options: &RunOptions<'_>,
        observer: &mut dyn TrainObserver,
    ) -> Result<Option<EvalRecord>, TrainError> {
        self.check_objective()?;
        self.check_source(source)?;
        let held_out = self.held_out(held_out)?;
        options.check_folder()?;
        let _held_to_the_end = lock::acquire(&options.output)?;
        lock::claim(&options.checkpoints(), self.step)?;
        self.describe(options)?;
        let path = options.output.join(METRICS);
        let (metrics, damaged) = MetricsFile::open(&path, self.step)?;
        if let Some(damaged) = damaged {
            observer.damaged_metrics(&damaged);
        }
        let memory = MemoryEstimate::new(self.model().config(), &self.config);
        observer.started(self.step, self.config.steps, &memory);
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

    /// Refuses to continue a run of another objective: the optimiser's moments belong to its gradients.
    fn check_objective(&self) -> Result<(), TrainError> {
        let here = self.objective.name();
        match self.loaded_objective.as_deref().filter(|there| *there != here) {
            Some(there) => Err(TrainError::ResumeMismatch {
                field: "objective".to_owned(),
                mismatch: Mismatch::new(there, here),
            }),
            None => Ok(()),
        }
    }

    /// Whether something done every `every` steps, and at the end, is due.
    fn due(&self, every: usize) -> bool {
        self.step == self.config.steps || (every > 0 && self.step.is_multiple_of(every))
    }
}

impl<AB: TrainBackend, O> Trainer<AB, O> {
    /// Refuses a source whose rows differ from those the recipe describes: the recipe's fields would have no effect.
    fn check_source(&self, source: &dyn RowSource) -> Result<(), TrainError> {
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
}

/// The steps of one call of [`Trainer::run`].
struct Session<'a, 'o, AB: TrainBackend, O> {
    trainer: &'a mut Trainer<AB, O>,
    source: &'a mut dyn RowSource,
    options: &'a RunOptions<'o>,
    observer: &'a mut dyn TrainObserver,
    metrics: MetricsFile,
    /// Step of the newest checkpoint of this run.
    saved: usize,
}

impl<AB: TrainBackend, O: Objective<AB>> Session<'_, '_, AB, O> {
    fn train(mut self, held_out: &[Batch<AB::InnerBackend>]) -> Result<Option<EvalRecord>, TrainError> {
        let (from, start, mut last) = (self.trainer.step, Instant::now(), None);
        while self.trainer.step < self.trainer.config.steps {
            let record = self.step()?;
            self.metrics.append(&MetricRecord::Train(record.clone()))?;
            self.observer.stepped(&record, &self.progress(from, start));
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

    /// The progress of a session that began after step `from`.
    fn progress(&self, from: usize, start: Instant) -> RunProgress {
        let (step, steps) = (self.trainer.step, self.trainer.config.steps);
        let pace = start.elapsed().as_secs_f64() / (step - from) as f64;
        let remaining = Duration::try_from_secs_f64(pace * (steps - step) as f64);
        RunProgress {
            steps,
            remaining: remaining.unwrap_or(Duration::MAX),
        }
    }
}
