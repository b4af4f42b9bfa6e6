//! What can be said about the variants: comparisons across seeds, convergence and equivalence.

use std::fmt::Write;

use super::series;
use crate::report::contents::{Report, p_text};
use crate::report::html::{escape, head, named, optional, table};
use crate::report::plot::forest::{self, Row};
use crate::report::quantity::{Observed, Quantity};
use crate::report::seeds::{MeanDifference, SeedComparison};
use crate::{BenchError, Scale};

const NOTE: &str = "Each variant less the first, trained with the same seeds: a dot is one seed, the large dot the mean \
    over seeds, the line Student’s 95% interval, and p that of Student’s paired test, corrected by Holm’s method over all \
    rows. The sign-flip test assumes no distribution; below its p is the smallest one that so many seeds can give. \
    “Detectable” is the smallest difference that so many seeds find with probability 0.8 after the correction, if \
    differences vary as they did here; of few seeds it is a rough figure. “Cannot tell” is not “equal”.";

/// The answer: a plot where every seed is a dot, and the tests.
pub(super) fn comparisons(report: &Report) -> Result<String, BenchError> {
    if report.across_seeds().is_empty() {
        return Ok(String::new());
    }
    let seeds: Vec<String> = report.seeds().iter().map(u64::to_string).collect();
    let mut html = format!(
        "<h2>Across {} seeds</h2>\n<p class=\"note\">{NOTE} Seeds: {}.</p>\n",
        seeds.len(),
        seeds.join(", ")
    );
    let losses = rows(report, |quantity| *quantity == Quantity::HeldOutLoss);
    let shares = rows(report, |quantity| quantity.scale() == Scale::Share);
    let others = rows(report, |quantity| {
        quantity.scale() == Scale::Log && !quantity.higher_is_better()
    });
    for (rows, axis) in [
        (losses, forest::Axis::nats()),
        (shares, forest::Axis::points()),
        (others, forest::Axis::percent()),
    ] {
        if !rows.is_empty() {
            let _ = writeln!(html, "<figure>{}</figure>", forest::draw(&rows, &axis)?);
        }
    }
    let titles = head(&[
        "quantity",
        "candidate",
        "mean difference",
        "verdict",
        "p, Holm",
        "detectable",
        "seeds won, candidate / baseline",
        "p, sign-flip",
        "p, uncorrected",
    ]);
    let rows: Vec<_> = report.across_seeds().iter().map(row).collect();
    let _ = write!(html, "<p></p>\n{}", table(&titles, &rows));
    Ok(html)
}

/// Rows of the plot: the comparisons of quantities that share an axis and have a mean or at least a seed's difference.
fn rows(report: &Report, meant: fn(&Quantity) -> bool) -> Vec<Row> {
    let comparisons = report.across_seeds().iter();
    let comparisons = comparisons.filter(|comparison| meant(&comparison.quantity));
    let rows = comparisons.map(|comparison| {
        let quantity = &comparison.quantity;
        let seeds = comparison.differences().into_iter().flatten();
        Row {
            label: format!("{} · {}", quantity.name(), comparison.candidate),
            dots: seeds.map(|difference| quantity.improvement(difference)).collect(),
            mean: comparison.mean.map(|mean| quantity.improvement(mean.difference)),
            interval: comparison
                .mean
                .map(|mean| [mean.interval.low, mean.interval.high].map(|end| quantity.improvement(end))),
            margin: comparison
                .mean
                .and_then(|mean| mean.equivalence)
                .map(|test| test.margin),
            series: series(report, &comparison.candidate),
        }
    });
    rows.filter(|row| !row.dots.is_empty()).collect()
}

fn row(comparison: &SeedComparison) -> (&'static str, Vec<String>) {
    let quantity = &comparison.quantity;
    let (class, colour) = match (comparison.is_finding(), comparison.candidate_is_better()) {
        (false, _) => ("", ""),
        (true, true) => ("finding", "good"),
        (true, false) => ("finding", "bad"),
    };
    let (won, lost) = comparison.seeds_won();
    let direction = if quantity.higher_is_better() {
        ""
    } else {
        "<small>lower is better</small>"
    };
    let cells = vec![
        format!("{}{direction}", escape(&quantity.name())),
        format!(
            "{}<small>against {}</small>",
            escape(&comparison.candidate),
            escape(&comparison.baseline)
        ),
        difference(comparison, colour),
        comparison.verdict().to_owned(),
        escape(&p_text(comparison.p_adjusted)),
        optional(comparison.mean.and_then(|mean| mean.detectable), |size| {
            quantity.amount(size)
        }),
        format!("{won} / {lost}"),
        comparison.mean.map_or_else(|| "–".to_owned(), sign_flip),
        escape(&p_text(comparison.p_value)),
    ];
    (class, cells)
}

