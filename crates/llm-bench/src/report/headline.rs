//! The sentence at the top of the page.

use super::{Comparison, Report};

/// Below this a corrected p-value counts as a finding.
const LEVEL: f64 = 0.05;

pub(super) fn is_finding(comparison: &Comparison) -> bool {
    comparison.p_adjusted < LEVEL
}

pub(super) fn headline(report: &Report) -> String {
    if report.comparisons.is_empty() {
        return "No paired comparison was made.".to_owned();
    }
    let findings: Vec<&Comparison> = report.comparisons.iter().filter(|c| is_finding(c)).collect();
    let (total, found) = (report.comparisons.len(), findings.len());
    let power = detectable(report);
    if findings.is_empty() {
        let tests = if total == 1 {
            "the one comparison".to_owned()
        } else {
            format!("any of {total} comparisons")
        };
        return format!(
            "No difference was found in {tests}. {power} Smaller ones may exist: no finding is not equality."
        );
    }
    let phrases: Vec<String> = findings.iter().take(3).map(|comparison| phrase(comparison)).collect();
    let more = if found > 3 {
        format!(" and {} more", found - 3)
    } else {
        String::new()
    };
    let rest = match total - found {
        0 => "Every comparison found a difference.".to_owned(),
        1 => format!("The other comparison found none. {power}"),
        others => format!("The other {others} comparisons found none. {power}"),
    };
    // The documents were many, the trainings one a variant: the test speaks of these weights alone.
    format!(
        "{}{more}. {rest} This holds for these trained models; another seed may find otherwise.",
        phrases.join("; ")
    )
}

fn phrase(comparison: &Comparison) -> String {
    let points = comparison.result.difference * 100.0;
    let direction = if points > 0.0 { "above" } else { "below" };
    format!(
        "{} scores {:.1} points {direction} {} on {} ({})",
        comparison.candidate,
        points.abs(),
        comparison.baseline,
        comparison.task,
        comparison.metric
    )
}

/// What the comparisons without a finding could have found.
fn detectable(report: &Report) -> String {
    let open = report.comparisons.iter().filter(|comparison| !is_finding(comparison));
    let sizes = open.map(|comparison| comparison.detectable * 100.0);
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
    format!("Differences of {range} points would have been found four times out of five.")
}
