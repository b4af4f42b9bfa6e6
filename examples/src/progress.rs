//! Progress bars for the libraries' traits.

use crate::signals::Signals;
use crate::terminal::note;
use indicatif::{ProgressBar, ProgressStyle};
use kallm::hub::{TransferEvent, TransferProgress};
use kallm::study::{Cell, StudyObserver};
use kallm::training::StartObserver;
use smollm2_model::convert::Stage;
use smollm2_train::{DamagedMetrics, EvalRecord, MemoryEstimate, RunProgress, StepLine, StepRecord, TrainObserver};
use smoltalk_data::{DataError, LoaderObserver};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A bar with a name, counts and the time left; if standard error is not a terminal, a line when it starts.
pub fn bar(name: &str, total: usize) -> ProgressBar {
    styled(name, total as u64, "{prefix:24} {bar:30} {pos}/{len} {eta} left")
}

fn styled(name: &str, total: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(total).with_style(style).with_prefix(name.to_string());
    if bar.is_hidden() {
        note(format_args!("{name}: 0/{total}"));
    }
    bar
}

/// Leaves a full bar; if standard error is not a terminal, a line that the work is done.
pub fn finish(bar: &ProgressBar) {
    bar.finish();
    if bar.is_hidden() {
        let seconds = bar.elapsed().as_secs_f64();
        let (name, done) = (bar.prefix(), bar.position());
        note(format_args!("{name}: {done} done in {seconds:.0} s"));
    }
}

/// A spinner with the elapsed time, for work without progress reports: only in a terminal, and cleared when dropped.
pub struct Spinner(ProgressBar);

impl Spinner {
    /// Begins to turn.
    pub fn new(work: &str) -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::new_spinner().with_style(style);
        bar.set_message(work.to_string());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Reading and tokenising conversations: a spinner while a buffer is made, and a line for each of the first skipped
/// records.
#[derive(Default)]
pub struct Loading {
    spinner: Option<Spinner>,
    skipped: u64,
}

/// Skipped records that get a line.
const NAMED: u64 = 5;

impl LoaderObserver for Loading {
    fn tokenized(&mut self, conversations: u64, tokens: u64) {
        let spinner = self.spinner.get_or_insert_with(|| Spinner::new("tokenising"));
        if conversations.is_multiple_of(64) {
            let message = format!("tokenising: {conversations} conversations, {tokens} tokens");
            spinner.0.set_message(message);
        }
    }

    fn packed(&mut self) {
        self.spinner = None;
    }

    fn bad_record(&mut self, error: &DataError) {
        self.skipped += 1;
        self.spinner = None;
        match self.skipped {
            ..=NAMED => note(format_args!("skipped a record: {error}")),
            rest if rest == NAMED + 1 => note("further records that cannot be used are only counted"),
            _ => {}
        }
    }
}

/// Stages one after the other, with one bar each; a new name begins a new one.
#[derive(Default)]
struct Stages(Option<(String, ProgressBar)>);

impl Stages {
    fn set(&mut self, name: &str, done: usize, total: usize) {
        self.set_with(name, done as u64, total as u64, || bar(name, total));
    }

    fn convert(&mut self, stage: Stage, done: usize, total: usize) {
        let name = match stage {
            Stage::Calibrate => "calibrate (rows)",
            Stage::Fit => "fit (layers)",
        };
        self.set(name, done, total);
    }

    /// Prints a line above the bar.
    fn say(&self, line: &str) {
        match &self.0 {
            Some((_, bar)) => bar.suspend(|| note(line)),
            None => note(line),
        }
    }

    fn set_with(&mut self, name: &str, done: u64, total: u64, new: impl FnOnce() -> ProgressBar) {
        let known = self.0.take().filter(|(known, _)| known == name);
        let (_, bar) = self.0.insert(known.unwrap_or_else(|| (name.to_string(), new())));
        bar.set_position(done);
        if done == total {
            finish(bar);
            self.0 = None;
        }
    }
}

/// Training: a line for each step, or with `quiet` a bar.
pub struct Training {
    name: String,
    quiet: bool,
    bar: Option<ProgressBar>,
    stages: Stages,
    waiting: Option<Spinner>,
    stop: Option<Signals>,
}

impl Training {
    /// For the run `name`.
    pub fn new(name: &str, quiet: bool) -> Self {
        Self {
            name: name.to_string(),
            quiet,
            bar: None,
            stages: Stages::default(),
            waiting: None,
            stop: None,
        }
    }

    /// Ends the run after the step during which one of these signals is received.
    pub fn until(mut self, signals: &Signals) -> Self {
        self.stop = Some(signals.clone());
        self
    }
}

impl StartObserver for Training {
    fn reading(&mut self) -> Box<dyn LoaderObserver> {
        self.waiting = None;
        Box::new(Loading::default())
    }

    fn working(&mut self, on: &str) {
        self.waiting = Some(Spinner::new(on));
    }

    fn converting(&mut self, stage: Stage, done: usize, total: usize) {
        self.waiting = None;
        self.stages.convert(stage, done, total);
    }

    fn note(&mut self, text: &str) {
        match &self.waiting {
            Some(spinner) => spinner.0.suspend(|| note(text)),
            None => note(text),
        }
    }
}

impl TrainObserver for Training {
    fn started(&mut self, from_step: usize, steps: usize, memory: &MemoryEstimate) {
        self.waiting = None;
        if self.quiet {
            let bar = bar(&self.name, steps);
            bar.set_position(from_step as u64);
            self.bar = Some(bar);
        } else {
            note(format_args!("{}: steps {from_step} to {steps}, {memory}", self.name));
        }
    }

