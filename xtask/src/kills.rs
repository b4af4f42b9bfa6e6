//! A comparison that is killed at ten random moments must end as one that never was.

use crate::shell::{cargo, root};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

const KILLS: u32 = 10;
/// Nine cells of some seconds, with checkpoints on the way.
const CHANGES: [(&str, &str); 4] = [
    ("seeds = [1, 2]", "seeds = [1, 2, 3]"),
    ("\nsteps = 8", "\nsteps = 40"),
    ("checkpoint_every = 2", "checkpoint_every = 5"),
    ("limit = 16", "limit = 64"),
];

/// Runs the plan whole, then again with kills, and compares the records of all cells.
pub(crate) fn kill_at_random() -> Result<()> {
    cargo(&["build", "--release", "--package", "examples", "--example", "compare"])?;
    let folder = root().join("target/kills");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let plan = folder.join("plan.toml");
    std::fs::write(
        &plan,
        changed(&std::fs::read_to_string(root().join("plans/small.toml"))?)?,
    )?;
    let (whole, killed) = (folder.join("whole"), folder.join("killed"));
    let start = Instant::now();
    finish(&plan, &whole)?;
    let expected = records(&whole)?;
    // Together the kills are spread over somewhat less than a whole comparison, so that each finds something to do.
    let longest = start.elapsed() / KILLS * 2;
    let mut finished = BTreeMap::new();
    for kill in 1..=KILLS {
        let pause = longest.mul_f64(random());
        kill_after(&plan, &killed, pause)?;
        check_kept(&mut finished, &killed)?;
        eprintln!(
            "killed {kill} of {KILLS} after {:.2} s: {} cells finished",
            pause.as_secs_f64(),
            finished.len()
        );
    }
    finish(&plan, &killed)?;
    check_kept(&mut finished, &killed)?;
    if records(&killed)? != expected {
        bail!("the comparison that was killed ended with other records than the one that was not");
    }
    eprintln!("{} cells, the same as without kills", expected.len());
    Ok(())
}

fn changed(plan: &str) -> Result<String> {
    let mut text = plan.to_owned();
    for (from, to) in CHANGES {
        if !text.contains(from) {
            bail!("plans/small.toml: expected `{}`", from.trim());
        }
        text = text.replacen(from, to, 1);
    }
    Ok(text)
}

fn compare(plan: &Path, output: &Path) -> Result<Command> {
    let mut command = Command::new(root().canonicalize()?.join("target/release/examples/compare"));
    command.arg("--plan").arg(plan).arg("--output-path").arg(output);
    command.arg("--report").arg(output.with_extension("html"));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command)
}

fn finish(plan: &Path, output: &Path) -> Result<()> {
    let status = compare(plan, output)?.status()?;
    if !status.success() {
        bail!("compare --plan {}: {status}", plan.display());
    }
    Ok(())
}

fn kill_after(plan: &Path, output: &Path, pause: Duration) -> Result<()> {
    let mut running = compare(plan, output)?.spawn()?;
    std::thread::sleep(pause);
    running.kill()?; // SIGKILL on Unix
    running.wait()?;
    Ok(())
}

/// From 0 to 1, from the clock: each run of this chore tries other moments, and prints them.
fn random() -> f64 {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    f64::from(now.subsec_nanos() % 1_000_003) / 1_000_003.0
}

/// A finished cell is never written again.
fn check_kept(finished: &mut BTreeMap<PathBuf, SystemTime>, output: &Path) -> Result<()> {
    for path in outcomes(output)? {
        let written = path.metadata()?.modified()?;
        let before = *finished.entry(path.clone()).or_insert(written);
        if before != written {
            bail!("{} was written twice", path.display());
        }
    }
    Ok(())
}

fn outcomes(output: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for variant in folders(output)? {
        let cells = folders(&variant)?.into_iter();
        let finished = cells
            .filter(|cell| cell.extension().is_none())
            .map(|cell| cell.join("outcome.json"));
        found.extend(finished.filter(|path| path.is_file()));
    }
    Ok(found)
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.is_dir()).collect())
}

/// The records by the place of their cell, without what the clock decides.
fn records(output: &Path) -> Result<BTreeMap<PathBuf, Value>> {
    let mut records = BTreeMap::new();
    for path in outcomes(output)? {
        let text = std::fs::read_to_string(&path)?;
        let mut record: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        let run = &mut record["run"];
        run["tokens_per_second"] = Value::Null;
        for curve in ["curve", "held_out_curve"] {
            for point in run[curve].as_array_mut().into_iter().flatten() {
                point["seconds"] = Value::Null;
            }
        }
        records.insert(path.strip_prefix(output)?.to_owned(), record);
    }
    Ok(records)
}
