//! From a model's answers to numbers: filters, normalisation, accuracies, the mean and its standard error.

use fancy_regex::Regex;
use serde::{Deserialize, Serialize};

use crate::task::{FilterStep, Metric, MetricConfig};

/// Log-likelihood of a continuation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loglikelihood {
    /// Sum of the natural log-probabilities of the continuation's tokens.
    pub sum: f64,
    /// Whether every token of the continuation is the model's most likely one.
    pub is_greedy: bool,
}

/// A filter chain with its expressions compiled.
pub(crate) struct Filter {
    pub(crate) name: String,
    steps: Vec<(FilterStep, Option<Regex>)>,
}

impl Filter {
    /// Compiles a chain; the error is the regular expression's.
    pub(crate) fn new(chain: &crate::task::FilterChain) -> Result<Self, String> {
        let compile = |step: &FilterStep| match step {
            FilterStep::Regex { regex_pattern, .. } => {
                python_regex(regex_pattern).map(|regex| (step.clone(), Some(regex)))
            }
            _ => Ok((step.clone(), None)),
        };
        Ok(Self {
            name: chain.name.clone(),
            steps: chain.filter.iter().map(compile).collect::<Result<_, _>>()?,
        })
    }

    /// Applies the chain to one response.
    pub(crate) fn apply(&self, response: &str) -> String {
        let mut text = response.to_owned();
        for (step, regex) in &self.steps {
            text = match (step, regex) {
                (
                    FilterStep::Regex {
                        group_select, fallback, ..
                    },
                    Some(regex),
                ) => selected_match(regex, &text, *group_select).unwrap_or_else(|| fallback.clone()),
                (FilterStep::Lowercase, _) => text.to_lowercase(),
                (FilterStep::Uppercase, _) => text.to_uppercase(),
                (FilterStep::RemoveWhitespace, _) => text.trim().to_owned(),
                _ => text,
            };
        }
        text
    }
}

/// Compiles an expression of Python's dialect, in which `$` also matches before a final newline and `\Z` only at the
/// very end. With `(?m)` in front `$` means the same in both.
fn python_regex(pattern: &str) -> Result<Regex, String> {
    let flags = pattern.strip_prefix("(?").unwrap_or_default();
    let multiline = flags
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .any(|flag| flag == 'm');
    let characters: Vec<char> = pattern.chars().collect();
    let mut translated = String::with_capacity(pattern.len());
    // The index of the first member of the class that is open: a `]` there does not close it.
    let (mut escaped, mut class) = (false, None);
    for (index, &c) in characters.iter().enumerate() {
        match c {
            '$' if !escaped && class.is_none() && !multiline => translated.push_str(r"(?=\n?\z)"),
            'Z' if escaped && class.is_none() => translated.push('z'),
            _ => translated.push(c),
        }
        class = match (class, c) {
            (None, '[') if !escaped => Some(index + 1 + usize::from(characters.get(index + 1) == Some(&'^'))),
            (Some(first), ']') if !escaped && index > first => None,
            (class, _) => class,
        };
        escaped = c == '\\' && !escaped;
    }
    Regex::new(&translated).map_err(|error| error.to_string())
}

/// Python's `re.findall`, then one of the matches (negative counts from the end); of several groups the first that
/// is not empty; white space stripped. `None` when nothing matches, the index is out of range, or all of several
/// groups are empty.
fn selected_match(regex: &Regex, text: &str, select: i64) -> Option<String> {
    let found: Vec<_> = regex.captures_iter(text).map_while(Result::ok).collect();
    let index = if select < 0 {
        found.len() as i64 + select
    } else {
        select
    };
    let captures = found.get(usize::try_from(index).ok()?)?;
    let group = |index| captures.get(index).map_or("", |group| group.as_str());
    let chosen = match captures.len() {
        1 => Some(group(0)),
        2 => Some(group(1)),
        groups => (1..groups).map(group).find(|text| !text.is_empty()),
    };
    chosen.map(|text| text.trim().to_owned())
}

/// `exact_match` with its expressions compiled.
pub(crate) struct ExactMatch<'a> {
    config: &'a MetricConfig,
    ignored: Vec<Regex>,
}

impl<'a> ExactMatch<'a> {
    pub(crate) fn new(config: &'a MetricConfig) -> Result<Self, String> {
        let ignored = config.regexes_to_ignore.iter().map(|pattern| python_regex(pattern));
        Ok(Self {
            config,
            ignored: ignored.collect::<Result<_, _>>()?,
        })
    }

    /// 1 if both sides are equal after normalisation, else 0.
    pub(crate) fn score(&self, prediction: &str, reference: &str) -> f64 {
        f64::from(u8::from(self.normalise(prediction) == self.normalise(reference)))
    }

    /// In this order: expressions deleted, lower case, punctuation, digits.
    fn normalise(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for regex in &self.ignored {
            text = regex.replace_all(&text, "").into_owned();
        }
        if self.config.ignore_case {
            text = text.to_lowercase();
        }
        if self.config.ignore_punctuation {
            text.retain(|c| !c.is_ascii_punctuation());
        }
        if self.config.ignore_numbers {
            text.retain(|c| !c.is_ascii_digit());
        }
        text
    }
}

/// 1 if the choice the metric prefers is `gold`, else 0. The first of equals wins, as with NumPy's `argmax`.
pub(crate) fn choice_score(metric: Metric, scores: &[Loglikelihood], choices: &[String], gold: usize) -> f64 {
    let length = |choice: &String| match metric {
        Metric::AccNorm => choice.chars().count() as f64,
        Metric::AccBytes => choice.len() as f64,
        Metric::Acc | Metric::ExactMatch => 1.0,
    };
    let values = scores
        .iter()
        .zip(choices)
        .map(|(score, choice)| score.sum / length(choice));
    let mut best: Option<(usize, f64)> = None;
    for (index, value) in values.enumerate() {
        // NumPy's argmax takes the first NaN over everything.
        let beats = best.is_none_or(|(_, top)| value > top || (value.is_nan() && !top.is_nan()));
        if beats {
            best = Some((index, value));
        }
    }
    f64::from(u8::from(best.is_some_and(|(index, _)| index == gold)))
}
