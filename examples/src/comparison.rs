//! Training and judging the variants of one comparison.

use crate::functions::{self, GroupFunction};
use crate::progress::{Spinner, Tasks, Training};
use crate::training;
use anyhow::{Context, Result, bail};
use burn::backend::Autodiff;
use burn::module::AutodiffModule;
use llm_bench::report::{Report, Variant, p_text};
use llm_bench::{EvaluateOptions, Evaluation, Metric, SmolLm2Evaluator, Task, paired_outcomes};
use smollm2_model::weights;
use smollm2_model::{FeedForwardKind, SmolLm2, SmolLm2Config};
use smollm2_train::StepBackend;
use smollm2_train::{ConversationRows, RunOptions, TrainConfig, Trainer};
use smoltalk_data::{ChatTokenizer, PackedRow, Source};
use std::path::PathBuf;

/// Where every variant starts.
pub enum Start<B: StepBackend> {
    /// From scratch, with the configuration's shape.
    Scratch(Box<SmolLm2Config>),
    /// From a pretrained SwiGLU model; gated rational gates are fitted on what is trained on.
    Pretrained {
        /// The weights.
        model: Box<SmolLm2<B>>,
        /// Their configuration.
        config: SmolLm2Config,
    },
}

/// All that the variants of a comparison share.
pub struct Setting<B: StepBackend> {
    /// Where every variant starts.
    pub start: Start<B>,
    /// Tokenizer and template.
    pub tokenizer: ChatTokenizer,
    /// What is trained on.
    pub training: Source,
    /// What the held-out loss is of.
    pub held_out: Vec<PackedRow>,
    /// The recipe.
    pub recipe: TrainConfig,
    /// Held-out tasks.
    pub tasks: Vec<Task>,
    /// How they are asked.
    pub evaluation: EvaluateOptions,
    /// Everything but the report goes below this.
    pub output: PathBuf,
}

/// One trained and judged variant.
pub struct Outcome {
    variant: Variant,
    evaluation: Evaluation,
    start: Vec<GroupFunction>,
    learned: Vec<GroupFunction>,
}

impl<B: StepBackend> Setting<B> {
    /// Trains one variant, saves it in the Hugging Face layout below the output folder, and judges it.
    ///
    /// # Errors
    /// Whatever training, saving or judging gives.
    pub fn run(&self, kind: FeedForwardKind, device: &B::Device) -> Result<Outcome> {
        let name = kind.name().replace('_', "-");
        let (model, config) = self.initial(kind, device)?;
        let start = functions::all(&model, &config);
        let (model, variant) = self.train(&name, model, &config)?;
        let learned = functions::all(&model, &config);
        let folder = self.output.join(&name).join("model");
        let spinner = Spinner::new(&format!("{name}: saving"));
        weights::save(&model, &config, &folder)?;
        drop(spinner);
        self.tokenizer.save(&folder)?;
        let mut evaluator = SmolLm2Evaluator::new(name.clone(), model, config, self.tokenizer.clone(), device.clone());
        let evaluation = llm_bench::evaluate(&mut evaluator, &self.tasks, &self.evaluation, &mut Tasks::new(&name))?;
        evaluation.write(&self.output.join("results"), true)?;
        Ok(Outcome {
            variant,
            evaluation,
            start,
            learned,
        })
    }

    fn train(&self, name: &str, model: SmolLm2<B>, config: &SmolLm2Config) -> Result<(SmolLm2<B>, Variant)> {
        let order = self.recipe.loader();
        let mut rows = ConversationRows::new(self.training.clone(), self.tokenizer.clone(), order)?;
        let save_tokenizer = training::tokenizer_saver(&self.tokenizer);
        let options = RunOptions {
            companions: &save_tokenizer,
            ..RunOptions::new(self.output.join(name))
        };
        // A comparison starts anew and replaces what an earlier one left here.
        if options.checkpoints().exists() {
            std::fs::remove_dir_all(options.checkpoints())?;
        }
        let mut trainer = Trainer::new(model.tracked::<Autodiff<B>>(), config.clone(), self.recipe.clone())?;
        let mut observer = Training::new(name, true);
        let last = trainer.run(&mut rows, &self.held_out, &options, &mut observer)?;
        let curve = observer.steps.iter().map(|step| (step.step as f64, step.loss));
        let variant = Variant {
            name: name.to_string(),
            parameters: config.num_parameters(),
            tokens_per_second: observer.tokens_per_second(),
            held_out_loss: last.map(|evaluation| evaluation.loss),
            curve: curve.collect(),
        };
        Ok((trainer.into_model().valid(), variant))
    }

