//! chrF (Popović, WMT 2015) over runs of up to six characters, and chrF++ (Popović, WMT 2017) with up to two words.

use std::collections::HashMap;
use std::hash::Hash;

use crate::python_text::is_space;

const CHARACTERS: usize = 6;
const WORDS: usize = 2;
/// Recall weighs as much as four times precision.
const FACTOR: f64 = 4.0;

/// For each order: runs of the text, of the expected text, and of both.
pub(super) fn character_counts(text: &str, reference: &str) -> Vec<f64> {
    let (text, reference) = (without_space(text), without_space(reference));
    (1..=CHARACTERS)
        .flat_map(|order| counts(&text, &reference, order))
        .collect()
}

/// As [`character_counts`], then the same for words.
pub(super) fn all_counts(text: &str, reference: &str) -> Vec<f64> {
    let mut all = character_counts(text, reference);
    let (text, reference) = (words(text), words(reference));
    all.extend((1..=WORDS).flat_map(|order| counts(&text, &reference, order)));
    all
}

fn without_space(text: &str) -> Vec<char> {
    text.chars().filter(|&c| !is_space(c)).collect()
}

/// Words, a mark at the end of one apart, else one at its start.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in text.split(is_space).filter(|word| !word.is_empty()) {
        let characters: Vec<char> = word.chars().collect();
        match characters.as_slice() {
            [rest @ .., mark] if !rest.is_empty() && mark.is_ascii_punctuation() => {
                words.extend([rest.iter().collect(), mark.to_string()]);
            }
            [mark, rest @ ..] if !rest.is_empty() && mark.is_ascii_punctuation() => {
                words.extend([mark.to_string(), rest.iter().collect()]);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

fn counts<T: Eq + Hash>(text: &[T], reference: &[T], order: usize) -> [f64; 3] {
    let mut left: HashMap<&[T], usize> = HashMap::new();
    for run in reference.windows(order) {
        *left.entry(run).or_default() += 1;
    }
    let (found, expected) = (text.windows(order).len(), reference.windows(order).len());
    let mut both = 0;
    for run in text.windows(order) {
        if let Some(count) = left.get_mut(run).filter(|count| **count > 0) {
            *count -= 1;
            both += 1;
        }
    }
    // Where nothing is expected nothing is counted.
    let found = if expected == 0 { 0 } else { found };
    [found as f64, expected as f64, both as f64]
}

/// The F score, in percent, of the mean precision and recall over the orders that both texts have.
pub(super) fn score(counts: &[f64]) -> f64 {
    let (mut precision, mut recall, mut orders) = (0.0, 0.0, 0.0);
    for order in counts.chunks_exact(3) {
        if order[0] > 0.0 && order[1] > 0.0 {
            precision += order[2] / order[0];
            recall += order[2] / order[1];
            orders += 1.0;
        }
    }
    if precision + recall == 0.0 {
        return 0.0;
    }
    let (precision, recall) = (precision / orders, recall / orders);
    100.0 * ((1.0 + FACTOR) * precision * recall) / (FACTOR * precision + recall)
}
