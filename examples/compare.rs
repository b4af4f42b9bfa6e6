//! cargo run --release --example compare
//! Short: `cargo run --release --example compare -- --quick --output-path compare-output`
//!
//! The main job: trains the same SmolLM2 with different feed-forward layers, judges each on the same held-out items,
//! prints a table with intervals and paired significance, and writes `report.html`.
//!
//! Without flags everything is small, synthetic and offline. With `--model`, `--data` and `--tasks` it is the real
//! thing. The same command again continues an interrupted comparison with the first variant that is not finished. With
//! other settings, or after a rebuild, `--replace` removes the earlier comparison first.

use anyhow::{Error, Result, bail};
use clap::Parser;
use examples::device::DeviceKind;
use examples::flags;
use examples::hub::HubFlags;
use examples::on_device;
use examples::progress::Study as Bars;
use examples::terminal::{note, print_line};
use kallm::hub::{ModelSource, fetch_task_data};
use kallm::study::{Study, StudyFolder, StudyPlan};
use kallm::synthetic::SyntheticWorld;
use kallm::{KallmError, files, open};
use llm_bench::PromptOptions;
use smollm2_model::FeedForwardKind;
use smollm2_train::StepBackend;
use std::path::{Path, PathBuf};

#[derive(Parser)]
#[command(about = "Train, judge and compare feed-forward variants of SmolLM2")]
struct Arguments {
    /// Folder, .gguf file or hub id of a pretrained model; without it a small one is trained from scratch.
    #[arg(long, requires = "data")]
    model: Option<ModelSource>,
    /// Conversations to train on: a .jsonl or .parquet file, a folder, or a hub id
    /// (`owner/name[@revision][:configuration[:split]]`); needs --model.
    #[arg(long, requires = "model")]
    data: Option<PathBuf>,
    /// Conversations for the held-out loss; without it a twentieth of the conversations of --data.
    #[arg(long, requires = "data")]
    held_out: Option<PathBuf>,
    /// Tasks to judge by: names of built-in tasks or YAML files; needs --model, which needs them.
    #[arg(long, value_delimiter = ',', requires = "model")]
    tasks: Vec<String>,
    /// Root of the tasks' data, laid out as `<dataset_path>/<config>/<split>.jsonl` or .parquet.
    #[arg(long, default_value = "data/benchmarks", requires = "model")]
    data_dir: PathBuf,
    /// Fetch from the hub what --data-dir lacks.
    #[arg(long, requires = "model")]
    hub_data: bool,
    /// Items of each task at most, or below 1 a fraction of them.
    #[arg(long, value_parser = flags::limit)]
    limit: Option<f64>,
    /// Examples before each question; the task's own number without it.
    #[arg(long, requires = "model")]
    num_fewshot: Option<usize>,
    /// Ask through the chat template; always so for the synthetic tasks.
    #[arg(long, requires = "model")]
    apply_chat_template: bool,
    /// Variants in order; the first is the baseline.
    #[arg(long, value_delimiter = ',')]
    feed_forward: Vec<FeedForwardKind>,
    /// Optimiser steps [default: 360; 20 with --model]
    #[arg(long)]
    steps: Option<usize>,
    /// Tokens in a row [default: 128; 512 with --model]
    #[arg(long)]
    sequence_length: Option<usize>,
    /// Rows in a step [default: 16; 2 with --model]
    #[arg(long)]
    rows: Option<usize>,
    /// Peak learning rate [default: 3e-3; 1e-4 with --model]
    #[arg(long, allow_negative_numbers = true)]
    learning_rate: Option<f64>,
    /// Seed of weights, data order and the synthetic world.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Where to compute.
    #[arg(long, default_value_t)]
    device: DeviceKind,
    /// Checkpoints, metrics, results and a copy of the page go here. The folder must be new, empty, or that of a
    /// comparison with the same settings, whose finished variants are kept; see --replace
    /// [default: compare-output; compare-quick-output with --quick; compare-model-output with --model]
    #[arg(long)]
    output_path: Option<PathBuf>,
    /// Remove what a comparison with other settings, or by another build of this program, left in the folder: its
    /// variants with their models, its synthetic data and its page, and nothing else.
    #[arg(long)]
    replace: bool,
    /// The page to write; the folder of the models keeps a copy.
    #[arg(long, default_value = "report.html")]
    report: PathBuf,
    /// A few steps only, to see that everything works.
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    hub: HubFlags,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    on_device!(arguments.device, |Backend, device| run::<Backend>(&arguments, &device))
}

fn run<B: StepBackend>(arguments: &Arguments, device: &B::Device) -> Result<()> {
    let output = arguments.output();
    files::check_folder(&output)?;
    arguments.check_replaced(&output)?;
    files::check_file(&arguments.report)?;
    let mut bars = Bars::default();
    let (folder, study) = settled::<B>(arguments, &output, device, &mut bars)?;
    // Not before the folder is settled: the page's folder may lie in it.
    files::prepare_file(&arguments.report)?;
    let outcomes = study.run(&folder, device, &mut bars)?;
    let mut report = study.report(&outcomes)?;
    report.command = std::env::args().collect::<Vec<_>>().join(" ");
    report.hardware = hardware(arguments.device);
    report.date = date();
    print_line(report.table())?;
    let page = report.to_html()?;
    for path in [&arguments.report, &output.join("report.html")] {
        files::write_whole(path, &page)?;
    }
    print_line(format_args!(
        "\n{} has the plots; {} a copy, the models and samples",
        arguments.report.display(),
        output.display()
    ))?;
    Ok(())
}

