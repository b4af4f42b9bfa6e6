//! cargo run --release --example compare
//! Short: `cargo run --release --example compare -- --quick --output-path compare-output`
//!
//! The main job: trains the same SmolLM2 with different feed-forward layers, judges each on the same held-out items,
//! prints a table with intervals and paired significance, and writes `report.html`.
//!
//! Without flags everything is small, synthetic and offline. With `--model`, `--data` and `--tasks` it is the real
//! thing. The same command again continues an interrupted comparison with the first variant that is not finished. With
//! other settings, or after a rebuild, `--replace` removes the earlier comparison first.

use anyhow::{Result, bail};
use clap::Parser;
use examples::device::DeviceKind;
use examples::flags;
use examples::hub::HubFlags;
use examples::progress::{Loading, Study};
use examples::terminal::{note, print_line};
use examples::{on_device, open};
use kallm::study::{ComparisonFolder, Outcome, Setting, Start, fill, table};
use kallm::synthetic::SyntheticWorld;
use kallm::training::{PRETRAINED_GATE, held_out_rows, hold_out, kinds, with_chat_tokens};
use kallm::{files, identity};
use llm_bench::report::Report;
use llm_bench::{EvaluateOptions, PromptOptions, Task, load_split};
use serde_json::json;
use smollm2_model::weights::ModelSource;
use smollm2_model::{FeedForwardKind, SmolLm2Config};
use smollm2_train::StepBackend;
use smollm2_train::TrainConfig;
use smoltalk_data::{ChatTemplate, ChatTokenizer, LoaderConfig, Mask, Packing, Source};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Share of the conversations held out where none are given for it.
const HELD_OUT_SHARE: f64 = 0.05;

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
    let variants = arguments.variants()?;
    let output = arguments.output();
    files::check_folder(&output)?;
    arguments.check_replaced(&output)?;
    files::check_file(&arguments.report)?;
    let folder = ComparisonFolder::lock(&output)?;
    if let Some(error) = &folder.unlocked {
        note(format_args!(
            "{}: cannot be locked ({error}); make sure that no other comparison writes into this folder",
            output.display()
        ));
    }
    let setting = match &arguments.model {
        Some(model) => {
            let setting = real::<B>(arguments, model, device)?;
            settle(arguments, &setting, &folder)?;
            setting
        }
        None => {
            let world = SyntheticWorld::generate(arguments.seed, 4000);
            let setting = synthetic::<B>(arguments, &world)?;
            settle(arguments, &setting, &folder)?;
            world.write(&output.join("synthetic"))?;
            setting
        }
    };
    // Not before the folder is settled: the page's folder may lie in it.
    files::prepare_file(&arguments.report)?;
    let mut observer = Study::default();
    let outcomes = variants
        .iter()
        .map(|kind| Ok(setting.run(*kind, &folder, device, &mut observer)?));
    let outcomes = outcomes.collect::<Result<Vec<_>>>()?;
    let report = report(arguments, &setting, &outcomes)?;
    print_line(table(&report))?;
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

fn settle<B: StepBackend>(arguments: &Arguments, setting: &Setting<B>, folder: &ComparisonFolder) -> Result<()> {
    if folder.settle(&setting.resolved()?, arguments.replace)? {
        note(format_args!(
            "{}: the earlier comparison was removed",
            arguments.output().display()
        ));
    }
    Ok(())
}

impl Arguments {
    /// Two variants of one name would write into one folder.
    fn variants(&self) -> Result<Vec<FeedForwardKind>> {
        use FeedForwardKind::{GatedRational, SiluMlp, SwiGlu};
        let kinds = match (self.feed_forward.as_slice(), &self.model) {
            ([], Some(_)) => vec![SwiGlu, GatedRational],
            ([], None) => vec![SwiGlu, GatedRational, SiluMlp],
            (given, _) => given.to_vec(),
        };
        let twice = (1..kinds.len()).find(|index| kinds[..*index].contains(&kinds[*index]));
        match twice {
            Some(index) => bail!(
                "--feed-forward: expected each variant once, found {} twice",
                kinds[index]
            ),
            None => Ok(kinds),
        }
    }