fn difference(comparison: &SeedComparison, colour: &str) -> String {
    let quantity = &comparison.quantity;
    let Some(mean) = comparison.mean else {
        return format!(
            "–<small>{} of {} seeds not known; sign test</small>",
            comparison.incomplete(),
            comparison.pairs.len()
        );
    };
    format!(
        "<span class=\"{colour}\">{}{}</span><small>{} to {}</small>",
        quantity.signed(mean.difference),
        quantity.unit(),
        quantity.signed(mean.interval.low),
        quantity.signed(mean.interval.high)
    )
}

fn sign_flip(mean: MeanDifference) -> String {
    let test = mean.sign_flip;
    format!(
        "{}<small>smallest {}</small>",
        escape(&p_text(test.p_value)),
        escape(&p_text(test.smallest))
    )
}

/// What each seed needed to reach the target loss.
pub(super) fn convergence(report: &Report) -> String {
    let Some(target) = report.criteria().target_loss else {
        return String::new();
    };
    let (tokens, seconds) = (Quantity::Tokens { target }, Quantity::Seconds { target });
    let rows = report.variants().iter().enumerate().map(|(index, variant)| {
        let reached: Vec<Observed> = variant.runs.iter().map(|run| tokens.of(run)).collect();
        let seconds: Vec<Observed> = variant.runs.iter().map(|run| seconds.of(run)).collect();
        let never = reached
            .iter()
            .filter(|seed| matches!(seed, Observed::AtLeast(_)))
            .count();
        let cells = [
            named(index, &variant.name),
            reached.len().to_string(),
            reached.iter().filter(|seed| seed.value().is_some()).count().to_string(),
            never.to_string(),
            each(&reached, short),
            each(&seconds, |seconds| format!("{seconds:.1}")),
        ];
        ("", cells.to_vec())
    });
    let rows: Vec<_> = rows.collect();
    let titles = head(&[
        "variant",
        "seeds",
        "reached",
        "never reached",
        "tokens, each seed",
        "seconds, each seed",
    ]);
    format!(
        "<h2>Convergence</h2>\n<p class=\"note\">What training took to a held-out loss of {target} nats, in a straight \
         line between evaluations. “>”: not reached before training ended; “&lt;”: reached before the first evaluation. \
         Where a seed’s value is not known, there is no mean difference, which would leave out the slowest seeds: the \
         sign test counts the seeds for which it is certain which variant was first.</p>\n{}",
        table(&titles, &rows)
    )
}

/// The values of all seeds, in order.
fn each(observed: &[Observed], format: fn(f64) -> String) -> String {
    let texts = observed.iter().map(|observed| match observed {
        Observed::Value(value) => format(value.exp()),
        Observed::AtLeast(bound) => format!("&gt; {}", format(bound.exp())),
        Observed::AtMost(bound) => format!("&lt; {}", format(bound.exp())),
        Observed::Missing => "–".to_owned(),
    });
    texts.collect::<Vec<_>>().join("<br>")
}

/// A count with two digits after the point and its thousands as a letter.
pub(crate) fn short(count: f64) -> String {
    match count {
        c if c >= 1e9 => format!("{:.2}G", c / 1e9),
        c if c >= 1e6 => format!("{:.2}M", c / 1e6),
        c if c >= 1e3 => format!("{:.1}k", c / 1e3),
        c => format!("{c:.0}"),
    }
}

/// The tests of equivalence.
pub(super) fn equivalence(report: &Report) -> String {
    let rows: Vec<_> = report.across_seeds().iter().filter_map(equivalence_row).collect();
    if rows.is_empty() {
        return String::new();
    }
    let titles = head(&[
        "quantity",
        "candidate",
        "margin, ±",
        "mean difference",
        "p, Holm",
        "p, uncorrected",
        "verdict",
    ]);
    format!(
        "<h2>Equivalence</h2>\n<p class=\"note\">Two one-sided Student tests across seeds: is the difference smaller than \
         the margin that was stated before training? The interval is the 90% one, which lies within the margin where the \
         uncorrected p is below 0.05. p is corrected by Holm’s method over these rows.</p>\n{}",
        table(&titles, &rows)
    )
}

fn equivalence_row(comparison: &SeedComparison) -> Option<(&'static str, Vec<String>)> {
    let (mean, quantity) = (comparison.mean?, &comparison.quantity);
    let (test, adjusted) = (mean.equivalence?, mean.equivalence_adjusted?);
    let (class, verdict) = if comparison.is_equivalent() {
        ("finding", "equivalent")
    } else {
        ("", "not shown")
    };
    let cells = vec![
        escape(&quantity.name()),
        format!(
            "{}<small>against {}</small>",
            escape(&comparison.candidate),
            escape(&comparison.baseline)
        ),
        quantity.margin_text(test.margin),
        format!(
            "{}{}<small>{} to {}</small>",
            quantity.signed(mean.difference),
            quantity.unit(),
            quantity.signed(test.interval.low),
            quantity.signed(test.interval.high)
        ),
        escape(&p_text(adjusted)),
        escape(&p_text(test.p_value)),
        verdict.to_owned(),
    ];
    Some((class, cells))
}
