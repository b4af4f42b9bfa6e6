//! cargo run --release --example evaluate -- --model M --tasks arc_easy --data-dir ROOT
//! Short: `cargo run --release --example evaluate -- --model compare-output/swiglu/seed-1/model --tasks compare-output/synthetic/seed-1/tasks/synthetic_facts.yaml --data-dir compare-output/synthetic/seed-1/data --limit 8 --apply-chat-template --output-path compare-output/results`
//!
//! Scores a model on tasks as lm-evaluation-harness does; the flags have its names and meanings.

use anyhow::{Context, Result, bail};
use clap::{ArgAction, Parser};
use examples::device::DeviceKind;
use examples::flags::{self, at_least_one};
use examples::hub::HubFlags;
use examples::progress::Tasks;
use examples::terminal::{note, print_line};
use examples::{generation, on_device, open};
use kallm::files;
use kallm::hub::{ModelSource, fetch_task_data};
use kallm::judge::{Judged, chat_prompt};
use llm_bench::task::{FolderReport, Selection};
use llm_bench::{BenchError, EvaluateOptions, Evaluation, OutputOptions, PromptOptions, Task, Turn};
use serde_json::Value;
use smollm2_model::DecoderBackend;
use smoltalk_data::ChatTokenizer;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

#[derive(Parser)]
#[command(about = "Score a model on tasks")]
struct Arguments {
    /// Folder, .gguf file or hub id.
    #[arg(long, required_unless_present_any = ["responses", "dry_run", "validate"])]
    model: Option<ModelSource>,
    /// Names of tasks, groups or tags, patterns with `*` over them, or YAML files.
    #[arg(long, value_delimiter = ',')]
    tasks: Vec<String>,
    /// Judge these responses instead of a model's: lines of JSON, `{"key": .., "response": ".."}`, to the one task named.
    #[arg(long, conflicts_with_all = [
        "model", "num_fewshot", "limit", "apply_chat_template", "system_instruction", "resume_from"])]
    responses: Option<PathBuf>,
    /// Folder of task files, whose names go before those built in.
    #[arg(long, alias = "include_path")]
    include_path: Vec<PathBuf>,
    /// Examples before each question; the task's own number without it.
    #[arg(long, alias = "num_fewshot")]
    num_fewshot: Option<usize>,
    /// Items of each task at most, or below 1 a fraction of them; for testing only.
    #[arg(long, value_parser = flags::limit)]
    limit: Option<f64>,
    /// Documents by their indices, as JSON or a file of it: {"task": [0, 7]}.
    #[arg(long, conflicts_with = "limit")]
    samples: Option<String>,
    /// Settings of generated text that replace the tasks' own: temperature=0.7,do_sample=true, or JSON.
    #[arg(long, alias = "gen_kwargs")]
    gen_kwargs: Option<String>,
    /// Ask through the chat template.
    #[arg(long, alias = "apply_chat_template")]
    apply_chat_template: bool,
    /// With the template: examples as turns of their own.
    #[arg(long, alias = "fewshot_as_multiturn", action = ArgAction::Set, default_value_t = true, num_args = 0..=1, default_missing_value = "true")]
    fewshot_as_multiturn: bool,
    /// Text of the system turn.
    #[arg(long, alias = "system_instruction")]
    system_instruction: Option<String>,
    /// Root of the data, laid out as `<dataset_path>/<config>/<split>.jsonl` or .parquet.
    #[arg(long, default_value = "data/benchmarks")]
    data_dir: PathBuf,
    /// Fetch from the hub what --data-dir lacks.
    #[arg(long)]
    hub_data: bool,
    /// Documents put to the model at a time: texts generated side by side, contexts of choices in one forward pass; also
    /// how many documents an interruption may lose. Scores do not depend on it.
    #[arg(long, alias = "batch_size", default_value_t = 8, value_parser = at_least_one)]
    batch_size: usize,
    /// Write every sample too.
    #[arg(long, alias = "log_samples", requires = "output_path")]
    log_samples: bool,
    /// Print the first prompt of each task.
    #[arg(long, alias = "write_out")]
    write_out: bool,
    /// Write answers without scores.
    #[arg(long, alias = "predict_only", requires = "output_path")]
    predict_only: bool,
    /// Write what would be asked, without a model: arguments, documents and hashes.
    #[arg(long, requires = "output_path")]
    dry_run: bool,
    /// Load every task file below a folder, and say how many load and why the others do not.
    #[arg(long)]
    validate: Option<PathBuf>,
    /// Where results go, as each task is done.
    #[arg(long, alias = "output_path")]
    output_path: Option<PathBuf>,
    /// Answers are appended here, and an interrupted evaluation resumes from it.
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
    if let Some(folder) = &arguments.validate {
        print_line(FolderReport::of(folder)?)?;
        return Ok(());
    }
    if arguments.dry_run {
        return dry_run(&arguments);
    }
    if let Some(responses) = &arguments.responses {
        return judge(&arguments, responses);
    }
    on_device!(arguments.device, |Backend, device| run::<Backend>(&arguments, &device))
}

