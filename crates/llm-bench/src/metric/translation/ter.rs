//! TER (Snover et al., AMTA 2006): words inserted, deleted, replaced or shifted in runs, per expected word.

use super::shift::edits;
use crate::python_text::is_space;

/// Edits, and expected words.
pub(super) fn counts(text: &str, reference: &str) -> Vec<f64> {
    let (text, reference) = (text.to_lowercase(), reference.to_lowercase());
    let (text, reference) = (words(&text), words(&reference));
    vec![edits(&text, &reference) as f64, reference.len() as f64]
}

fn words(text: &str) -> Vec<&str> {
    text.split(is_space).filter(|word| !word.is_empty()).collect()
}

/// In percent.
pub(super) fn score(counts: &[f64]) -> f64 {
    match counts {
        [edits, length] if *length > 0.0 => 100.0 * (edits / length),
        [edits, _] if *edits > 0.0 => 100.0,
        _ => 0.0,
    }
}