    fn stepped(&mut self, step: &StepRecord, progress: &RunProgress) {
        match &self.bar {
            Some(bar) => bar.set_position(step.step as u64),
            None => note(StepLine(step, progress)),
        }
        if step.step == progress.steps
            && let Some(bar) = &self.bar
        {
            finish(bar);
        }
    }

    fn evaluating(&mut self, done: usize, batches: usize) {
        self.stages
            .set(&format!("{} held-out (batches)", self.name), done, batches);
    }

    fn evaluated(&mut self, evaluation: &EvalRecord) {
        if !self.quiet {
            note(format_args!(
                "held-out loss {:.4} after step {}",
                evaluation.loss, evaluation.step
            ));
        }
    }

    fn saving(&mut self, step: usize) {
        // A bar on its way stays the only thing that is drawn.
        if self.bar.as_ref().is_none_or(ProgressBar::is_finished) {
            self.waiting = Some(Spinner::new(&format!("writing the checkpoint of step {step}")));
        }
    }

    fn saved(&mut self, step: usize, folder: &Path) {
        self.waiting = None;
        if !self.quiet {
            note(format_args!("checkpoint of step {step}: {}", folder.display()));
        }
    }

    fn damaged_metrics(&mut self, damaged: &DamagedMetrics) {
        note(format_args!(
            "metrics.jsonl: left out {} damaged lines, the first is line {} ({}); the file as it was is {}",
            damaged.lines,
            damaged.first,
            damaged.reason,
            damaged.copy.display()
        ));
    }

    fn stop_requested(&mut self) -> bool {
        self.stop.as_ref().and_then(Signals::received).is_some()
    }
}

/// Evaluation: one bar per task.
#[derive(Default)]
pub struct Tasks {
    prefix: String,
    bars: Stages,
    first_prompts: bool,
}

impl Tasks {
    /// Bars named `prefix` and the task.
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_string(),
            ..Self::default()
        }
    }

    /// Prints the first prompt of each task, and its target.
    pub fn with_first_prompts(mut self, shown: bool) -> Self {
        self.first_prompts = shown;
        self
    }
}

impl llm_bench::EvaluationProgress for Tasks {
    fn first_prompt(&mut self, task: &str, prompt: &llm_bench::Prompt) {
        if self.first_prompts {
            let context = prompt.requests.first_context();
            note(format_args!(
                "{task}, document {}:\n{context}\ntarget: {}",
                prompt.doc_id, prompt.target
            ));
        }
    }

    fn documents(&mut self, task: &str, done: usize, total: usize) {
        let name = format!("{} {task}", self.prefix);
        self.bars.set(name.trim(), done, total);
    }
}

/// Conversion: one bar per stage.
pub fn conversion() -> impl FnMut(Stage, usize, usize) {
    let mut bars = Stages::default();
    move |stage, done, total| bars.convert(stage, done, total)
}

/// A study: bars for each cell's conversion, training and evaluation.
pub struct Study {
    conversion: Stages,
    training: Option<Training>,
    waiting: Option<Spinner>,
    tasks: Tasks,
    signals: Signals,
}

impl Study {
    /// Ends the study after the step during which one of these signals is received; while nothing is trained, at once.
    pub fn until(signals: &Signals) -> Self {
        Self {
            conversion: Stages::default(),
            training: None,
            waiting: None,
            tasks: Tasks::default(),
            signals: signals.clone(),
        }
    }
}

impl StartObserver for Study {
    fn reading(&mut self) -> Box<dyn LoaderObserver> {
        self.waiting = None;
        Box::new(Loading::default())
    }

    fn working(&mut self, on: &str) {
        self.waiting = Some(Spinner::new(on));
    }

    fn converting(&mut self, stage: Stage, done: usize, total: usize) {
        self.waiting = None;
        self.conversion.convert(stage, done, total);
    }

    fn note(&mut self, text: &str) {
        note(text);
    }
}

impl StudyObserver for Study {
    fn kept(&mut self, cell: &Cell<'_>) {
        note(format_args!("{cell}: finished before, kept"));
    }

    fn training(&mut self, cell: &Cell<'_>) -> &mut dyn TrainObserver {
        self.waiting = None;
        self.signals.hold();
        let training = Training::new(&cell.to_string(), true).until(&self.signals);
        self.training.insert(training)
    }

    fn saving(&mut self, cell: &Cell<'_>) {
        self.signals.release();
        self.waiting = Some(Spinner::new(&format!("{cell}: saving")));
    }

    fn judging(&mut self, cell: &Cell<'_>) -> &mut dyn llm_bench::EvaluationProgress {
        self.waiting = None;
        self.tasks = Tasks::new(&cell.to_string());
        &mut self.tasks
    }
}

/// The comparison after a conversion: one bar.
pub fn comparison() -> impl FnMut(usize, usize) {
    let mut bars = Stages::default();
    move |done, total| bars.set("compare (rows)", done, total)
}

/// Transfers from the hub: a bar for each file, and a line for each notice.
pub fn transfers() -> TransferProgress {
    let bars = Mutex::new(Stages::default());
    TransferProgress::new(move |event| {
        // A panic while drawing leaves a bar that can still be drawn on.
        let mut bars = bars.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            TransferEvent::Bytes { file, arrived, total } => {
                let template = "{prefix:24} {bar:20} {bytes}/{total_bytes} {eta} left";
                bars.set_with(file, arrived, total, || styled(file, total, template));
            }
            notice => bars.say(&notice.to_string()),
        }
    })
}
