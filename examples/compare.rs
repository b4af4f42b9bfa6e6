//! cargo run --release --example compare
//! Short: `cargo run --release --example compare -- --quick --output-path compare-output`
//!
//! The main job: trains the same SmolLM2 with different feed-forward layers, each several times with different seeds,
//! judges every model on held-out items, prints what the seeds together say, and writes `report.html`.
//!
//! Without flags everything is small, synthetic and offline. With `--model`, `--data` and `--tasks` it is the real
//! thing, and with `--plan` whatever a plan says (docs/studies.md). The same command again continues an interrupted
//! comparison where it was. With other settings, or after a rebuild, `--replace` removes the earlier comparison first.

use anyhow::{Result, bail};
use clap::Parser;
use examples::device::DeviceKind;
use examples::flags;
use examples::hub::HubFlags;
use examples::on_device;
use examples::progress::Study as Bars;
use examples::signals::Signals;
use examples::study::{Places, complete, default_output, note_locks, with_ways_out};
use examples::terminal::{note, print_line};
use kallm::files;
use kallm::study::{DataPlan, HeldOutPlan, Study, StudyFolder, StudyPlan, VariantPlan, report};
use smollm2_model::FeedForwardKind;
use smollm2_train::StepBackend;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "Train, judge and compare feed-forward variants of SmolLM2")]
struct Arguments {
    /// A plan (TOML) that says everything: variants, seeds, model, data, recipe, tasks.
    #[arg(long)]
    plan: Option<PathBuf>,
    /// Folder, .gguf file or hub id of a pretrained model; without it a small one is trained from scratch. With --plan:
    /// instead of the plan's.
    #[arg(long)]
    model: Option<String>,
    /// Conversations to train on: a .jsonl or .parquet file, a folder, or a hub id
    /// (`owner/name[@revision][:configuration[:split]]`); needs --model.
    #[arg(long, requires = "model", conflicts_with = "plan")]
    data: Option<String>,
    /// Conversations for the held-out loss; without it a twentieth of the conversations of --data.
    #[arg(long, requires = "data")]
    held_out: Option<String>,
    /// Tasks to judge by: names of built-in tasks or YAML files; needs --model, which needs them.
    #[arg(long, value_delimiter = ',', requires = "data")]
    tasks: Vec<String>,
    /// Root of the tasks' data, laid out as `<dataset_path>/<config>/<split>.jsonl` or .parquet
    /// [default: data/benchmarks]. With --plan: the folder of the plan's data [default: the plan's]
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Fetch from the hub what the tasks' data lack.
    #[arg(long)]
    hub_data: bool,
    /// Items of each task at most, or below 1 a fraction of them.
    #[arg(long, value_parser = flags::limit, conflicts_with = "plan")]
    limit: Option<f64>,
    /// Examples before each question; the task's own number without it.
    #[arg(long, requires = "data")]
    num_fewshot: Option<usize>,
    /// Ask through the chat template; always so for the synthetic tasks.
    #[arg(long, requires = "data")]
    apply_chat_template: bool,
    /// Variants in order; the first is the baseline.
    #[arg(long, value_delimiter = ',', conflicts_with = "plan")]
    feed_forward: Vec<FeedForwardKind>,
    /// Every variant is trained once with each of these: the seed of fresh weights, data order and the synthetic world
    /// [default: 1,2,3]
    #[arg(long, value_delimiter = ',', conflicts_with = "plan")]
    seeds: Vec<u64>,
    /// Optimiser steps [default: 300; 20 with --model]
    #[arg(long, conflicts_with = "plan")]
    steps: Option<usize>,
    /// Tokens in a row [default: 128; 512 with --model]
    #[arg(long, conflicts_with = "plan")]
    sequence_length: Option<usize>,
    /// Rows in a step [default: 16; 2 with --model]
    #[arg(long, conflicts_with = "plan")]
    rows: Option<usize>,
    /// Peak learning rate [default: 3e-3; 1e-4 with --model]
    #[arg(long, allow_negative_numbers = true, conflicts_with = "plan")]
    learning_rate: Option<f64>,
    /// Where to compute.
    #[arg(long, default_value_t)]
    device: DeviceKind,
    /// Models, metrics, samples and a copy of the page go here. The folder must be new, empty, or that of a comparison
    /// with the same settings, whose finished models are kept; see --replace
    /// [default: compare-output; compare-quick-output with --quick; compare-model-output with --model; NAME-output with
    /// --plan NAME.toml]
    #[arg(long)]
    output_path: Option<PathBuf>,
    /// Remove what a comparison with other settings, or by another build of this program, left in the folder: its
    /// models, its synthetic data, its tokenizer and its page, and nothing else.
    #[arg(long)]
    replace: bool,
    /// The page to write; the folder of the models keeps a copy.
    #[arg(long, default_value = "report.html")]
    report: PathBuf,
    /// A few steps and two seeds only, to see that everything works.
    #[arg(long, conflicts_with = "plan")]
    quick: bool,
    #[command(flatten)]
    hub: HubFlags,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    on_device!(arguments.device, |Backend, device| run::<Backend>(&arguments, &device))
}

