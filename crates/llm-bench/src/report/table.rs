//! The report as text for a terminal.

use super::contents::{Report, p_text};
use super::documents::{Comparison, VariantScore};
use super::quantity::{Observed, Quantity};
use super::seeds::SeedComparison;

impl Report {
    /// The report as a table for the terminal: the answer, comparisons across seeds, scores, models of one seed on
    /// documents.
    pub fn table(&self) -> String {
        let mut parts = vec![self.headline()];
        if !self.across_seeds().is_empty() {
            parts.push(across_seeds(self));
        }
        parts.extend(self.criteria().target_loss.map(|target| convergence(self, target)));
        parts.push(scores(self));
        if !self.comparisons().is_empty() {
            parts.push(on_documents(self));
        }
        parts.join("\n\n")
    }
}

/// Rows with columns as wide as their widest cell; the first is the head. Text is set on the left, the rest on the
/// right.
fn aligned(rows: &[Vec<String>], text_columns: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(|column| width(rows, column)).collect();
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, &width))| {
            if column < text_columns {
                format!("{cell:width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Characters of a column's widest cell.
fn width(rows: &[Vec<String>], column: usize) -> usize {
    let cells = rows.iter().filter_map(|row| row.get(column));
    cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
}

fn titles(titles: &[&str]) -> Vec<String> {
    titles.iter().map(|title| (*title).to_owned()).collect()
}

fn across_seeds(report: &Report) -> String {
    let seeds: Vec<String> = report.seeds().iter().map(u64::to_string).collect();
    let mut rows = vec![titles(&[
        "quantity",
        "candidate",
        "mean difference [95 %]",
        "p, Holm",
        "sign-flip (smallest)",
        "detectable",
        "verdict",
    ])];
    rows.extend(report.across_seeds().iter().map(seeds_row));
    format!(
        "Across seeds {}: each variant less {} (Student's paired t)\n{}",
        seeds.join(", "),
        report.variants()[0].name,
        aligned(&rows, 2)
    )
}

fn seeds_row(comparison: &SeedComparison) -> Vec<String> {
    let quantity = &comparison.quantity;
    let better = if quantity.higher_is_better() {
        ""
    } else {
        ", lower is better"
    };
    let mut cells = vec![format!("{}{better}", quantity.name()), comparison.candidate.clone()];
    let Some(mean) = comparison.mean else {
        let (won, lost) = comparison.seeds_won();
        cells.push(format!(
            "better in {won}, worse in {lost} of {} seeds",
            comparison.pairs.len()
        ));
        cells.extend([p_text(comparison.p_adjusted), "sign test".to_owned(), "-".to_owned()]);
        cells.push(comparison.verdict().to_owned());
        return cells;
    };
    cells.extend([
        format!(
            "{} [{}, {}]{}",
            quantity.signed(mean.difference),
            quantity.signed(mean.interval.low),
            quantity.signed(mean.interval.high),
            quantity.unit()
        ),
        p_text(comparison.p_adjusted),
        format!(
            "{} ({})",
            p_text(mean.sign_flip.p_value),
            p_text(mean.sign_flip.smallest)
        ),
        mean.detectable.map_or("-".to_owned(), |size| quantity.amount(size)),
        comparison.verdict().to_owned(),
    ]);
    cells
}

/// Tokens that each seed needed.
fn convergence(report: &Report, target: f64) -> String {
    let quantity = Quantity::Tokens { target };
    let mut rows = vec![titles(&["variant", "reached", "each seed"])];
    rows.extend(report.variants().iter().map(|variant| {
        let observed: Vec<Observed> = variant.runs.iter().map(|run| quantity.of(run)).collect();
        let reached = observed.iter().filter(|observed| observed.value().is_some()).count();
        let each: Vec<String> = observed.iter().map(|observed| tokens(*observed)).collect();
        vec![
            variant.name.clone(),
            format!("{reached} of {}", observed.len()),
            each.join("  "),
        ]
    }));
    format!("Tokens to a held-out loss of {target} nats\n{}", aligned(&rows, 2))
}

fn tokens(observed: Observed) -> String {
    match observed {
        Observed::Value(value) => format!("{:.0}", value.exp()),
        Observed::AtLeast(bound) => format!("> {:.0}", bound.exp()),
        Observed::AtMost(bound) => format!("< {:.0}", bound.exp()),
        Observed::Missing => "-".to_owned(),
    }
}

/// One row per variant and seed.
fn scores(report: &Report) -> String {
    let trained = report.is_trained();
    let mut head = titles(if trained {
        &["variant", "seed", "parameters", "tokens/s", "held-out"]
    } else {
        &["model"]
    });
    let tasks = &report.variants()[0].runs[0].tasks;
    head.extend(
        tasks
            .iter()
            .map(|task| format!("{} ({})", task.measure.task, task.measure.metric)),
    );
    let mut rows = vec![head];
    for (index, variant) in report.variants().iter().enumerate() {
        for run in &variant.runs {
            let mut row = vec![variant.name.clone()];
            if trained {
                row.extend([
                    run.seed.to_string(),
                    variant.parameters.to_string(),
                    optional(run.tokens_per_second, 0),
                    optional(run.held_out_loss, 4),
                ]);
            }
            let tasks = report.tasks().iter().filter(|task| task.seed == run.seed);
            row.extend(tasks.map(|task| score(&task.scores[index])));
            rows.push(row);
        }
    }
    aligned(&rows, 1)
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

fn on_documents(report: &Report) -> String {
    let trained = report.is_trained();
    let mut rows = vec![titles(&[
        "task (metric)",
        "candidate",
        "difference [95 %]",
        "won / lost",
        "p, Holm",
        "p, permutation",
        "detectable",
    ])];
    let tested = report
        .comparisons()
        .iter()
        .find_map(|comparison| comparison.equivalence);
    rows[0].extend(tested.map(|_| "equivalent, p".to_owned()));
    let comparisons = report.comparisons().iter();
    rows.extend(comparisons.map(|comparison| documents_row(comparison, trained)));
    let what = if trained {
        "Trained models of one seed, document by document; what is found holds for these models"
    } else {
        "Document by document"
    };
    format!("{what} (exact McNemar, or Student's t)\n{}", aligned(&rows, 2))
}

fn documents_row(comparison: &Comparison, trained: bool) -> Vec<String> {
    let (measure, result) = (&comparison.measure, &comparison.result);
    let better = if measure.higher_is_better {
        ""
    } else {
        ", lower is better"
    };
    let seed = if trained {
        format!(", seed {}", comparison.seed)
    } else {
        String::new()
    };
    let (won, lost) = comparison.documents_won();
    let permutation = comparison.permutation.map_or(result.p_value, |test| test.p_value);
    let mut cells = vec![
        format!("{} ({}{better})", measure.task, measure.metric),
        format!("{}{seed}", comparison.candidate),
        format!(
            "{} [{}, {}]{}",
            measure.signed(result.difference),
            measure.signed(result.interval.low),
            measure.signed(result.interval.high),
            measure.unit()
        ),
        format!("{won} / {lost}"),
        p_text(comparison.p_adjusted),
        p_text(permutation),
        comparison
            .detectable()
            .map_or("-".to_owned(), |size| measure.signed(size)[1..].to_owned()),
    ];
    cells.extend(comparison.equivalence.map(|test| p_text(test.p_value)));
    cells
}
