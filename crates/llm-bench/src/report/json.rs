//! The report's comparisons for programs.

use serde_json::{Value, json};

use super::contents::Report;
use super::documents::Comparison;
use super::seeds::SeedComparison;
use crate::stats::{Equivalence, Interval, SignFlip};

impl Report {
    /// Everything that was compared, with every test. Shares and their differences are between 0 and 1, differences of
    /// quantities that are read as a ratio are natural logarithms.
    pub fn to_json(&self) -> Value {
        let variants = self.variants().iter();
        json!({
            "title": self.title,
            "command": self.command,
            "date": self.date,
            "hardware": self.hardware,
            "llm_bench_version": env!("CARGO_PKG_VERSION"),
            "headline": self.headline(),
            "variants": variants.map(|variant| variant.name.as_str()).collect::<Vec<_>>(),
            "across_seeds": self.across_seeds().iter().map(across_seeds).collect::<Vec<_>>(),
            "on_documents": self.comparisons().iter().map(|c| on_documents(self, c)).collect::<Vec<_>>(),
        })
    }
}

fn interval(interval: Interval) -> Value {
    json!([interval.low, interval.high])
}

fn sign_flip(test: SignFlip) -> Value {
    json!({"p": test.p_value, "smallest_p": test.smallest, "exact": test.exact})
}

fn equivalence(test: Equivalence) -> Value {
    json!({"margin": test.margin, "p": test.p_value, "interval_90": interval(test.interval)})
}

fn across_seeds(comparison: &SeedComparison) -> Value {
    let (won, lost) = comparison.seeds_won();
    let mean = comparison.mean;
    json!({
        "quantity": comparison.quantity.name(),
        "higher_is_better": comparison.quantity.higher_is_better(),
        "baseline": comparison.baseline,
        "candidate": comparison.candidate,
        "differences": comparison.differences(),
        "seeds_won": won,
        "seeds_lost": lost,
        "difference": mean.map(|mean| mean.difference),
        "interval_95": mean.map(|mean| interval(mean.interval)),
        "p": comparison.p_value,
        "p_holm": comparison.p_adjusted,
        "sign_flip": mean.map(|mean| sign_flip(mean.sign_flip)),
        "detectable": mean.and_then(|mean| mean.detectable),
        "equivalence": mean.and_then(|mean| mean.equivalence).map(equivalence),
        "equivalence_p_holm": mean.and_then(|mean| mean.equivalence_adjusted),
        "verdict": comparison.verdict(),
    })
}

fn on_documents(report: &Report, comparison: &Comparison) -> Value {
    let (result, measure) = (&comparison.result, &comparison.measure);
    let (won, lost) = comparison.documents_won();
    json!({
        "task": measure.task,
        "metric": measure.metric,
        "higher_is_better": measure.higher_is_better,
        "seed": report.is_trained().then_some(comparison.seed),
        "baseline": comparison.baseline,
        "candidate": comparison.candidate,
        "documents": result.n,
        "clusters": result.clusters,
        "scores": comparison.scores,
        "documents_won": won,
        "documents_lost": lost,
        "difference": result.difference,
        "stderr": result.stderr,
        "interval_95": interval(result.interval),
        "test": result.test,
        "p": result.p_value,
        "p_holm": comparison.p_adjusted,
        "permutation": comparison.permutation.map(sign_flip),
        "detectable": comparison.detectable(),
        "equivalence": comparison.equivalence.map(equivalence),
    })
}
