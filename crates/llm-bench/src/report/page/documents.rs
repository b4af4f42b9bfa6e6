//! Scores, and what can be said about two trained models: comparisons document by document.

use super::{metric, number, series};
use crate::report::contents::{Report, p_text};
use crate::report::documents::{Comparison, TaskScores};
use crate::report::html::{escape, head, named, optional, table, thousands};
use crate::report::plot::forest::{self, Row};
use crate::{BenchError, Scale};

/// Scores of the models of one seed, or means over seeds.
pub(super) fn scores(report: &Report) -> String {
    if report.tasks().is_empty() {
        return String::new();
    }
    let seeds = report.seeds().len();
    let mut titles = head(&["task", "metric", "documents"]);
    let variants = report.variants().iter().enumerate();
    titles.extend(variants.map(|(index, variant)| named(index, &variant.name)));
    titles.push("chance".to_owned());
    let (note, rows) = if seeds == 1 {
        let rows: Vec<_> = report.tasks().iter().map(scores_row).collect();
        (
            "below it Wilson’s 95% interval, or Student’s for a mean of other numbers. The intervals are for each score \
             alone: whether two models differ is the question of a paired comparison, because both answered the same \
             documents.",
            rows,
        )
    } else {
        let measures = report.tasks().len() / seeds;
        let rows = (0..measures).map(|index| means_row(&report.tasks()[index..], measures));
        (
            "means over seeds, below them the lowest and the highest seed.",
            rows.collect(),
        )
    };
    format!(
        "<h2>Scores</h2>\n<p class=\"note\">Percent answered right, unless the metric is another; {note}</p>\n{}",
        table(&titles, &rows)
    )
}

fn scores_row(task: &TaskScores) -> (&'static str, Vec<String>) {
    let scale = task.measure.scale;
    let scores = task.scores.iter().map(|score| match score.interval {
        Some(interval) => format!(
            "{}<small>{} – {}</small>",
            number(scale, score.value),
            number(scale, interval.low),
            number(scale, interval.high)
        ),
        None => number(scale, score.value),
    });
    ("", cells(task, scores))
}

/// The scores of a task, which are those of `tasks` in steps of `measures`, one for each seed.
fn means_row(tasks: &[TaskScores], measures: usize) -> (&'static str, Vec<String>) {
    let scale = tasks[0].measure.scale;
    let scores = (0..tasks[0].scores.len()).map(|variant| {
        let values = tasks.iter().step_by(measures).map(|task| task.scores[variant].value);
        let values: Vec<f64> = values.collect();
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!(
            "{}<small>{} – {}</small>",
            number(scale, crate::stats::mean(&values)),
            number(scale, low),
            number(scale, high)
        )
    });
    ("", cells(&tasks[0], scores))
}

fn cells(task: &TaskScores, scores: impl Iterator<Item = String>) -> Vec<String> {
    let measure = &task.measure;
    let mut cells = vec![escape(&measure.task), metric(measure), thousands(task.n)];
    cells.extend(scores);
    cells.push(optional(measure.chance, |chance| number(measure.scale, chance)));
    cells
}

const NOTE: &str = "Differences of percentages are in points, with Tango’s 95% score interval for paired \
    proportions and p from McNemar’s exact test. Those of other numbers are in the metric’s own unit (of perplexities, \
    the change in percent), with interval and p from Student’s paired t. Where documents form clusters, interval and p are \
    Student’s with clustered standard errors. The permutation test exchanges the models’ outcomes on documents, or whole \
    clusters; of right and wrong it is McNemar’s. All p-values are then corrected by Holm’s method over all rows; “detectable” \
    is the smallest difference that a test of this size finds with probability 0.8 after that correction, at the \
    disagreement seen. “Not shown to differ” is not “equal”.";

