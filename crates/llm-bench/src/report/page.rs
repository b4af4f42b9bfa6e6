//! The sections of the page.

use std::fmt::Write;

use super::contents::{Report, p_text};
use super::documents::{Comparison, TaskScores};
use super::html::{escape, head, named, optional, table, thousands};
use super::plot;
use super::variant::{Run, Variant};
use crate::{BenchError, Measure, Scale};

const STYLE: &str = include_str!("style.css");

impl Report {
    /// The whole page.
    ///
    /// # Errors
    /// [`BenchError::Plot`] when a plot cannot be drawn.
    pub fn to_html(&self) -> Result<String, BenchError> {
        page(self)
    }
}

fn page(report: &Report) -> Result<String, BenchError> {
    let title = escape(&report.title);
    let body = [
        format!(
            "<h1>{title}</h1>\n<p class=\"meta\">{} · {}</p>\n",
            escape(&report.date),
            escape(&report.hardware)
        ),
        format!("<p class=\"headline\">{}</p>\n", escape(&report.headline())),
        variants(report),
        curves(report)?,
        scores(report),
        comparisons(report)?,
        functions(report)?,
        reproduction(report),
    ];
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{}</main>\n</body>\n</html>\n",
        body.concat()
    ))
}

fn rounded(speed: f64) -> String {
    thousands(speed.round() as usize)
}

fn speed(run: &Run, first: &Run) -> String {
    match (run.tokens_per_second, first.tokens_per_second) {
        (Some(own), Some(base)) if run != first && base > 0.0 => {
            format!("{}<small>{:.2}× the baseline</small>", rounded(own), own / base)
        }
        (own, _) => optional(own, rounded),
    }
}

fn loss(run: &Run, first: &Run) -> String {
    match (run.held_out_loss, first.held_out_loss) {
        (Some(own), Some(base)) if run != first => format!("{own:.4}<small>{:+.4}</small>", own - base),
        (own, _) => optional(own, |own| format!("{own:.4}")),
    }
}

fn variants(report: &Report) -> String {
    let first = &report.variants()[0];
    let mut rows = Vec::new();
    for (index, variant) in report.variants().iter().enumerate() {
        for (run, base) in variant.runs.iter().zip(&first.runs) {
            let cells = [
                named(index, &variant.name),
                run.seed.to_string(),
                thousands(variant.parameters),
                speed(run, base),
                loss(run, base),
                optional(run.held_out_loss, |loss| format!("{:.2}", loss.exp())),
            ];
            rows.push(("", cells.to_vec()));
        }
    }
    let titles = head(&[
        "variant",
        "seed",
        "parameters",
        "training tokens/s",
        "held-out loss (nats)",
        "perplexity",
    ]);
    format!("<h2>Variants</h2>\n{}", table(&titles, &rows))
}

fn has_no_curve(variant: &Variant) -> bool {
    variant.runs.iter().all(|run| run.curve.is_empty())
}

fn curves(report: &Report) -> Result<String, BenchError> {
    if report.variants().iter().all(has_no_curve) {
        return Ok(String::new());
    }
    let legend = report.variants().iter().enumerate();
    let legend: String = legend
        .map(|(index, v)| format!("<span>{}</span>", named(index, &v.name)))
        .collect();
    let svg = plot::curves(report.variants())?;
    Ok(format!(
        "<h2>Training</h2>\n<div class=\"legend\">{legend}</div>\n<figure>{svg}</figure>\n"
    ))
}

/// A value as tables show it: a percentage, or the number.
fn number(measure: &Measure, value: f64) -> String {
    if measure.scale == Scale::Share {
        format!("{:.1}", value * 100.0)
    } else {
        format!("{value:.4}")
    }
}

fn metric(measure: &Measure) -> String {
    let direction = if measure.higher_is_better {
        ""
    } else {
        ", lower is better"
    };
    format!("{}{direction}", escape(&measure.metric))
}

fn scores_row(task: &TaskScores) -> (&'static str, Vec<String>) {
    let measure = &task.measure;
    let mut cells = vec![
        escape(&measure.task),
        metric(measure),
        task.seed.to_string(),
        thousands(task.n),
    ];
    cells.extend(task.scores.iter().map(|score| match score.interval {
        Some(interval) => format!(
            "{}<small>{} – {}</small>",
            number(measure, score.value),
            number(measure, interval.low),
            number(measure, interval.high)
        ),
        None => number(measure, score.value),
    }));
    cells.push(optional(measure.chance, |chance| number(measure, chance)));
    ("", cells)
}

