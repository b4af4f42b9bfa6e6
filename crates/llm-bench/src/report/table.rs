//! The report as text for a terminal.

use super::contents::{Report, p_text};
use super::documents::{Comparison, VariantScore};

impl Report {
    /// The report as a table for the terminal.
    pub fn table(&self) -> String {
        let mut text = scores(self);
        text.push_str(
            "\n\nmodels of one seed, paired with the first variant (exact McNemar, or Student's t; Holm-corrected)",
        );
        for comparison in self.comparisons() {
            text.push_str(&row(comparison));
        }
        text.push_str(&format!("\n\n{}", self.headline()));
        text
    }
}

/// One row per variant and seed.
fn scores(report: &Report) -> String {
    let mut text = format!(
        "{:16} {:>6} {:>10} {:>10} {:>10}",
        "variant", "seed", "parameters", "tokens/s", "held-out"
    );
    let tasks = &report.variants()[0].runs[0].tasks;
    for task in tasks {
        let (task, metric) = (&task.measure.task, &task.measure.metric);
        text.push_str(&format!(" {:>28}", format!("{task} ({metric})")));
    }
    for (index, variant) in report.variants().iter().enumerate() {
        for run in &variant.runs {
            text.push_str(&format!(
                "\n{:16} {:>6} {:>10} {:>10} {:>10}",
                variant.name,
                run.seed,
                variant.parameters,
                optional(run.tokens_per_second, 0),
                optional(run.held_out_loss, 4)
            ));
            for task in report.tasks().iter().filter(|task| task.seed == run.seed) {
                text.push_str(&format!(" {:>28}", score(&task.scores[index])));
            }
        }
    }
    text
}

fn optional(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
}

fn score(score: &VariantScore) -> String {
    match score.interval {
        Some(interval) => format!("{:.3} [{:.3}, {:.3}]", score.value, interval.low, interval.high),
        None => format!("{:.3}", score.value),
    }
}

fn row(comparison: &Comparison) -> String {
    let (measure, result) = (&comparison.measure, &comparison.result);
    let better = if measure.higher_is_better {
        ""
    } else {
        ", lower is better"
    };
    format!(
        "\n{:16} seed {:<6} {:32} difference {} [{}, {}]{}  p {}",
        comparison.candidate,
        comparison.seed,
        format!("{} ({}{better})", measure.task, measure.metric),
        measure.signed(result.difference),
        measure.signed(result.interval.low),
        measure.signed(result.interval.high),
        measure.unit(),
        p_text(comparison.p_adjusted),
    )
}
