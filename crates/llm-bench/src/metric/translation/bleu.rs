//! BLEU (Papineni et al., ACL 2002) over words and runs of up to four of them, tokenised as NIST's `mteval-v13a` does.

use std::collections::HashMap;

use crate::python_text::is_space;

const ORDERS: usize = 4;

/// Words of both texts, then for each order how many runs match and how many there are.
pub(super) fn counts(text: &str, reference: &str) -> Vec<f64> {
    let (text, reference) = (tokens(text), tokens(reference));
    let mut counts = vec![text.len() as f64, reference.len() as f64];
    let orders = (1..=ORDERS).map(|order| matches(&text, &reference, order));
    let (correct, total): (Vec<f64>, Vec<f64>) = orders.unzip();
    counts.extend(correct);
    counts.extend(total);
    counts
}

/// Runs of so many words that both have, and all of the first.
fn matches(text: &[String], reference: &[String], order: usize) -> (f64, f64) {
    let mut left: HashMap<&[String], usize> = HashMap::new();
    for run in reference.windows(order) {
        *left.entry(run).or_default() += 1;
    }
    let mut correct = 0;
    for run in text.windows(order) {
        if let Some(count) = left.get_mut(run).filter(|count| **count > 0) {
            *count -= 1;
            correct += 1;
        }
    }
    (correct as f64, text.windows(order).len() as f64)
}

/// The geometric mean of the four precisions in percent, those without a match smoothed as NIST does, times the penalty
/// for a text that is too short.
pub(super) fn score(counts: &[f64]) -> f64 {
    let [length, expected, orders @ ..] = counts else {
        return 0.0;
    };
    let (correct, total) = orders.split_at(ORDERS.min(orders.len()));
    if correct.iter().all(|&count| count == 0.0) {
        return 0.0;
    }
    let penalty = if length < expected {
        (1.0 - expected / length).exp()
    } else {
        1.0
    };
    let (mut smoothing, mut sum) = (1.0, 0.0);
    for (correct, total) in correct.iter().zip(total) {
        if *total == 0.0 {
            return 0.0;
        }
        let precision = if *correct == 0.0 {
            smoothing *= 2.0;
            100.0 / (smoothing * total)
        } else {
            100.0 * correct / total
        };
        sum += precision.ln();
    }
    penalty * (sum / ORDERS as f64).exp()
}

/// Words and punctuation apart.
fn tokens(text: &str) -> Vec<String> {
    let text = text.trim_end_matches(is_space).replace("<skipped>", "");
    let mut text = text.replace("-\n", "").replace('\n', " ");
    for (entity, character) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
        text = text.replace(entity, character);
    }
    let characters: Vec<char> = spaced_punctuation(&format!(" {text} ")).chars().collect();
    let characters = after_no_digit(&characters);
    let characters = before_no_digit(&characters);
    let text = dash_after_digit(&characters);
    text.split(is_space)
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Blanks round ASCII punctuation, save for the apostrophe, the comma, the dash and the full stop.
fn spaced_punctuation(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len());
    for c in text.chars() {
        // The blank is in the same class, and stays a blank in the end.
        if c.is_ascii_punctuation() && !"',-.".contains(c) {
            spaced.extend([' ', c, ' ']);
        } else {
            spaced.push(c);
        }
    }
    spaced
}

/// A comma or full stop stands alone unless a digit is before it.
fn after_no_digit(characters: &[char]) -> Vec<char> {
    let (mut out, mut index) = (Vec::with_capacity(characters.len()), 0);
    while index < characters.len() {
        match (characters[index], characters.get(index + 1)) {
            (c, Some(&mark @ ('.' | ','))) if !c.is_ascii_digit() => {
                out.extend([c, ' ', mark, ' ']);
                index += 2;
            }
            (c, _) => {
                out.push(c);
                index += 1;
            }
        }
    }
    out
}

/// A comma or full stop stands alone unless a digit is after it.
fn before_no_digit(characters: &[char]) -> Vec<char> {
    let (mut out, mut index) = (Vec::with_capacity(characters.len()), 0);
    while index < characters.len() {
        match (characters[index], characters.get(index + 1)) {
            (mark @ ('.' | ','), Some(&c)) if !c.is_ascii_digit() => {
                out.extend([' ', mark, ' ', c]);
                index += 2;
            }
            (c, _) => {
                out.push(c);
                index += 1;
            }
        }
    }
    out
}

/// A dash after a digit stands alone.
fn dash_after_digit(characters: &[char]) -> String {
    let mut out = String::with_capacity(characters.len());
    for (index, &c) in characters.iter().enumerate() {
        let after_digit = index > 0 && characters[index - 1].is_ascii_digit();
        if c == '-' && after_digit {
            out.push_str(" - ");
        } else {
            out.push(c);
        }
    }
    out
}