/// Judges responses without a model; every one becomes a sample.
fn judge(arguments: &Arguments, responses: &Path) -> Result<()> {
    let Selection { tasks, .. } = selection(arguments)?;
    let [task] = &tasks[..] else {
        bail!("--responses answer one task: give its name alone to --tasks");
    };
    let mut options = options(arguments)?;
    fetch_missing(arguments, &tasks, &mut options)?;
    if let Some(output) = &mut options.output {
        files::check_folder(&output.directory)?;
        output.log_samples = true;
    }
    print_results(&llm_bench::judge_responses(task, responses, &options)?, &options)
}

fn print_results(evaluation: &Evaluation, options: &EvaluateOptions) -> Result<()> {
    print_line(table(evaluation))?;
    if let Some(output) = &options.output {
        let files = evaluation.files(&output.directory, output.log_samples);
        print_line(format_args!("written to {}", files.results.display()))?;
    }
    Ok(())
}

/// The tasks asked for, with the settings of the command line, and their groups.
fn selection(arguments: &Arguments) -> Result<Selection> {
    let mut selection = kallm::open::selection(&arguments.tasks, &arguments.include_path)?;
    if let Some(settings) = &arguments.gen_kwargs {
        let settings = generation::settings(settings)?;
        for task in &mut selection.tasks {
            task.set_generation(&settings)?;
        }
    }
    Ok(selection)
}

fn dry_run(arguments: &Arguments) -> Result<()> {
    let options = options(arguments)?;
    let selection = selection(arguments)?;
    let model = arguments
        .model
        .as_ref()
        .map(|source| arguments.hub.model(source))
        .transpose()?;
    let tokenizer = model.map(|path| ChatTokenizer::open(&path)).transpose()?;
    let chat = |turns: &[Turn], open: bool| match &tokenizer {
        Some(tokenizer) => chat_prompt(tokenizer, turns, open),
        None => Err(BenchError::Model("a chat template needs --model".into())),
    };
    let folder = arguments.output_path.clone().unwrap_or_default();
    for file in llm_bench::write_requests(&selection.tasks, &options.prompts, &chat, &folder)? {
        print_line(format_args!("written to {}", file.display()))?;
    }
    Ok(())
}

