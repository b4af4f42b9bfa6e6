//! What a study reports while it goes.

use super::plan::Cell;
use crate::training::StartObserver;
use llm_bench::EvaluationProgress;
use smollm2_train::TrainObserver;

/// Watches a study: which cell is being worked on, and how far that work is. `()` watches nothing.
pub trait StudyObserver: StartObserver {
    /// The cell was finished by an earlier run, or by another process, and is kept.
    fn kept(&mut self, cell: &Cell<'_>) {
        let _ = cell;
    }
    /// The cell is trained next: what watches its training. Where that asks to stop, a checkpoint is written and the study
    /// ends.
    fn training(&mut self, cell: &Cell<'_>) -> &mut dyn TrainObserver;
    /// The trained model is about to be written, which may take seconds.
    fn saving(&mut self, cell: &Cell<'_>) {
        let _ = cell;
    }
    /// The model is judged next: what watches its evaluation.
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
