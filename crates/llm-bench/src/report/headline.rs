//! The sentence at the top of the page.

use super::contents::Report;
use super::documents::Comparison;
use crate::Scale;

impl Report {
    /// What the comparison found, in a sentence or two, without claiming more than the tests allow.
    pub fn headline(&self) -> String {
        if self.comparisons().is_empty() {
            return "No paired comparison was made.".to_owned();
        }
        let findings: Vec<&Comparison> = self.comparisons().iter().filter(|c| c.is_finding()).collect();
        let (total, found) = (self.comparisons().len(), findings.len());
        let power = detectable(self);
        if findings.is_empty() {
            let tests = if total == 1 {
                "the one comparison".to_owned()
            } else {
                format!("any of {total} comparisons")
            };
            let found = format!("No difference was found in {tests}.");
            return sentences(&[&found, &power, "No finding is not equality."]);
        }
        let phrases: Vec<String> = findings.iter().take(3).map(|comparison| phrase(comparison)).collect();
        let more = if found > 3 {
            format!(" and {} more", found - 3)
        } else {
            String::new()
        };
        let rest = match total - found {
            0 => "Every comparison found a difference.".to_owned(),
            1 => "The other comparison found none.".to_owned(),
            others => format!("The other {others} comparisons found none."),
        };
        let found = format!("{}{more}.", phrases.join("; "));
        // The documents were many, the trainings one a variant: the test speaks of these weights alone.
        let limits = "This holds for these trained models; another seed may find otherwise.";
        sentences(&[&found, &rest, &power, limits])
    }
}

/// One after the other, without those that are empty.
fn sentences(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

fn phrase(comparison: &Comparison) -> String {
    let measure = &comparison.measure;
    let better = if measure.higher_is_better {
        ""
    } else {
        ", lower is better"
    };
    format!(
        "{} scores {} {} on {} ({}{better})",
        comparison.candidate,
        difference(comparison),
        comparison.baseline,
        measure.task,
        measure.metric
    )
}

/// How far the candidate is from the baseline, up to the baseline's name.
fn difference(comparison: &Comparison) -> String {
    let (measure, difference) = (&comparison.measure, comparison.result.difference);
    let signed = measure.signed(difference);
    let amount = format!("{}{}", signed.trim_start_matches(['+', '-']), measure.unit());
    let direction = match (measure.scale, difference > 0.0) {
        (Scale::Log, true) => "higher than",
        (Scale::Log, false) => "lower than",
        (_, true) => "above",
        (_, false) => "below",
    };
    format!("{amount} {direction}")
}

/// What the comparisons of percentages without a finding could have found.
fn detectable(report: &Report) -> String {
    let open = report
        .comparisons()
        .iter()
        .filter(|c| c.measure.scale == Scale::Share && !c.is_finding());
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
    format!("Differences of {range} points would have been found four times out of five; smaller ones may exist.")
}
