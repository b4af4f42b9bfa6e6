//! cargo run --release --example compare-results -- A B
//! Short: `cargo run --release --example compare-results -- compare-output/swiglu/seed-1 compare-output/silu-mlp/seed-1 --report compare-output/results.html`
//!
//! Paired tests on any two samples files, `samples_<task>_<date>.jsonl` of `evaluate --log-samples` or of
//! lm-evaluation-harness: documents are paired by their hashes, and what differs is named. Of two folders the newest
//! file of every task is taken. Prints a table; writes JSON and a page.

use anyhow::{Result, bail};
use clap::Parser;
use examples::terminal::{note, print_line};
use kallm::files;
use llm_bench::report::Report;
use llm_bench::{PairOptions, QuestionOutcomes, SamplesFile, pair_samples};
use std::path::{Path, PathBuf};

#[derive(Parser)]
#[command(about = "Paired tests on two samples files")]
struct Arguments {
    /// Samples of the baseline: a .jsonl file, a .json file with `samples`, or a folder with samples files.
    a: PathBuf,
    /// Samples of the candidate.
    b: PathBuf,
    /// Names of the two in tables and plots, separated by a comma; without them the paths.
    #[arg(long, value_delimiter = ',', num_args = 1)]
    names: Vec<String>,
    /// Compare the documents that both have; without it all of them must be the same.
    #[arg(long)]
    common: bool,
    /// A field of the documents: those with the same value share a context and are not independent of each other.
    #[arg(long)]
    cluster: Option<String>,
    /// Also test whether scores are equivalent within so many percentage points.
    #[arg(long)]
    margin: Option<f64>,
    /// JSON to write.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Page to write.
    #[arg(long)]
    report: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let outputs = [&arguments.json, &arguments.report].into_iter().flatten();
    outputs.clone().try_for_each(|path| files::prepare_file(path))?;
    let [a, b] = names(&arguments)?;
    let outcomes = paired(&arguments)?;
    let mut report = Report::of_answers([(a, outcomes.0), (b, outcomes.1)], arguments.margin)?;
    report.title = "Two sets of answers".to_owned();
    report.command = std::env::args().collect::<Vec<_>>().join(" ");
    report.date = chrono::Local::now().format("%Y-%m-%d %H:%M").to_string();
    print_line(report.table())?;
    if let Some(path) = &arguments.json {
        files::write_whole(path, &format!("{:#}\n", report.to_json()))?;
    }
    if let Some(path) = &arguments.report {
        files::write_whole(path, &report.to_html()?)?;
    }
    for path in outputs {
        print_line(format_args!("{} is written", path.display()))?;
    }
    Ok(())
}

/// The outcomes of both on the tasks that both have.
fn paired(arguments: &Arguments) -> Result<(Vec<QuestionOutcomes>, Vec<QuestionOutcomes>)> {
    let options = PairOptions {
        common: arguments.common,
        cluster: arguments.cluster.clone(),
    };
    let (first, second) = (
        SamplesFile::read_all(&arguments.a)?,
        SamplesFile::read_all(&arguments.b)?,
    );
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for (ours, theirs) in pairs(&first, &second)? {
        let paired = pair_samples(ours, theirs, &options)?;
        for text in &paired.notes {
            note(text);
        }
        a.extend(paired.a);
        b.extend(paired.b);
    }
    Ok((a, b))
}

/// Two files whatever their tasks, or the files of folders by task.
fn pairs<'a>(first: &'a [SamplesFile], second: &'a [SamplesFile]) -> Result<Vec<(&'a SamplesFile, &'a SamplesFile)>> {
    if let ([ours], [theirs]) = (first, second) {
        return Ok(vec![(ours, theirs)]);
    }
    let mut pairs = Vec::new();
    for ours in first {
        match second.iter().find(|theirs| theirs.task() == ours.task()) {
            Some(theirs) => pairs.push((ours, theirs)),
            None => note(format_args!(
                "{}: only the first folder has samples of this task",
                ours.task()
            )),
        }
    }
    let new = second
        .iter()
        .filter(|theirs| first.iter().all(|ours| ours.task() != theirs.task()));
    for theirs in new {
        note(format_args!(
            "{}: only the second folder has samples of this task",
            theirs.task()
        ));
    }
    if pairs.is_empty() {
        bail!(
            "the folders have no task in common: the first has {}, the second {}; evaluate both on the same tasks",
            tasks(first),
            tasks(second)
        );
    }
    Ok(pairs)
}

fn tasks(files: &[SamplesFile]) -> String {
    let tasks: Vec<&str> = files.iter().map(SamplesFile::task).collect();
    tasks.join(", ")
}

fn names(arguments: &Arguments) -> Result<[String; 2]> {
    let paths = [&arguments.a, &arguments.b].map(|path| path.display().to_string());
    match arguments.names.as_slice() {
        [] if paths[0] != paths[1] => Ok(short(&arguments.a, &arguments.b).unwrap_or(paths)),
        [a, b] if a != b => Ok([a.clone(), b.clone()]),
        [] => bail!(
            "both paths are {}; name the two with --names A,B to compare a file with itself",
            paths[0]
        ),
        other => bail!("--names: two different names are expected, separated by a comma, found {other:?}"),
    }
}

/// The first folders or files in which two paths differ, from the right.
fn short(a: &Path, b: &Path) -> Option<[String; 2]> {
    let mut components = a.components().rev().zip(b.components().rev());
    let (a, b) = components.find(|(a, b)| a != b)?;
    Some([a, b].map(|component| component.as_os_str().to_string_lossy().into_owned()))
}
