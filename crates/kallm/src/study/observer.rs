//! What a study reports while it goes.

use crate::training::StartObserver;
use llm_bench::EvaluationProgress;
use llm_bench::report::CurvePoint;
use smollm2_train::{DamagedMetrics, EvalRecord, MemoryEstimate, StepRecord, TrainObserver};
use std::path::Path;

/// Watches a study: which variant is being worked on, and how far that work is. `()` watches nothing.
pub trait StudyObserver: StartObserver {
    /// The variant was finished by an earlier run and is kept.
    fn kept(&mut self, variant: &str) {
        let _ = variant;
    }
    /// The variant is trained next: what watches its training.
    fn training(&mut self, variant: &str) -> &mut dyn TrainObserver;
    /// The trained variant is about to be written, which may take seconds.
    fn saving(&mut self, variant: &str) {
        let _ = variant;
    }
    /// The variant is judged next: what watches its evaluation.
    fn judging(&mut self, variant: &str) -> &mut dyn EvaluationProgress;
}

impl StudyObserver for () {
    fn training(&mut self, _variant: &str) -> &mut dyn TrainObserver {
        self
    }

    fn judging(&mut self, _variant: &str) -> &mut dyn EvaluationProgress {
        self
    }
}

/// Keeps every step and evaluation for the report, and passes everything on.
pub(super) struct Recorded<'a> {
    observer: &'a mut dyn TrainObserver,
    steps: Vec<StepRecord>,
    evaluations: Vec<EvalRecord>,
}

impl<'a> Recorded<'a> {
    pub(super) fn new(observer: &'a mut dyn TrainObserver) -> Self {
        Self {
            observer,
            steps: Vec::new(),
            evaluations: Vec::new(),
        }
    }

    /// The training loss of every step.
    pub(super) fn curve(&self) -> Vec<CurvePoint> {
        let (mut tokens, mut seconds) = (0, 0.0);
        let steps = self.steps.iter();
        steps
            .map(|step| {
                tokens += step.tokens as u64;
                seconds += step.seconds;
                CurvePoint {
                    step: step.step as u64,
                    tokens,
                    seconds,
                    loss: step.loss,
                }
            })
            .collect()
    }

    /// The loss of every evaluation, at the tokens and seconds of the step before it.
    pub(super) fn held_out_curve(&self) -> Vec<CurvePoint> {
        let curve = self.curve();
        let start = CurvePoint {
            step: 0,
            tokens: 0,
            seconds: 0.0,
            loss: 0.0,
        };
        let evaluations = self.evaluations.iter();
        evaluations
            .map(|evaluation| {
                let step = evaluation.step as u64;
                let made = curve.iter().rev().find(|point| point.step <= step);
                CurvePoint {
                    step,
                    loss: evaluation.loss,
                    ..*made.unwrap_or(&start)
                }
            })
            .collect()
    }

    /// Median tokens a second, the first step apart when there are others: it warms up.
    pub(super) fn tokens_per_second(&self) -> Option<f64> {
        let settled = if self.steps.len() > 1 {
            &self.steps[1..]
        } else {
            &self.steps[..]
        };
        let mut rates: Vec<f64> = settled.iter().map(|step| step.tokens as f64 / step.seconds).collect();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied()
    }
}

impl TrainObserver for Recorded<'_> {
    fn started(&mut self, from_step: usize, steps: usize, memory: &MemoryEstimate) {
        self.observer.started(from_step, steps, memory);
    }

    fn stepped(&mut self, step: &StepRecord, progress: &smollm2_train::RunProgress) {
        self.steps.push(step.clone());
        self.observer.stepped(step, progress);
    }

    fn evaluating(&mut self, done: usize, batches: usize) {
        self.observer.evaluating(done, batches);
    }

    fn evaluated(&mut self, evaluation: &EvalRecord) {
        self.evaluations.push(evaluation.clone());
        self.observer.evaluated(evaluation);
    }

    fn saving(&mut self, step: usize) {
        self.observer.saving(step);
    }

    fn saved(&mut self, step: usize, folder: &Path) {
        self.observer.saved(step, folder);
    }

    fn damaged_metrics(&mut self, damaged: &DamagedMetrics) {
        self.observer.damaged_metrics(damaged);
    }

    fn stop_requested(&mut self) -> bool {
        self.observer.stop_requested()
    }
}
