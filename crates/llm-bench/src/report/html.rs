//! The page's text and tables.

use std::fmt::Write;

use super::headline::is_finding;
use super::plot::{self, SERIES};
use super::{Comparison, Report, TaskScores, Variant, p_text};
use crate::BenchError;

const STYLE: &str = include_str!("style.css");

/// Escapes text for element content and quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

pub(super) fn page(report: &Report) -> Result<String, BenchError> {
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

/// A table from header cells and rows; cells are HTML already. A row may carry a class.
fn table(head: &[String], rows: &[(&str, Vec<String>)]) -> String {
    let mut html = String::from("<div class=\"scroll\"><table>\n<thead><tr>");
    for cell in head {
        let _ = write!(html, "<th>{cell}</th>");
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for (class, cells) in rows {
        let _ = write!(html, "<tr class=\"{class}\">");
        for cell in cells {
            let _ = write!(html, "<td>{cell}</td>");
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
    html
}

fn head(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

fn named(index: usize, name: &str) -> String {
    format!(
        "<span class=\"dot\" style=\"background:var(--series-{})\"></span>{}",
        index % SERIES,
        escape(name)
    )
}

/// 134515008 as `134,515,008`.
fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let groups = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join(",")
}

fn optional(value: Option<f64>, format: impl Fn(f64) -> String) -> String {
    value
        .filter(|value| value.is_finite())
        .map_or_else(|| "–".to_owned(), format)
}

fn speed(variant: &Variant, first: &Variant) -> String {
    let rounded = |speed: f64| thousands(speed.round() as usize);
    match (variant.tokens_per_second, first.tokens_per_second) {
        (Some(own), Some(base)) if variant != first && base > 0.0 => {
            format!("{}<small>{:.2}× the baseline</small>", rounded(own), own / base)
        }
        (own, _) => optional(own, rounded),
    }
}

fn loss(variant: &Variant, first: &Variant) -> String {
    match (variant.held_out_loss, first.held_out_loss) {
        (Some(own), Some(base)) if variant != first => format!("{own:.4}<small>{:+.4}</small>", own - base),
        (own, _) => optional(own, |own| format!("{own:.4}")),
    }
}

fn variants(report: &Report) -> String {
    let Some(first) = report.variants.first() else {
        return String::new();
    };
    let row = |(index, variant): (usize, &Variant)| {
        let cells = [
            named(index, &variant.name),
            thousands(variant.parameters),
            speed(variant, first),
            loss(variant, first),
            optional(variant.held_out_loss, |loss| format!("{:.2}", loss.exp())),
        ];
        ("", cells.to_vec())
    };
    let rows: Vec<_> = report.variants.iter().enumerate().map(row).collect();
    let titles = head(&[
        "variant",
        "parameters",
        "training tokens/s",
        "held-out loss (nats)",
        "perplexity",
    ]);
    format!("<h2>Variants</h2>\n{}", table(&titles, &rows))
}

fn curves(report: &Report) -> Result<String, BenchError> {
    if report.variants.iter().all(|variant| variant.curve.is_empty()) {
        return Ok(String::new());
    }
    let legend = report.variants.iter().enumerate();
    let legend: String = legend
        .map(|(index, v)| format!("<span>{}</span>", named(index, &v.name)))
        .collect();
    let svg = plot::curves(&report.variants)?;
    Ok(format!(
        "<h2>Training</h2>\n<div class=\"legend\">{legend}</div>\n<figure>{svg}</figure>\n"
    ))
}

fn scores(report: &Report) -> String {
    if report.tasks.is_empty() {
        return String::new();
    }
    let mut titles = head(&["task", "metric", "documents"]);
    titles.extend(
        report
            .variants
            .iter()
            .enumerate()
            .map(|(index, variant)| named(index, &variant.name)),
    );
    titles.push("chance".to_owned());
    let row = |task: &TaskScores| {
        let mut cells = vec![escape(&task.task), escape(&task.metric), thousands(task.n)];
        cells.extend(task.scores.iter().map(|score| {
            let (low, high) = (score.interval.low * 100.0, score.interval.high * 100.0);
            format!("{:.1}<small>{low:.1} – {high:.1}</small>", score.value * 100.0)
        }));
        cells.push(optional(task.chance, |chance| format!("{:.1}", chance * 100.0)));
        ("", cells)
    };
    let rows: Vec<_> = report.tasks.iter().map(row).collect();
    format!(
        "<h2>Scores</h2>\n<p class=\"note\">Percent answered right; below it Wilson’s 95% interval. The intervals are \
         for each score alone: whether two variants differ is the next table’s question, because both answered the \
         same documents.</p>\n{}",
        table(&titles, &rows)
    )
}

fn comparison_row(comparison: &Comparison) -> (&'static str, Vec<String>) {
    let result = &comparison.result;
    let finding = is_finding(comparison);
    let colour = match finding {
        true if result.difference > 0.0 => "good",
        true => "bad",
        false => "",
    };
    let (low, high) = (result.interval.low * 100.0, result.interval.high * 100.0);
    let cells = vec![
        format!(
            "{}<small>{}</small>",
            escape(&comparison.task),
            escape(&comparison.metric)
        ),
        format!(
            "{}<small>against {}</small>",
            escape(&comparison.candidate),
            escape(&comparison.baseline)
        ),
        format!(
            "<span class=\"{colour}\">{:+.1}</span><small>{low:+.1} to {high:+.1}</small>",
            result.difference * 100.0
        ),
        format!("{} / {}", result.only_b, result.only_a),
        escape(&p_text(result.p_value)),
        escape(&p_text(comparison.p_adjusted)),
        format!("{:.1}", comparison.detectable * 100.0),
        if finding {
            "differs".to_owned()
        } else {
            "not shown to differ".to_owned()
        },
    ];
    (if finding { "finding" } else { "" }, cells)
}

fn comparisons(report: &Report) -> Result<String, BenchError> {
    if report.comparisons.is_empty() {
        return Ok(String::new());
    }
    let rows: Vec<_> = report.comparisons.iter().map(comparison_row).collect();
    let position = |name: &str| {
        report
            .variants
            .iter()
            .position(|variant| variant.name == name)
            .unwrap_or(1)
    };
    let colours: Vec<usize> = report
        .comparisons
        .iter()
        .map(|comparison| position(&comparison.candidate))
        .collect();
    let titles = head(&[
        "task",
        "candidate",
        "difference in points",
        "right alone, candidate / baseline",
        "p",
        "p, Holm",
        "detectable points",
        "verdict",
    ]);
    Ok(format!(
        "<h2>Paired comparisons</h2>\n<p class=\"note\">Difference in points with Tango’s 95% score interval for paired \
         proportions; p from McNemar’s exact test, then corrected by Holm’s method over all rows; “detectable” is the \
         smallest difference that a test of this size finds with probability 0.8 after that correction, at the \
         disagreement seen. “Not shown to differ” is not “equal”.</p>\n<figure>{}</figure>\n<p></p>\n{}",
        plot::differences(&report.comparisons, &colours)?,
        table(&titles, &rows)
    ))
}

fn functions(report: &Report) -> Result<String, BenchError> {
    if report.functions.is_empty() {
        return Ok(String::new());
    }
    let mut html = String::from(
        "<h2>Learned functions</h2>\n<p class=\"note\">Solid: after training. Dashed: at the start.</p>\n\
         <div class=\"grid\">\n",
    );
    for function in &report.functions {
        let caption = escape(&function.label);
        let _ = writeln!(
            html,
            "<figure>{}<figcaption>{caption}</figcaption></figure>",
            plot::function(function)?
        );
    }
    html.push_str("</div>\n");
    Ok(html)
}

fn reproduction(report: &Report) -> String {
    let mut html = format!("<h2>How this was made</h2>\n<pre>{}</pre>\n", escape(&report.command));
    if !report.settings.is_empty() {
        let row = |(name, value): &(String, String)| ("", vec![escape(name), escape(value)]);
        let rows: Vec<_> = report.settings.iter().map(row).collect();
        html.push_str(&table(&head(&["setting", "value"]), &rows));
    }
    html
}
