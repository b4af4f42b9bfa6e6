//! The sentences at the top of the page.

use super::contents::{Report, p_text};
use super::documents::Comparison;
use super::quantity::Quantity;
use super::seeds::SeedComparison;
use crate::Scale;

impl Report {
    /// What was found, in a few sentences, without claiming more than the tests allow: across seeds where there are at
    /// least two, otherwise for the trained models.
    pub fn headline(&self) -> String {
        let seeds = self.seeds().len();
        if self.variants().len() == 1 {
            return "There is one model: nothing was compared.".to_owned();
        }
        if !self.is_trained() {
            return of_models(
                self,
                "This holds for these two sets of answers and documents like these.",
            );
        }
        if seeds == 1 {
            let models = of_models(
                self,
                "This holds for these trained models; another seed may find otherwise.",
            );
            return format!("One seed cannot tell how the variants differ. {models}");
        }
        if self.across_seeds().is_empty() {
            return format!("{seeds} seeds were trained, but nothing was measured that could be compared.");
        }
        sentences(&[&found(self), &undecided(self), &equivalent(self)])
    }
}

/// Joins the sentences, without empty ones.
fn sentences(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

/// Differences shown across seeds.
fn found(report: &Report) -> String {
    let findings: Vec<&SeedComparison> = report.across_seeds().iter().filter(|c| c.is_finding()).collect();
    if findings.is_empty() {
        return String::new();
    }
    let seeds = report.seeds().len();
    let phrases: Vec<String> = findings
        .iter()
        .take(3)
        .map(|comparison| across_seeds(comparison))
        .collect();
    let more = and_more(findings.len(), 3);
    format!("Over {seeds} seeds, {}{more}.", phrases.join("; "))
}

fn and_more(all: usize, shown: usize) -> String {
    match all.saturating_sub(shown) {
        0 => String::new(),
        more => format!("; and {more} more"),
    }
}

/// For instance `GroupKan has a held-out loss 0.0312 nats lower than SwiGLU (p 0.0021)`.
fn across_seeds(comparison: &SeedComparison) -> String {
    let (candidate, baseline) = (&comparison.candidate, &comparison.baseline);
    let p = p_text(comparison.p_adjusted);
    let (won, lost) = comparison.seeds_won();
    let Some(mean) = comparison.mean else {
        let (better, worse) = if won > lost {
            (candidate, baseline)
        } else {
            (baseline, candidate)
        };
        let (most, all, name) = (won.max(lost), won + lost, comparison.quantity.name());
        return format!("{better} is better than {worse} in {name} for {most} of {all} seeds (p {p})");
    };
    let amount = comparison.quantity.amount(mean.difference);
    let more = mean.difference > 0.0;
    match &comparison.quantity {
        Quantity::HeldOutLoss => {
            let direction = if more { "higher" } else { "lower" };
            format!("{candidate} has a held-out loss {amount} {direction} than {baseline} (p {p})")
        }
        Quantity::Tokens { .. } | Quantity::Seconds { .. } => {
            let (direction, name) = (if more { "more" } else { "fewer" }, comparison.quantity.name());
            format!("{candidate} needs {amount} {direction} {name} than {baseline} (p {p})")
        }
        Quantity::Task(measure) => {
            let (direction, better) = (
                direction(measure.scale, more),
                lower_is_better(measure.higher_is_better),
            );
            let (task, metric) = (&measure.task, &measure.metric);
            format!("{candidate} scores {amount} {direction} {baseline} on {task} ({metric}{better}; p {p})")
        }
    }
}

fn direction(scale: Scale, more: bool) -> &'static str {
    match (scale, more) {
        (Scale::Log, true) => "higher than",
        (Scale::Log, false) => "lower than",
        (_, true) => "above",
        (_, false) => "below",
    }
}

fn lower_is_better(higher_is_better: bool) -> &'static str {
    if higher_is_better { "" } else { ", lower is better" }
}

/// The differences that this number of seeds leaves open, and those that it could have found.
fn undecided(report: &Report) -> String {
    let (all, seeds) = (report.across_seeds().len(), report.seeds().len());
    let open = report.across_seeds().iter();
    let open: Vec<&SeedComparison> = open.filter(|c| !c.is_finding() && !c.is_equivalent()).collect();
    let text = match (open.len(), all) {
        (0, _) => return String::new(),
        (1, 1) => format!("Cannot tell with {seeds} seeds: the one comparison across seeds found no difference."),
        (open, all) if open == all => {
            format!("Cannot tell with {seeds} seeds: none of {all} comparisons across seeds found a difference.")
        }
        (open, all) => format!("Cannot tell with {seeds} seeds in {open} of {all} comparisons."),
    };
    let needed = needed(&open);
    if needed.is_empty() {
        return format!("{text} That does not mean that they are equal.");
    }
    format!(
        "{text} That does not mean that they are equal: finding a difference reliably takes about {}.",
        needed.join(", ")
    )
}

