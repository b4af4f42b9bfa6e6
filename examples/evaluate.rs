//! cargo run --release --example evaluate -- --model M --tasks arc_easy --data-dir ROOT
//! Short: `cargo run --release --example evaluate -- --model compare-output/swiglu/model --tasks compare-output/synthetic/tasks/synthetic_facts.yaml --data-dir compare-output/synthetic/data --limit 8 --apply-chat-template --output-path compare-output/results`
//!
//! Scores a model on tasks as lm-evaluation-harness does; the flags have its names and meanings.

use anyhow::Result;
use clap::{ArgAction, Parser};
use examples::device::DeviceKind;
use examples::flags::{self, at_least_one};
use examples::hub::HubFlags;
use examples::progress::Tasks;
use examples::{on_device, open, output};
use llm_bench::{EvaluateOptions, Evaluation, PromptOptions, SmolLm2Evaluator};
use smollm2_model::DecoderBackend;
use smollm2_model::weights::ModelSource;
use std::path::PathBuf;

#[derive(Parser)]
#[command(about = "Score a model on tasks")]
struct Arguments {
    /// Folder, .gguf file or hub id.
    #[arg(long)]
    model: ModelSource,
    /// Names of built-in tasks, or YAML files.
    #[arg(long, value_delimiter = ',')]
    tasks: Vec<String>,
    /// Examples before each question; the task's own number without it.
    #[arg(long)]
    num_fewshot: Option<usize>,
    /// Items of each task at most, or below 1 a fraction of them; for testing only.
    #[arg(long, value_parser = flags::limit)]
    limit: Option<f64>,
    /// Ask through the chat template.
    #[arg(long)]
    apply_chat_template: bool,
    /// With the template: examples as turns of their own.
    #[arg(long, action = ArgAction::Set, default_value_t = true, num_args = 0..=1, default_missing_value = "true")]
    fewshot_as_multiturn: bool,
    /// Text of the system turn.
    #[arg(long)]
    system_instruction: Option<String>,
    /// Root of the data, laid out as `<dataset_path>/<config>/<split>.jsonl` or .parquet.
    #[arg(long, default_value = "data/benchmarks")]
    data_dir: PathBuf,
    /// Fetch from the hub what --data-dir lacks.
    #[arg(long)]
    hub_data: bool,
    /// Documents given to the model at a time.
    #[arg(long, default_value_t = 8, value_parser = at_least_one)]
    batch_size: usize,
    /// Write every sample too.
    #[arg(long, requires = "output_path")]
    log_samples: bool,
    /// Where results go.
    #[arg(long)]
    output_path: Option<PathBuf>,
    /// Answers are appended here, and an interrupted evaluation goes on from it.
    #[arg(long)]
    resume_from: Option<PathBuf>,
    /// Where to compute.
    #[arg(long, default_value_t)]
    device: DeviceKind,
    #[command(flatten)]
    hub: HubFlags,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    on_device!(arguments.device, |Backend, device| run::<Backend>(&arguments, &device))
}

fn run<B: DecoderBackend>(arguments: &Arguments, device: &B::Device) -> Result<()> {
    if let Some(folder) = &arguments.output_path {
        output::check_folder(folder)?;
    }
    let options = options(arguments)?;
    let tasks = open::tasks(&arguments.tasks, &options.prompts)?;
    let opened = open::model::<B>(&arguments.model, &arguments.hub, device)?;
    let mut model = SmolLm2Evaluator::new(
        arguments.model.to_string(),
        opened.loaded.model,
        opened.loaded.config,
        opened.tokenizer,
        device.clone(),
    );
    let evaluation = llm_bench::evaluate(&mut model, &tasks, &options, &mut Tasks::default())?;
    print_table(&evaluation);
    if let Some(folder) = &arguments.output_path {
        let files = evaluation.write(folder, arguments.log_samples)?;
        println!("written to {}", files.results.display());
    }
    Ok(())
}

fn options(arguments: &Arguments) -> Result<EvaluateOptions> {
    let prompts = PromptOptions {
        num_fewshot: arguments.num_fewshot,
        limit: arguments.limit,
        apply_chat_template: arguments.apply_chat_template,
        fewshot_as_multiturn: arguments.fewshot_as_multiturn,
        system_instruction: arguments.system_instruction.clone(),
        hub: arguments.hub_data.then(|| arguments.hub.access()).transpose()?,
        ..PromptOptions::new(&arguments.data_dir)
    };
    Ok(EvaluateOptions {
        batch_size: arguments.batch_size,
        journal: arguments.resume_from.clone(),
        ..EvaluateOptions::new(prompts)
    })
}

fn print_table(evaluation: &Evaluation) {
    println!(
        "{:20} {:>7} {:>6} {:24} {:>8} {:>8}",
        "task", "version", "n-shot", "metric,filter", "value", "stderr"
    );
    for task in &evaluation.tasks {
        for score in &task.scores {
            let stderr = score.stderr.map_or("N/A".to_string(), |stderr| format!("{stderr:.4}"));
            println!(
                "{:20} {:>7} {:>6} {:24} {:>8.4} {stderr:>8}",
                task.task.task,
                task.task.version(),
                task.num_fewshot,
                score.key(),
                score.value
            );
        }
    }
}