    fn initial(&self, kind: FeedForwardKind, device: &B::Device) -> Result<(SmolLm2<B>, SmolLm2Config)> {
        match &self.start {
            Start::Scratch(config) => {
                let config = SmolLm2Config::clone(config).with_feed_forward(kind);
                // The same seed for every variant: what they share starts equal in distribution and order.
                B::seed(device, self.recipe.seed);
                Ok((config.init::<B>(device)?, config))
            }
            Start::Pretrained { model, config } => match kind {
                FeedForwardKind::SwiGlu => Ok((SmolLm2::clone(model), config.clone())),
                FeedForwardKind::GatedRational => {
                    let (data, system_prompt) = (&self.training, self.recipe.system_prompt);
                    training::to_gated_rational(SmolLm2::clone(model), config, data, &self.tokenizer, system_prompt)
                }
                _ => training::fresh_feed_forward(model, config, kind, self.recipe.seed, device),
            },
        }
    }
}

/// Puts the outcomes into a report, the first as the baseline.
///
/// # Errors
/// When there are no outcomes, or a statistic is impossible.
pub fn fill(report: &mut Report, outcomes: &[Outcome]) -> Result<()> {
    let Some(first) = outcomes.first() else {
        bail!("no variant was trained")
    };
    report.variants = outcomes.iter().map(|outcome| outcome.variant.clone()).collect();
    for (index, task) in first.evaluation.tasks.iter().enumerate() {
        let score = task
            .scores
            .first()
            .with_context(|| format!("task {} has no score", task.task.task))?;
        let evaluations: Vec<_> = outcomes
            .iter()
            .map(|outcome| &outcome.evaluation.tasks[index])
            .collect();
        report.add_task(
            &task.task.task,
            score.key().trim_end_matches(",none"),
            chance(task, score.metric),
            &paired_outcomes(&evaluations, score.metric, &score.filter)?,
        )?;
    }
    for outcome in outcomes {
        let drawn = functions::drawn(&outcome.start, &outcome.learned, 12)?;
        report.functions.extend(drawn.into_iter().map(|mut function| {
            function.label = format!("{}: {}", outcome.variant.name, function.label);
            function
        }));
    }
    Ok(())
}

/// What guessing scores: one over the number of choices, on average.
fn chance(task: &llm_bench::TaskEvaluation, metric: Metric) -> Option<f64> {
    if metric == Metric::ExactMatch {
        return None;
    }
    let choices: Vec<f64> = task
        .samples
        .iter()
        .filter_map(|sample| match &sample.answer {
            llm_bench::Answer::Choices(choices) => Some(1.0 / choices.len().max(1) as f64),
            llm_bench::Answer::Text(_) => None,
        })
        .collect();
    (!choices.is_empty()).then(|| choices.iter().sum::<f64>() / choices.len() as f64)
}

/// The report as a table for the terminal.
pub fn table(report: &Report) -> String {
    let mut text = format!(
        "{:16} {:>10} {:>10} {:>10}",
        "variant", "parameters", "tokens/s", "held-out"
    );
    for task in &report.tasks {
        text.push_str(&format!(" {:>28}", format!("{} ({})", task.task, task.metric)));
    }
    for (index, variant) in report.variants.iter().enumerate() {
        let number =
            |value: Option<f64>, digits: usize| value.map_or("-".to_string(), |value| format!("{value:.digits$}"));
        text.push_str(&format!(
            "\n{:16} {:>10} {:>10} {:>10}",
            variant.name,
            variant.parameters,
            number(variant.tokens_per_second, 0),
            number(variant.held_out_loss, 4)
        ));
        for task in &report.tasks {
            let score = &task.scores[index];
            let interval = format!(
                "{:.3} [{:.3}, {:.3}]",
                score.value, score.interval.low, score.interval.high
            );
            text.push_str(&format!(" {interval:>28}"));
        }
    }
    text.push_str("\n\npaired with the first variant (exact McNemar, Holm-corrected)");
    for comparison in &report.comparisons {
        let result = &comparison.result;
        text.push_str(&format!(
            "\n{:16} {:24} difference {:+.3} [{:+.3}, {:+.3}]  p {}",
            comparison.candidate,
            comparison.task,
            result.difference,
            result.interval.low,
            result.interval.high,
            p_text(comparison.p_adjusted),
        ));
    }
    text.push_str(&format!("\n\n{}", report.headline()));
    text
}