fn run<B: StepBackend>(arguments: &Arguments, device: &B::Device) -> Result<ExitCode> {
    let output = arguments.output();
    files::check_folder(&output)?;
    let (plan, places) = arguments.plan()?;
    arguments.check_replaced(&plan, &places, &output)?;
    files::check_file(&arguments.report)?;
    let folder = StudyFolder::lock(&output, arguments.replace)?;
    note_locks(&folder);
    let signals = Signals::listen()?;
    let mut bars = Bars::until(&signals);
    let inputs = places.inputs(&plan, &arguments.hub, arguments.hub_data, arguments.device)?;
    let study = Study::<B>::open(plan, inputs, &folder, device, &mut bars);
    let study = study.map_err(|error| with_ways_out(error, REPLACE))?;
    if study.replaced {
        note(format_args!("{}: the earlier comparison was removed", output.display()));
    }
    // Not before the folder is settled: the page's folder may lie in it.
    files::prepare_file(&arguments.report)?;
    if !study.run(&folder, device, &mut bars)? {
        print_line("stopped by a signal; the same command continues")?;
        return Ok(ExitCode::from(signals.received().unwrap_or(1)));
    }
    let mut report = report(study.plan(), &folder)?;
    complete(&mut report, arguments.device);
    print_line(report.table())?;
    let page = report.to_html()?;
    for path in [&arguments.report, &folder.page()] {
        files::write_whole(path, &page)?;
    }
    print_line(format_args!(
        "\n{} has the plots; {} a copy, the models and samples",
        arguments.report.display(),
        output.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// What may be done about another study in the folder.
const REPLACE: &str = "to remove its models and start again, add --replace (`cargo run --release --example compare -- \
                       --replace`, after the other flags); ";

impl Arguments {
    /// The plan of --plan, or the one that the other flags make.
    fn plan(&self) -> Result<(StudyPlan, Places)> {
        if let Some(path) = &self.plan {
            let places = Places::of_plan(path, self.data_dir.as_ref(), self.model.as_ref());
            return Ok((StudyPlan::open(path)?, places));
        }
        let plan = match (&self.model, &self.data) {
            (None, _) if self.data_dir.is_some() || self.hub_data => {
                bail!("--data-dir and --hub-data need --model or --plan")
            }
            (None, _) => StudyPlan::synthetic(),
            (Some(_), None) => bail!("--data is needed with --model, unless --plan has it"),
            (Some(_), Some(_)) if self.tasks.is_empty() => {
                bail!("--tasks is needed with --model, unless --plan has it")
            }
            (Some(model), Some(data)) => StudyPlan::pretrained(model, data, self.tasks.clone()),
        };
        let plan = self.adjusted(plan);
        plan.validate()?;
        Ok((plan, Places::default()))
    }

    /// The plan with what the flags say instead of its defaults.
    fn adjusted(&self, mut plan: StudyPlan) -> StudyPlan {
        if !self.feed_forward.is_empty() {
            plan.variants = self.feed_forward.iter().map(|kind| self.variant(*kind)).collect();
        }
        if self.quick {
            plan.seeds.truncate(2);
        }
        if !self.seeds.is_empty() {
            plan.seeds.clone_from(&self.seeds);
        }
        let recipe = &mut plan.recipe;
        let steps = if self.quick { 3 } else { recipe.steps };
        recipe.steps = self.steps.unwrap_or(steps);
        recipe.data.sequence_length = self.sequence_length.unwrap_or(recipe.data.sequence_length);
        recipe.micro_batch_rows = self.rows.unwrap_or(recipe.micro_batch_rows);
        recipe.learning_rate = self.learning_rate.unwrap_or(recipe.learning_rate);
        let few = (self.quick && self.model.is_none()).then_some(16.0);
        plan.tasks.limit = self.limit.or(few);
        if let DataPlan::Files(files) = &mut plan.data {
            if let Some(held_out) = &self.held_out {
                files.held_out = HeldOutPlan::Files(vec![held_out.clone()]);
            }
            let data = self.data_dir.clone();
            plan.tasks.data = data.unwrap_or_else(|| PathBuf::from("data/benchmarks"));
            plan.tasks.num_fewshot = self.num_fewshot;
            plan.tasks.apply_chat_template = self.apply_chat_template;
        }
        plan
    }

    fn variant(&self, kind: FeedForwardKind) -> VariantPlan {
        match self.model {
            Some(_) => VariantPlan::of_kind(kind),
            None => VariantPlan::fresh(kind),
        }
    }

    /// What is read must not be among what is removed.
    fn check_replaced(&self, plan: &StudyPlan, places: &Places, output: &Path) -> Result<()> {
        let named = places.all(plan).into_iter().map(|(_, path)| path);
        let mut read = named.chain(self.plan.clone());
        match read.find(|path| self.replace && lies_in(path, output)) {
            Some(path) => bail!(
                "--replace: {} lies in {}, the folder whose comparison is to be removed; choose another --output-path",
                path.display(),
                output.display()
            ),
            None => Ok(()),
        }
    }

    /// A folder holds one comparison, so each way of starting one has a folder of its own.
    fn output(&self) -> PathBuf {
        let default = match (&self.plan, &self.model) {
            (Some(plan), _) => default_output(plan),
            (None, Some(_)) => "compare-model-output".into(),
            (None, None) if self.quick => "compare-quick-output".into(),
            (None, None) => "compare-output".into(),
        };
        self.output_path.clone().unwrap_or(default)
    }
}

fn lies_in(path: &Path, folder: &Path) -> bool {
    let (path, folder) = (path.canonicalize(), folder.canonicalize());
    path.is_ok_and(|path| folder.is_ok_and(|folder| path.starts_with(folder)))
}
