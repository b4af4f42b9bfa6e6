//! The sentence at the top of the page.

use super::contents::{Comparison, Report};

impl Report {
    /// What the comparison found, in a sentence or two, without claiming more than the tests allow.
    pub fn headline(&self) -> String {
        if self.comparisons.is_empty() {
            return "No paired comparison was made.".to_owned();
        }
        let findings: Vec<&Comparison> = self.comparisons.iter().filter(|c| c.is_finding()).collect();
        let (total, found) = (self.comparisons.len(), findings.len());
        let power = detectable(self);
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
}

fn phrase(comparison: &Comparison) -> String {
    let (measure, difference) = (&comparison.measure, comparison.result.difference);
    let direction = if difference > 0.0 { "above" } else { "below" };
    let amount = if measure.is_share {
        format!("{:.1} points", difference.abs() * 100.0)
    } else {
        format!("{:.4}", difference.abs())
    };
    let better = if measure.higher_is_better {
        ""
    } else {
        ", lower is better"
    };
    format!(
        "{} scores {amount} {direction} {} on {} ({}{better})",
        comparison.candidate, comparison.baseline, measure.task, measure.metric
    )
}

/// What the comparisons of percentages without a finding could have found.
fn detectable(report: &Report) -> String {
    let open = report
        .comparisons
        .iter()
        .filter(|c| c.measure.is_share && !c.is_finding());
    let sizes = open.filter_map(|comparison| comparison.detectable.map(|size| size * 100.0));
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