/// The study, and the folder that is now its own.
fn settled<B: StepBackend>(
    arguments: &Arguments,
    output: &Path,
    device: &B::Device,
    bars: &mut Bars,
) -> Result<(StudyFolder, Study<B>)> {
    let folder = StudyFolder::lock(output)?;
    if let Some(error) = &folder.unlocked {
        note(format_args!(
            "{}: cannot be locked ({error}); make sure that no other comparison writes into this folder",
            output.display()
        ));
    }
    let mut study = arguments.study::<B>(device, bars)?;
    if study.settle(&folder, arguments.replace).map_err(with_ways_out)? {
        note(format_args!("{}: the earlier comparison was removed", output.display()));
    }
    Ok((folder, study))
}

fn with_ways_out(error: KallmError) -> Error {
    match error {
        KallmError::OtherStudy { .. } => Error::msg(format!(
            "{error}; to remove its models and start again, add --replace (`cargo run --release --example compare -- \
             --replace`, after the other flags); to keep it, choose another folder with --output-path"
        )),
        other => other.into(),
    }
}

impl Arguments {
    fn study<B: StepBackend>(&self, device: &B::Device, bars: &mut Bars) -> Result<Study<B>> {
        let Some(model) = &self.model else {
            let world = SyntheticWorld::generate(self.seed, 4000);
            return Ok(Study::synthetic(self.plan(StudyPlan::synthetic()?), world, bars)?);
        };
        let Some(data) = &self.data else {
            bail!("--data is needed with --model")
        };
        let mut prompts = PromptOptions::new(&self.data_dir);
        prompts.num_fewshot = self.num_fewshot;
        prompts.apply_chat_template = self.apply_chat_template;
        let tasks = open::tasks(&self.tasks)?;
        if self.hub_data {
            fetch_task_data(&tasks, &mut prompts, &self.hub.access()?)?;
        }
        let mut plan = self.plan(StudyPlan::pretrained(tasks, prompts));
        plan.origin.model = model.to_string();
        plan.origin.data = data.display().to_string();
        let training = self.hub.conversations(data)?;
        let held_out = self.held_out.as_ref().map(|path| self.hub.conversations(path));
        let (held_out, model) = (held_out.transpose()?, self.hub.model(model)?);
        Ok(Study::pretrained(plan, &model, training, held_out, device, bars)?)
    }

    /// The plan with what the flags say instead of its defaults.
    fn plan(&self, mut plan: StudyPlan) -> StudyPlan {
        if !self.feed_forward.is_empty() {
            plan.variants.clone_from(&self.feed_forward);
        }
        let recipe = &mut plan.recipe;
        let steps = if self.quick { 3 } else { recipe.steps };
        recipe.steps = self.steps.unwrap_or(steps);
        recipe.data.sequence_length = self.sequence_length.unwrap_or(recipe.data.sequence_length);
        recipe.micro_batch_rows = self.rows.unwrap_or(recipe.micro_batch_rows);
        recipe.learning_rate = self.learning_rate.unwrap_or(recipe.learning_rate);
        recipe.data.seed = self.seed;
        let few = (self.quick && self.model.is_none()).then_some(16.0);
        plan.evaluation.prompts.limit = self.limit.or(few);
        plan.origin.device = self.device.to_string();
        plan
    }

    /// What is read must not be among what is removed.
    fn check_replaced(&self, output: &Path) -> Result<()> {
        let model = match &self.model {
            Some(ModelSource::Path(path)) => Some(path),
            _ => None,
        };
        let tasks = self.tasks.iter().map(Path::new);
        let given = [model, self.data.as_ref(), self.held_out.as_ref(), Some(&self.data_dir)];
        let mut given = given.into_iter().flatten().map(PathBuf::as_path).chain(tasks);
        match given.find(|path| self.replace && lies_in(path, output)) {
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
        let default = match self.model {
            Some(_) => "compare-model-output",
            None if self.quick => "compare-quick-output",
            None => "compare-output",
        };
        self.output_path.clone().unwrap_or_else(|| default.into())
    }
}

fn lies_in(path: &Path, folder: &Path) -> bool {
    let (path, folder) = (path.canonicalize(), folder.canonicalize());
    path.is_ok_and(|path| folder.is_ok_and(|folder| path.starts_with(folder)))
}

fn hardware(device: DeviceKind) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{device}, {cores} CPU threads, {} {}",
        std::env::consts::OS,
        std::env::consts::ARCH
    )
}

fn date() -> String {
    chrono::Local::now().format("%Y-%m-%d %H:%M").to_string()
}