/// The smallest differences that this number of seeds would find, by unit.
fn needed(open: &[&SeedComparison]) -> Vec<String> {
    let losses = sizes(open, |quantity| *quantity == Quantity::HeldOutLoss, 1.0);
    let points = sizes(open, |quantity| quantity.scale() == Scale::Share, 100.0);
    let mut needed = Vec::new();
    if let Some((size, _)) = losses {
        let digits = digits(size);
        needed.push(format!("{size:.digits$} nats in held-out loss"));
    }
    match points {
        Some((_, high)) if high >= 100.0 => needed.push("more than 100 points in some scores".to_owned()),
        Some((low, high)) if high - low < 0.1 => needed.push(format!("{high:.1} points in scores")),
        Some((low, high)) => needed.push(format!("{low:.1} to {high:.1} points in scores")),
        None => {}
    }
    needed
}

/// Digits after the point that leave two significant ones.
fn digits(size: f64) -> usize {
    (1.0 - size.log10().floor()).clamp(0.0, 6.0) as usize
}

/// The smallest and largest detectable difference of the quantities that are meant.
fn sizes(open: &[&SeedComparison], meant: fn(&Quantity) -> bool, unit: f64) -> Option<(f64, f64)> {
    let meant = open.iter().filter(|comparison| meant(&comparison.quantity));
    let sizes = meant.filter_map(|comparison| comparison.mean?.detectable);
    let (low, high) = sizes.fold((f64::INFINITY, 0.0f64), |(low, high), d| (low.min(d), high.max(d)));
    low.is_finite().then_some((low * unit, high * unit))
}

/// Equivalence shown across seeds.
fn equivalent(report: &Report) -> String {
    let all = report.across_seeds().iter();
    let shown: Vec<&SeedComparison> = all.filter(|comparison| comparison.is_equivalent()).collect();
    if shown.is_empty() {
        return String::new();
    }
    let phrases: Vec<String> = shown
        .iter()
        .take(3)
        .filter_map(|comparison| within(comparison))
        .collect();
    format!(
        "Shown to be equivalent: {}{}.",
        phrases.join("; "),
        and_more(shown.len(), 3)
    )
}

fn within(comparison: &SeedComparison) -> Option<String> {
    let test = comparison.mean?.equivalence?;
    let (name, margin) = (comparison.quantity.name(), comparison.quantity.margin_text(test.margin));
    Some(format!(
        "{} and {} within {margin} in {name}",
        comparison.candidate, comparison.baseline
    ))
}

/// What the models of one seed, or two sets of answers, show on documents.
fn of_models(report: &Report, limits: &str) -> String {
    let comparisons = report.comparisons();
    if comparisons.is_empty() {
        return "No paired comparison was made.".to_owned();
    }
    let findings: Vec<&Comparison> = comparisons.iter().filter(|c| c.is_finding()).collect();
    let (total, found) = (comparisons.len(), findings.len());
    let power = detectable(comparisons);
    if findings.is_empty() {
        let tests = if total == 1 {
            "the one comparison".to_owned()
        } else {
            format!("any of {total} comparisons")
        };
        let found = format!("No difference was found in {tests}.");
        return sentences(&[&found, &power, "No finding is not equality."]);
    }
    let phrases: Vec<String> = findings
        .iter()
        .take(3)
        .map(|comparison| on_documents(comparison))
        .collect();
    let rest = match total - found {
        0 => "Every comparison found a difference.".to_owned(),
        1 => "The other comparison found none.".to_owned(),
        others => format!("The other {others} comparisons found none."),
    };
    let found = format!("{}{}.", phrases.join("; "), and_more(found, 3));
    sentences(&[&found, &rest, &power, limits])
}

fn on_documents(comparison: &Comparison) -> String {
    let (measure, difference) = (&comparison.measure, comparison.result.difference);
    let signed = measure.signed(difference);
    format!(
        "{} scores {}{} {} {} on {} ({}{})",
        comparison.candidate,
        signed.trim_start_matches(['+', '-']),
        measure.unit(),
        direction(measure.scale, difference > 0.0),
        comparison.baseline,
        measure.task,
        measure.metric,
        lower_is_better(measure.higher_is_better)
    )
}

/// What the comparisons of percentages without a finding could have found.
fn detectable(comparisons: &[Comparison]) -> String {
    let open = comparisons.iter();
    let open = open.filter(|comparison| comparison.measure.scale == Scale::Share && !comparison.is_finding());
    let sizes = open.filter_map(|comparison| comparison.detectable().map(|size| size * 100.0));
    let (low, high) = sizes.fold((f64::INFINITY, 0.0f64), |(low, high), d| (low.min(d), high.max(d)));
    if !low.is_finite() {
        return String::new();
    }
    if high >= 100.0 {
        return "There were too few documents to find any difference reliably.".to_owned();
    }
    let range = if high - low < 0.1 {
        format!("{high:.1}")
    } else {
        format!("{low:.1} to {high:.1}")
    };
    format!("Differences of {range} points would have been found four times out of five; smaller ones may exist.")
}
