//! What a study reports while it runs.

use super::plan::Cell;
use crate::training::StartObserver;
use llm_bench::EvaluationProgress;
use smollm2_train::TrainObserver;

/// Observes a study: the current cell and its progress. `()` ignores all events.
pub trait StudyObserver: StartObserver {
    /// The cell was finished by an earlier run, or by another process, and is kept.
    fn kept(&mut self, cell: &Cell<'_>) {
        let _ = cell;
    }
    /// The cell is trained next. Returns the observer of its training; if that asks to stop, a checkpoint is written
    /// and the study ends.
    fn training(&mut self, cell: &Cell<'_>) -> &mut dyn TrainObserver;
    /// The trained model is about to be written, which may take seconds.
    fn saving(&mut self, cell: &Cell<'_>) {
        let _ = cell;
    }
    /// The model is evaluated next. Returns the observer of its evaluation.
    fn judging(&mut self, cell: &Cell<'_>) -> &mut dyn EvaluationProgress;
}

impl StudyObserver for () {
    fn training(&mut self, _cell: &Cell<'_>) -> &mut dyn TrainObserver {
        self
    }

    fn judging(&mut self, _cell: &Cell<'_>) -> &mut dyn EvaluationProgress {
        self
    }
}
