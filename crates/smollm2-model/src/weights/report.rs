//! Compares the tensors of a file with those that the configuration requires.

use std::fmt;

use super::archive::Shapes;
use crate::{
    ModelError, SmolLm2Config,
    schema::{EMBEDDING, OUTPUT_PROJECTION},
};

/// Similarity (Jaro-Winkler, 0 to 1) from which a known name is offered as the one that was meant.
const NEAREST: f64 = 0.85;

/// Most pairs of names compared, and the longest name: enough for a wrong model, not for a file made to keep the
/// loader busy.
const COMPARISONS: usize = 1 << 18;
const LONGEST: usize = 256;

/// How the tensors of a file differ from what the configuration calls for. All lists are empty after a strict load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Tensors the model has and the file lacks; after a lenient load they hold fresh random values.
    pub missing: Vec<NameMismatch>,
    /// Tensors of the file that the model has no place for.
    pub unused: Vec<NameMismatch>,
    /// Tensors of another shape than the configuration says; after a lenient load they hold fresh random values.
    pub misshaped: Vec<ShapeMismatch>,
}

/// A name that only the file or only the model has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameMismatch {
    /// The name.
    pub name: String,
    /// The most similar name, if any is similar: for a missing tensor of the unused ones, for an unused one of the
    /// missing ones, or, where none of those is, of all that the model has.
    pub nearest: Option<String>,
}

/// A tensor whose shape is not the configuration's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeMismatch {
    /// The name.
    pub name: String,
    /// Sizes the configuration calls for.
    pub expected: Vec<usize>,
    /// Sizes in the file.
    pub found: Vec<usize>,
}

impl LoadReport {
    /// Whether everything fits.
    pub fn is_clean(&self) -> bool {
        self.missing.is_empty() && self.unused.is_empty() && self.misshaped.is_empty()
    }

    /// Compares the tensors of a file with those of `config`.
    ///
    /// An output projection next to a tied embedding and the rotary buffers of old checkpoints are not parameters of
    /// the model and not reported; the former is compared by value when it is read.
    ///
    /// # Errors
    /// [`ModelError::Vocabulary`] and [`ModelError::Config`]: what no lenient load can make good.
    pub(super) fn compare(config: &SmolLm2Config, stored: &Shapes) -> Result<Self, ModelError> {
        if config.num_hidden_layers > stored.len() {
            let expected = format!("at most the number of tensors, {}", stored.len());
            return Err(ModelError::config(
                "num_hidden_layers",
                expected,
                config.num_hidden_layers,
            ));
        }
        check_vocabulary(config, stored)?;
        let expected: Shapes = config
            .parameters()
            .map(|parameter| (parameter.name, parameter.shape))
            .collect();
        let missing: Vec<&String> = expected.keys().filter(|name| !stored.contains_key(*name)).collect();
        let unused: Vec<&String> = stored
            .keys()
            .filter(|name| !expected.contains_key(*name) && !is_ignored(name, config))
            .collect();
        let misshaped = expected.iter().filter_map(|(name, shape)| {
            let found = stored.get(name)?;
            (found != shape).then(|| ShapeMismatch {
                name: name.clone(),
                expected: shape.clone(),
                found: found.clone(),
            })
        });
        let known: Vec<&String> = expected.keys().collect();
        Ok(Self {
            missing: mismatches(&missing, &[&unused]),
            unused: mismatches(&unused, &[&missing, &known]),
            misshaped: misshaped.collect(),
        })
    }
}

fn is_ignored(name: &str, config: &SmolLm2Config) -> bool {
    name.ends_with(".rotary_emb.inv_freq") || (config.tie_word_embeddings && name == OUTPUT_PROJECTION)
}

/// Each name with the most similar one of the first list that has any, for as many names as [`COMPARISONS`] allows.
fn mismatches(names: &[&String], lists: &[&[&String]]) -> Vec<NameMismatch> {
    let (mut left, mut mismatches) = (COMPARISONS, Vec::with_capacity(names.len()));
    for name in names {
        mismatches.push(NameMismatch {
            name: (*name).clone(),
            nearest: lists.iter().find_map(|candidates| {
                left = left.checked_sub(candidates.len())?;
                nearest(name, candidates)
            }),
        });
    }
    mismatches
}

fn nearest(name: &str, candidates: &[&String]) -> Option<String> {
    let scored = candidates
        .iter()
        .filter(|candidate| name.len().max(candidate.len()) <= LONGEST)
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate));
    let nearest = scored
        .filter(|(score, _)| *score >= NEAREST)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    nearest.map(|(_, candidate)| (*candidate).clone())
}

fn check_vocabulary(config: &SmolLm2Config, stored: &Shapes) -> Result<(), ModelError> {
    match stored.get(EMBEDDING).and_then(|shape| shape.first()) {
        Some(rows) if *rows != config.vocab_size => Err(ModelError::Vocabulary {
            config: config.vocab_size,
            tensor: *rows,
        }),
        _ => Ok(()),
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} missing, {} unused, {} of another shape",
            self.missing.len(),
            self.unused.len(),
            self.misshaped.len()
        )?;
        for (title, list) in [("missing", &self.missing), ("unused", &self.unused)] {
            for entry in list {
                write!(f, "\n  {title} {}", entry.name)?;
                if let Some(nearest) = &entry.nearest {
                    write!(f, " (is it {nearest}?)")?;
                }
            }
        }
        for entry in &self.misshaped {
            write!(
                f,
                "\n  {}: expected shape {:?}, found {:?}",
                entry.name, entry.expected, entry.found
            )?;
        }
        Ok(())
    }
}