    /// What is read must not be among what is removed.
    fn check_replaced(&self, output: &Path) -> Result<()> {
        let model = match &self.model {
            Some(ModelSource::Folder(path) | ModelSource::Gguf(path)) => Some(path),
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

fn report<B: StepBackend>(arguments: &Arguments, setting: &Setting<B>, outcomes: &[Outcome]) -> Result<Report> {
    let mut report = Report {
        title: "SmolLM2: which feed-forward?".to_string(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        hardware: hardware(arguments.device),
        date: date(),
        settings: settings(arguments, setting),
        ..Report::default()
    };
    fill(&mut report, outcomes)?;
    Ok(report)
}

/// A small world and a small model, from nothing.
fn synthetic<B: StepBackend>(arguments: &Arguments, world: &SyntheticWorld) -> Result<Setting<B>> {
    // A token a byte is dear: without the default system sentence a row holds three times the conversations.
    let tokenizer = ChatTokenizer::byte_level()?.with_template(ChatTemplate::chatml()?);
    let recipe = recipe(arguments, 360, 128, 16, 3e-3);
    let held_out = Source::from_conversations(world.held_out.clone());
    let mut prompts = PromptOptions::new(arguments.output().join("synthetic/data"));
    prompts.apply_chat_template = true;
    prompts.num_fewshot = Some(0);
    prompts.limit = arguments.limit.or(arguments.quick.then_some(16.0));
    let config = small_config(tokenizer.vocab_size());
    Ok(Setting {
        start_identity: serde_json::from_str(&config.to_json())?,
        data_identity: json!({ "world": world.identity()? }),
        start: Start::Scratch(Box::new(config)),
        training: Source::from_conversations(world.training.clone()),
        held_out: held_out_rows(held_out, &tokenizer, &recipe, Loading::default())?,
        tokenizer,
        recipe,
        tasks: SyntheticWorld::tasks()?,
        evaluation: EvaluateOptions {
            batch_size: 32,
            ..EvaluateOptions::new(prompts)
        },
        device: arguments.device.to_string(),
    })
}

/// SmolLM2's architecture at a size that trains in a minute.
fn small_config(vocab_size: usize) -> SmolLm2Config {
    let mut config = SmolLm2Config::smollm2_135m().with_instruct_tokens();
    config.vocab_size = vocab_size;
    config.hidden_size = 128;
    config.intermediate_size = 384;
    config.num_hidden_layers = 4;
    config.num_attention_heads = 2;
    config.num_key_value_heads = 1;
    config.head_dim = 64;
    config.max_position_embeddings = 512;
    config.feed_forward.truncate(config.num_hidden_layers);
    config
}

/// A pretrained model, real conversations and real tasks. What can be wrong is looked for before the first step.
fn real<B: StepBackend>(arguments: &Arguments, model: &ModelSource, device: &B::Device) -> Result<Setting<B>> {
    let Some(data) = &arguments.data else {
        bail!("--data is needed with --model")
    };
    let mut prompts = PromptOptions::new(&arguments.data_dir);
    prompts.hub = arguments.hub_data.then(|| arguments.hub.access()).transpose()?;
    prompts.num_fewshot = arguments.num_fewshot;
    prompts.limit = arguments.limit;
    prompts.apply_chat_template = arguments.apply_chat_template;
    let tasks = kallm::open::tasks(&arguments.tasks, &prompts)?;
    let mut recipe = recipe(arguments, 20, 512, 2, 1e-4);
    recipe.optimizer.rational_input_size = PRETRAINED_GATE;
    let (training, held_out) = conversations(arguments, data)?;
    let opened = open::model::<B>(model, &arguments.hub, device)?;
    check_swiglu(model, opened.loaded.model.config())?;
    kallm::open::check_tasks_for(&opened, &tasks, &prompts)?;
    let held_out = held_out_rows(held_out, &opened.tokenizer, &recipe, Loading::default())?;
    Ok(Setting {
        start_identity: json!(identity::of_model(&arguments.hub.model(model)?)?),
        data_identity: json!({
            "data": data,
            "held_out": identity::of_value(&held_out.iter().map(|row| &row.ids).collect::<Vec<_>>())?,
            "asked": asked(&tasks, &prompts)?,
        }),
        start: Start::Pretrained(Box::new(with_chat_tokens(opened.loaded.model, &opened.tokenizer)?)),
        held_out,
        tokenizer: opened.tokenizer,
        training,
        recipe,
        tasks,
        evaluation: EvaluateOptions {
            batch_size: 8,
            ..EvaluateOptions::new(prompts)
        },
        device: arguments.device.to_string(),
    })
}

/// The SHA-256 of each task's documents, by name.
fn asked(tasks: &[Task], prompts: &PromptOptions) -> Result<BTreeMap<String, String>> {
    let digest = |task: &Task| {
        let documents = load_split(&prompts.data_dir, prompts.hub.as_ref(), task, task.evaluated_split())?;
        Ok((task.task.clone(), identity::of_value(&documents)?))
    };
    tasks.iter().map(digest).collect()
}

/// What is trained on and what is held out.
fn conversations(arguments: &Arguments, data: &Path) -> Result<(Source, Source)> {
    let all = arguments.hub.conversations(data)?;
    Ok(match &arguments.held_out {
        Some(path) => (all, arguments.hub.conversations(path)?),
        None => hold_out(all, HELD_OUT_SHARE)?,
    })
}

/// Every variant is made from the model's SwiGLU; of another model none would be what its name says.
fn check_swiglu(model: &ModelSource, config: &SmolLm2Config) -> Result<()> {
    let found = kinds(config);
    if found != FeedForwardKind::SwiGlu.name() {
        bail!("--model {model}: expected swiglu in every layer, found {found}; give the SwiGLU model it was made from");
    }
    Ok(())
}

fn recipe(arguments: &Arguments, steps: usize, sequence_length: usize, rows: usize, rate: f64) -> TrainConfig {
    let steps = if arguments.quick { 3 } else { steps };
    let steps = arguments.steps.unwrap_or(steps);
    TrainConfig {
        steps,
        learning_rate: arguments.learning_rate.unwrap_or(rate),
        micro_batch_rows: arguments.rows.unwrap_or(rows),
        gradient_accumulation: 1,
        eval_every: 0,
        eval_rows: 16,
        checkpoint_every: 0,
        keep_checkpoints: 1,
        data: LoaderConfig {
            sequence_length: arguments.sequence_length.unwrap_or(sequence_length),
            mask: Mask::AssistantOnly,
            packing: Packing::BestFit,
            seed: arguments.seed,
            ..LoaderConfig::default()
        },
        ..TrainConfig::default()
    }
}

fn settings<B: StepBackend>(arguments: &Arguments, setting: &Setting<B>) -> Vec<(String, String)> {
    let recipe = &setting.recipe;
    let start = arguments
        .model
        .as_ref()
        .map_or("random weights".to_string(), ToString::to_string);
    [
        ("start", start),
        ("optimiser steps", recipe.steps.to_string()),
        (
            "tokens in a step",
            (recipe.data.sequence_length * recipe.micro_batch_rows).to_string(),
        ),
        ("peak learning rate", recipe.learning_rate.to_string()),
        ("loss on", "the assistant's tokens".to_string()),
        ("packing", "best fit, attention within a conversation".to_string()),
        ("seed", recipe.data.seed.to_string()),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .to_vec()
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