fn scores(report: &Report) -> String {
    if report.tasks().is_empty() {
        return String::new();
    }
    let mut titles = head(&["task", "metric", "seed", "documents"]);
    let variants = report.variants().iter().enumerate();
    titles.extend(variants.map(|(index, variant)| named(index, &variant.name)));
    titles.push("chance".to_owned());
    let rows: Vec<_> = report.tasks().iter().map(scores_row).collect();
    format!(
        "<h2>Scores</h2>\n<p class=\"note\">Percent answered right, unless the metric is another; below it Wilson’s 95% \
         interval, or Student’s for a mean of other numbers. The intervals are for each score alone: whether two variants \
         differ is the next table’s question, because both answered the same documents.</p>\n{}",
        table(&titles, &rows)
    )
}

fn comparison_row(comparison: &Comparison) -> (&'static str, Vec<String>) {
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
            "{}<small>against {}, seed {}</small>",
            escape(&comparison.candidate),
            escape(&comparison.baseline),
            comparison.seed
        ),
        format!(
            "<span class=\"{colour}\">{}{}</span><small>{} to {}</small>",
            measure.signed(result.difference),
            measure.unit(),
            measure.signed(result.interval.low),
            measure.signed(result.interval.high)
        ),
        format!("{won} / {lost}"),
        escape(&p_text(result.p_value)),
        escape(&p_text(comparison.p_adjusted)),
        optional(comparison.detectable, |size| {
            format!("{}{}", measure.signed(size).trim_start_matches('+'), measure.unit())
        }),
        verdict.to_owned(),
    ];
    (class, cells)
}

const COMPARISON_NOTE: &str = "Differences of percentages are in points, with Tango’s 95% score interval for paired \
    proportions and p from McNemar’s exact test. Those of other numbers are in the metric’s own unit (of perplexities, \
    the change in percent), with interval and p from Student’s paired t. All p-values are then corrected by Holm’s method \
    over all rows; “detectable” is the smallest difference that a test of this size finds with probability 0.8 after that \
    correction, at the disagreement seen. “Not shown to differ” is not “equal”.";

fn comparisons(report: &Report) -> Result<String, BenchError> {
    if report.comparisons().is_empty() {
        return Ok(String::new());
    }
    let rows: Vec<_> = report.comparisons().iter().map(comparison_row).collect();
    let titles = head(&[
        "task",
        "candidate",
        "difference",
        "documents won, candidate / baseline",
        "p",
        "p, Holm",
        "detectable",
        "verdict",
    ]);
    Ok(format!(
        "<h2>Models compared on documents</h2>\n<p class=\"note\">{COMPARISON_NOTE}</p>\n{}<p></p>\n{}",
        differences(report)?,
        table(&titles, &rows)
    ))
}

/// The differences that share an axis: those of percentages.
fn differences(report: &Report) -> Result<String, BenchError> {
    let shares = report
        .comparisons()
        .iter()
        .filter(|comparison| comparison.measure.scale == Scale::Share);
    let rows: Vec<(&Comparison, usize)> = shares
        .map(|comparison| (comparison, series(report, &comparison.candidate)))
        .collect();
    if rows.is_empty() {
        return Ok(String::new());
    }
    Ok(format!("<figure>{}</figure>\n", plot::differences(&rows)?))
}

/// The series whose colour a variant has.
fn series(report: &Report, name: &str) -> usize {
    let position = report.variants().iter().position(|variant| variant.name == name);
    position.unwrap_or(1)
}

fn functions(report: &Report) -> Result<String, BenchError> {
    if report.variants().iter().all(|variant| variant.functions.is_empty()) {
        return Ok(String::new());
    }
    let mut html = String::from(
        "<h2>Learned functions</h2>\n<p class=\"note\">Solid: after training. Dashed: at the start.</p>\n\
         <div class=\"grid\">\n",
    );
    for variant in report.variants() {
        for function in &variant.functions {
            let caption = escape(&format!("{}: {}", variant.name, function.label));
            let _ = writeln!(
                html,
                "<figure>{}<figcaption>{caption}</figcaption></figure>",
                plot::function(function)?
            );
        }
    }
    html.push_str("</div>\n");
    Ok(html)
}

fn reproduction(report: &Report) -> String {
    let mut html = format!("<h2>How this was made</h2>\n<pre>{}</pre>\n", escape(&report.command));
    if !report.settings.is_empty() {
        let rows = report.settings.iter();
        let rows = rows.map(|(name, value)| ("", vec![escape(name), escape(value)]));
        let rows: Vec<_> = rows.collect();
        html.push_str(&table(&head(&["setting", "value"]), &rows));
    }
    html
}
