//! Progress bars for the libraries' traits.

use indicatif::{ProgressBar, ProgressStyle};
use smollm2_train::{EvalRecord, MemoryEstimate, Progress, StepLine, StepRecord, TrainObserver};
use std::path::Path;

/// A bar with a name, counts and the time left; where standard error is no terminal, a line when it starts.
pub fn bar(name: &str, total: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:24} {bar:30} {pos}/{len} {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(total as u64)
        .with_style(style)
        .with_prefix(name.to_string());
    if bar.is_hidden() {
        eprintln!("{name}: 0/{total}");
    }
    bar
}

/// Leaves a full bar; where standard error is no terminal, a line that it is.
pub fn finish(bar: &ProgressBar) {
    bar.finish();
    if bar.is_hidden() {
        let seconds = bar.elapsed().as_secs_f64();
        eprintln!("{}: {} done in {seconds:.0} s", bar.prefix(), bar.position());
    }
}

/// Training: one line a step, or with `quiet` a bar; keeps what a report needs.
pub struct Training {
    name: String,
    quiet: bool,
    bar: Option<ProgressBar>,
    /// Every step.
    pub steps: Vec<StepRecord>,
}

impl Training {
    /// For the run `name`.
    pub fn new(name: &str, quiet: bool) -> Self {
        Self {
            name: name.to_string(),
            quiet,
            bar: None,
            steps: Vec::new(),
        }
    }

    /// Median tokens a second, the first step apart when there are others: it warms up.
    pub fn tokens_per_second(&self) -> Option<f64> {
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

impl TrainObserver for Training {
    fn started(&mut self, from_step: usize, steps: usize, memory: &MemoryEstimate) {
        if self.quiet {
            let bar = bar(&self.name, steps);
            bar.set_position(from_step as u64);
            self.bar = Some(bar);
        } else {
            eprintln!("{}: steps {from_step} to {steps}, {memory}", self.name);
        }
    }

    fn stepped(&mut self, step: &StepRecord, progress: &Progress) {
        match &self.bar {
            Some(bar) => bar.set_position(step.step as u64),
            None => eprintln!("{}", StepLine(step, progress)),
        }
        self.steps.push(step.clone());
        if step.step == progress.steps
            && let Some(bar) = &self.bar
        {
            finish(bar);
        }
    }

    fn evaluated(&mut self, evaluation: &EvalRecord) {
        if !self.quiet {
            eprintln!("held-out loss {:.4} after step {}", evaluation.loss, evaluation.step);
        }
    }

    fn saved(&mut self, step: usize, folder: &Path) {
        if !self.quiet {
            eprintln!("checkpoint of step {step}: {}", folder.display());
        }
    }

    fn skipped_checkpoint(&mut self, reason: &str) {
        eprintln!("passed over a checkpoint: {reason}");
    }
}

/// Evaluation: a bar a task.
#[derive(Default)]
pub struct Tasks {
    prefix: String,
    bar: Option<(String, ProgressBar)>,
}

impl Tasks {
    /// Bars named `prefix` and the task.
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_string(),
            bar: None,
        }
    }
}

impl llm_bench::Progress for Tasks {
    fn documents(&mut self, task: &str, done: usize, total: usize) {
        if self.bar.as_ref().is_none_or(|(name, _)| name != task) {
            let name = format!("{} {task}", self.prefix);
            self.bar = Some((task.to_string(), bar(name.trim(), total)));
        }
        if let Some((_, bar)) = &self.bar {
            bar.set_position(done as u64);
            if done == total {
                finish(bar);
            }
        }
    }
}

/// Conversion: a bar a stage.
pub fn conversion() -> impl FnMut(smollm2_model::convert::Stage, usize, usize) {
    let mut current: Option<(smollm2_model::convert::Stage, ProgressBar)> = None;
    move |stage, done, total| {
        if current.as_ref().is_none_or(|(known, _)| *known != stage) {
            let name = match stage {
                smollm2_model::convert::Stage::Calibrate => "calibrate (rows)",
                smollm2_model::convert::Stage::Fit => "fit (layers)",
            };
            current = Some((stage, bar(name, total)));
        }
        if let Some((_, bar)) = &current {
            bar.set_position(done as u64);
            if done == total {
                finish(bar);
            }
        }
    }
}