pub(super) fn comparisons(report: &Report) -> Result<String, BenchError> {
    if report.comparisons().is_empty() {
        return Ok(String::new());
    }
    let rows: Vec<_> = report.comparisons().iter().map(|c| comparison_row(report, c)).collect();
    let titles = head(&[
        "task",
        "candidate",
        "difference",
        "verdict",
        "p, Holm",
        "detectable",
        "documents won, candidate / baseline",
        "p, permutation",
        "p, uncorrected",
    ]);
    let limits = if report.is_trained() {
        "Two trained models of one seed, document by document: what is found holds for these models, not for the variants. "
    } else {
        ""
    };
    Ok(format!(
        "<h2>Models compared on documents</h2>\n<p class=\"note\">{limits}{NOTE}</p>\n{}<p></p>\n{}",
        differences(report)?,
        table(&titles, &rows)
    ))
}

fn comparison_row(report: &Report, comparison: &Comparison) -> (&'static str, Vec<String>) {
    let (measure, result) = (&comparison.measure, &comparison.result);
    let (class, colour, verdict) = if !comparison.is_finding() {
        ("", "", "not shown to differ")
    } else if comparison.improvement() > 0.0 {
        ("finding", "good", "differs")
    } else {
        ("finding", "bad", "differs")
    };
    let (won, lost) = comparison.documents_won();
    let cells = vec![
        format!("{}<small>{}</small>", escape(&measure.task), metric(measure)),
        format!(
            "{}<small>against {}{}</small>",
            escape(&comparison.candidate),
            escape(&comparison.baseline),
            of_seed(report, comparison)
        ),
        format!(
            "<span class=\"{colour}\">{}{}</span><small>{} to {}</small>",
            measure.signed(result.difference),
            measure.unit(),
            measure.signed(result.interval.low),
            measure.signed(result.interval.high)
        ),
        format!("{verdict}{}", equivalence(comparison)),
        escape(&p_text(comparison.p_adjusted)),
        optional(comparison.detectable(), |size| {
            format!("{}{}", measure.signed(size).trim_start_matches('+'), measure.unit())
        }),
        format!("{won} / {lost}"),
        escape(&p_text(
            comparison.permutation.map_or(result.p_value, |test| test.p_value),
        )),
        escape(&p_text(result.p_value)),
    ];
    (class, cells)
}

/// What the test of equivalence says, where there is one.
fn equivalence(comparison: &Comparison) -> String {
    comparison.equivalence.map_or_else(String::new, |test| {
        let margin = comparison.measure.signed(test.margin);
        let shown = if test.p_value < 0.05 { "" } else { "not shown to be " };
        format!(
            "<small>{shown}equivalent within {}{}: p {}</small>",
            margin.trim_start_matches('+'),
            comparison.measure.unit(),
            escape(&p_text(test.p_value))
        )
    })
}

fn of_seed(report: &Report, comparison: &Comparison) -> String {
    if report.is_trained() {
        format!(", seed {}", comparison.seed)
    } else {
        String::new()
    }
}

/// The differences that share an axis: those of percentages. Of several seeds the plot across seeds has them.
fn differences(report: &Report) -> Result<String, BenchError> {
    if report.seeds().len() > 1 {
        return Ok(String::new());
    }
    let shares = report
        .comparisons()
        .iter()
        .filter(|comparison| comparison.measure.scale == Scale::Share);
    let rows = shares.map(|comparison| {
        let (measure, interval) = (&comparison.measure, comparison.result.interval);
        Row {
            label: format!("{} · {} · {}", measure.task, measure.metric, comparison.candidate),
            dots: Vec::new(),
            mean: Some(comparison.improvement()),
            interval: Some([interval.low, interval.high].map(|end| measure.improvement(end))),
            margin: None,
            series: series(report, &comparison.candidate),
        }
    });
    let rows: Vec<Row> = rows.collect();
    if rows.is_empty() {
        return Ok(String::new());
    }
    Ok(format!(
        "<figure>{}</figure>\n",
        forest::draw(&rows, &forest::Axis::points())?
    ))
}
