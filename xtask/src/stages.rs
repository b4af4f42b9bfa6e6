//! Stages of a long chore, and how long each of them took.

use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// A stage's name and what it does.
pub(crate) type Stage = (&'static str, fn() -> Result<()>);

/// Runs the stages in order up to the first that fails, then prints how long each took.
pub(crate) fn run(stages: &[Stage]) -> Result<()> {
    let start = Instant::now();
    let mut times = Vec::new();
    let mut outcome = Ok(());
    for (name, stage) in stages {
        eprintln!("== {name}");
        let begun = Instant::now();
        outcome = stage().with_context(|| format!("stage `{name}`"));
        times.push((*name, begun.elapsed()));
        if outcome.is_err() {
            break;
        }
    }
    times.push(("all", start.elapsed()));
    eprint!("{}", table(&times));
    outcome
}

fn table(times: &[(&str, Duration)]) -> String {
    let width = times.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let rows = times
        .iter()
        .map(|(name, time)| format!("{name:width$}  {:6.1} s\n", time.as_secs_f64()));
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_per_stage() {
        let times = [
            ("clippy", Duration::from_millis(61_250)),
            ("all", Duration::from_secs(62)),
        ];
        assert_eq!(table(&times), "clippy    61.2 s\nall       62.0 s\n");
    }

    #[test]
    fn a_failed_stage_is_the_last() {
        let stages: [Stage; 3] = [
            ("first", || Ok(())),
            ("second", || anyhow::bail!("broken")),
            ("third", || unreachable!("the second failed")),
        ];
        let error = run(&stages).expect_err("the second stage fails");
        assert_eq!(format!("{error:#}"), "stage `second`: broken");
    }
}
