//! cargo run --release --example study -- --plan plans/seed-135m.toml --dry-run
//! Short: `cargo run --release --example study -- --plan ../../plans/small.toml --cell 0 --output-path study-output`
//!
//! A study in pieces: one cell of a plan, which is one variant with one seed, on any machine that sees the study's folder;
//! then the table and the page from the folders of all cells. `compare --plan` runs all cells in one process.
//! docs/studies.md explains plans and folders, docs/deploy runs the cells on a cluster.

use anyhow::{Context, Result, bail};
use clap::{Args, Parser};
use examples::device::DeviceKind;
use examples::hub::HubFlags;
use examples::on_device;
use examples::progress::Study as Bars;
use examples::signals::Signals;
use examples::study::{Places, complete, default_output, note_locks, with_ways_out};
use examples::terminal::print_line;
use kallm::files;
use kallm::hub::ModelSource;
use kallm::study::{Cell, CellState, Study, StudyFolder, StudyPlan, report};
use smollm2_model::SmolLm2Config;
use smollm2_train::StepBackend;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "Run one cell of a study, or put all of them together")]
struct Arguments {
    /// The plan (TOML).
    #[arg(long)]
    plan: PathBuf,
    #[command(flatten)]
    job: Job,
    /// The study's folder, which all its cells share [default: NAME-output with --plan NAME.toml]
    #[arg(long)]
    output_path: Option<PathBuf>,
    /// Folder, .gguf file or hub id of a pretrained model instead of the plan's.
    #[arg(long)]
    model: Option<String>,
    /// Folder that the plan's names of data are relative to [default: the plan's]
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Fetch from the hub what the tasks' data lack.
    #[arg(long)]
    hub_data: bool,
    /// Where to compute.
    #[arg(long, default_value_t)]
    device: DeviceKind,
    #[command(flatten)]
    hub: HubFlags,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Job {
    /// Print the cells, what each costs and needs, and how far it is; open nothing.
    #[arg(long)]
    dry_run: bool,
    /// Train and judge the cell with this index, from 0; one that was interrupted continues.
    #[arg(long, value_name = "INDEX")]
    cell: Option<usize>,
    /// Print the table of all cells and write report.html into the study's folder. Needs the folder alone.
    #[arg(long)]
    merge: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let plan = StudyPlan::open(&arguments.plan)?;
    match arguments.job.cell {
        Some(index) => on_device!(arguments.device, |Backend, device| run_cell::<Backend>(
            &arguments, plan, index, &device
        )),
        None if arguments.job.merge => arguments.merge(&plan),
        None => arguments.dry_run(&plan),
    }
}

fn run_cell<B: StepBackend>(
    arguments: &Arguments,
    plan: StudyPlan,
    index: usize,
    device: &B::Device,
) -> Result<ExitCode> {
    let (places, output) = (arguments.places(), arguments.output());
    let cells = plan.cells().len();
    if index >= cells {
        bail!("--cell: expected an index from 0 to {}, found {index}", cells - 1);
    }
    files::check_folder(&output)?;
    let folder = StudyFolder::share(&output)?;
    note_locks(&folder);
    let signals = Signals::listen()?;
    let mut bars = Bars::until(&signals);
    let inputs = places.inputs(&plan, &arguments.hub, arguments.hub_data, arguments.device)?;
    let study = Study::<B>::open(plan, inputs, &folder, device, &mut bars);
    let study = study.map_err(|error| with_ways_out(error, ""))?;
    let cells = study.plan().cells();
    if !study.run_cell(&cells[index], &folder, device, &mut bars)? {
        print_line("stopped by a signal; the same command continues")?;
        return Ok(ExitCode::from(signals.received().unwrap_or(1)));
    }
    let finished = cells.iter().filter(|cell| folder.state(cell) == CellState::Finished);
    print_line(format_args!(
        "cell {index} ({}): finished; {} of {} cells are",
        cells[index],
        finished.count(),
        cells.len()
    ))?;
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    fn places(&self) -> Places {
        Places::of_plan(&self.plan, self.data_dir.as_ref(), self.model.as_ref())
    }

    fn output(&self) -> PathBuf {
        self.output_path.clone().unwrap_or_else(|| default_output(&self.plan))
    }

    fn merge(&self, plan: &StudyPlan) -> Result<ExitCode> {
        let output = self.output();
        if !output.is_dir() {
            bail!("{}: expected the folder of a study, found none", output.display());
        }
        let folder = StudyFolder::share(&output)?;
        note_locks(&folder);
        let mut report = report(plan, &folder).map_err(|error| with_ways_out(error, ""))?;
        complete(&mut report, self.device);
        print_line(report.table())?;
        files::write_whole(&folder.page(), &report.to_html()?)?;
        print_line(format_args!("\n{} has the plots", folder.page().display()))?;
        Ok(ExitCode::SUCCESS)
    }

    fn dry_run(&self, plan: &StudyPlan) -> Result<ExitCode> {
        let places = self.places();
        let pretrained = configuration(&places, plan)?;
        print_line(&plan.title)?;
        print_line(format_args!(
            "{:>5} {:20} {:>6} {:>7} {:>14} {:>12} {:>12} {:>10}  state",
            "cell", "variant", "seed", "steps", "tokens", "parameters", "memory, GiB", "disk, GiB"
        ))?;
        for cell in plan.cells() {
            print_line(self.row(plan, &cell, pretrained.as_ref()))?;
        }
        let cells = plan.cells().len();
        let tokens = plan.tokens_per_cell().saturating_mul(cells);
        print_line(format_args!("\n{cells} cells, {tokens} tokens in all"))?;
        print_line("In addition to this plan and the study's folder, each cell needs:")?;
        for (what, path) in places.all(plan) {
            print_line(format_args!("  {what:18} {}{}", path.display(), found(&path)))?;
        }
        if !plan.tasks.names.is_empty() {
            print_line(format_args!("  {:18} {}", "tasks", plan.tasks.names.join(", ")))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn row(&self, plan: &StudyPlan, cell: &Cell<'_>, pretrained: Option<&SmolLm2Config>) -> String {
        let estimate = plan.estimate(cell, pretrained);
        let (parameters, memory, disk) = match estimate {
            Some(found) => (found.parameters.to_string(), gib(found.memory.total()), gib(found.disk)),
            None => ("?".to_string(), "?".to_string(), "?".to_string()),
        };
        format!(
            "{:5} {:20} {:6} {:7} {:14} {parameters:>12} {memory:>12} {disk:>10}  {}",
            cell.index,
            cell.variant.name,
            cell.seed,
            plan.recipe.steps,
            plan.tokens_per_cell(),
            CellState::in_folder(&self.output(), cell)
        )
    }
}

/// The configuration of the pretrained model, where that is a folder with one.
fn configuration(places: &Places, plan: &StudyPlan) -> Result<Option<SmolLm2Config>> {
    let path = match places.model_source(plan) {
        Ok(Some(ModelSource::Path(path))) if path.is_dir() => path.join("config.json"),
        _ => return Ok(None),
    };
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok(Some(SmolLm2Config::from_json(&text)?))
}

fn found(path: &Path) -> &'static str {
    if path.exists() {
        ""
    } else {
        " (no such path here: a hub id, or missing)"
    }
}

fn gib(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / f64::from(1 << 30))
}