fn run<B: DecoderBackend>(arguments: &Arguments, device: &B::Device) -> Result<()> {
    if let Some(folder) = &arguments.output_path {
        files::check_folder(folder)?;
    }
    let Selection { tasks, groups } = selection(arguments)?;
    let mut options = EvaluateOptions {
        groups,
        ..options(arguments)?
    };
    fetch_missing(arguments, &tasks, &mut options)?;
    let model = arguments.model.as_ref().context("--model is missing")?;
    let engine = open::model::<B>(model, &arguments.hub, device)?;
    let mut judged = Judged::new(model.to_string(), engine).with_batch_size(arguments.batch_size);
    let mut progress = Tasks::default().with_first_prompts(arguments.write_out);
    let evaluation = llm_bench::evaluate(&mut judged, &tasks, &options, &mut progress)?;
    if let Some(speed) = judged.requests_per_second() {
        note(format_args!("{speed:.2} log-likelihood requests per second"));
    }
    print_results(&evaluation, &options)
}

fn fetch_missing(arguments: &Arguments, tasks: &[Task], options: &mut EvaluateOptions) -> Result<()> {
    if arguments.hub_data {
        fetch_task_data(tasks, &mut options.prompts, &arguments.hub.access()?)?;
    }
    Ok(())
}

fn options(arguments: &Arguments) -> Result<EvaluateOptions> {
    let prompts = PromptOptions {
        num_fewshot: arguments.num_fewshot,
        limit: arguments.limit,
        samples: arguments
            .samples
            .as_deref()
            .map(samples)
            .transpose()?
            .unwrap_or_default(),
        apply_chat_template: arguments.apply_chat_template,
        fewshot_as_multiturn: arguments.fewshot_as_multiturn,
        system_instruction: arguments.system_instruction.clone(),
        ..PromptOptions::new(&arguments.data_dir)
    };
    Ok(EvaluateOptions {
        batch_size: arguments.batch_size,
        journal: arguments.resume_from.clone(),
        output: arguments.output_path.clone().map(|directory| OutputOptions {
            directory,
            log_samples: arguments.log_samples || arguments.predict_only,
        }),
        predict_only: arguments.predict_only,
        ..EvaluateOptions::new(prompts)
    })
}

/// Indices by task, from JSON or a file of it.
fn samples(text: &str) -> Result<BTreeMap<String, BTreeSet<usize>>> {
    let json = if text.trim_start().starts_with('{') {
        text.to_owned()
    } else {
        std::fs::read_to_string(text).with_context(|| format!("--samples: {text}"))?
    };
    serde_json::from_str(&json).with_context(|| format!("--samples: {{\"task\": [0, 7]}} is expected, found {json}"))
}

fn table(evaluation: &Evaluation) -> String {
    let mut text = format!(
        "{:20} {:>7} {:>6} {:24} {:>8} {:>8}",
        "task", "version", "n-shot", "metric,filter", "value", "stderr"
    );
    for task in &evaluation.tasks {
        let version = match task.task.version() {
            Value::String(version) => version,
            version => version.to_string(),
        };
        for score in &task.scores {
            let stderr = score.stderr.map_or("N/A".to_string(), |stderr| format!("{stderr:.4}"));
            text.push_str(&format!(
                "\n{:20} {version:>7} {:>6} {:24} {:>8.4} {stderr:>8}",
                task.task.task,
                task.num_fewshot,
                score.key(),
                score.value
            ));
            // Groups of parts; each part by itself is in the results file.
            for part in score.parts.iter().filter(|part| part.name.starts_with("by ")) {
                let name = format!("  {} ({})", part.name, part.n);
                text.push_str(&format!("\n{:36} {name:24} {:>8.4}", "", part.value));
            }
        }
    }
    for group in evaluation.groups() {
        for score in &group.scores {
            let stderr = score.stderr.map_or("N/A".to_string(), |stderr| format!("{stderr:.4}"));
            let key = format!("{},{}", score.metric, score.filter);
            text.push_str(&format!(
                "\n{:20} {:>7} {:>6} {key:24} {:>8.4} {stderr:>8}",
                group.group.group, "group", "", score.value
            ));
        }
    }
    for task in &evaluation.tasks {
        for warning in task.warnings() {
            text.push_str(&format!("\nwarning: {}: {warning}", task.task.task));
        }
    }
    text
}
