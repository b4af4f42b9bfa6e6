//! The errors of this crate, with one variant per kind of failure.

use std::path::{Path, PathBuf};

use gguf_file::GgufError;
use kan_rational::RationalError;

use crate::weights::LoadReport;

/// An error of this crate. Every variant names the place (key, row, tensor or setting) and what was expected there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// `config.json` is not JSON, or not a JSON object.
    #[error("the model configuration is not a JSON object: {0}")]
    ConfigSyntax(#[source] serde_json::Error),

    /// A key of the model configuration is missing, has the wrong type, or a value this architecture cannot have.
    #[error("model configuration, key `{key}`: expected {expected}, found {found}")]
    Config {
        /// The key as `config.json` spells it, with a path for nested keys (`feed_forward[3].groups`).
        key: String,
        /// What would have been accepted.
        expected: String,
        /// What was found (`nothing` when the key is missing).
        found: String,
    },

    /// A file or folder could not be opened, read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },

    /// The configuration in a file is invalid.
    #[error("{path}: {source}")]
    ConfigFile {
        /// The file.
        path: PathBuf,
        /// A [`ModelError::ConfigSyntax`] or [`ModelError::Config`].
        source: Box<ModelError>,
    },

    /// There is nothing at the path of a model.
    #[error("{path}: expected a model's folder or a .gguf file, found nothing; check the spelling")]
    Path {
        /// The path.
        path: PathBuf,
    },

    /// A safetensors file is malformed.
    #[error("{path}: safetensors {field}: expected {expected}, found {found}")]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// `file`, `header length`, `header`, or a tensor's name with `.dtype`, `.shape` or `.data_offsets`.
        field: String,
        /// What would have been accepted.
        expected: String,
        /// What is there.
        found: String,
    },

    /// The index of a sharded model is malformed, or disagrees with the shards.
    #[error("{path}: {field}: expected {expected}, found {found}")]
    ShardIndex {
        /// The index.
        path: PathBuf,
        /// `file`, `weight_map`, or a tensor's name.
        field: String,
        /// What would have been accepted.
        expected: String,
        /// What is there.
        found: String,
    },

    /// A GGUF file cannot be read, is malformed, or contains another architecture.
    #[error(transparent)]
    Gguf(#[from] GgufError),

    /// The tensors of a file are not those that its configuration requires.
    #[error("the tensors do not fit the configuration: {report}")]
    Tensors {
        /// Every missing, unused and mis-shaped tensor.
        report: Box<LoadReport>,
    },

    /// The vocabulary size in the configuration differs from that of the embedding. Usually the model was uploaded
    /// again with added tokens.
    #[error(
        "vocab_size: expected {tensor}, the rows of the embedding in the file; found {config} in the configuration"
    )]
    Vocabulary {
        /// `vocab_size` of the configuration.
        config: usize,
        /// Rows of the embedding in the file.
        tensor: usize,
    },

    /// A configuration ties the output projection to the embedding, but the file holds two different matrices.
    #[error("tie_word_embeddings is true: expected {projection} equal to {embedding}, found other values")]
    TiedWeights {
        /// Name of the embedding.
        embedding: &'static str,
        /// Name of the output projection.
        projection: &'static str,
    },

    /// An option, a row or an activation that a conversion or comparison cannot use.
    #[error("{what}: expected {expected}, found {found}")]
    Conversion {
        /// A field of `ConversionOptions`, `rows`, `row 3` or `layer 3`.
        what: String,
        /// What would have been accepted.
        expected: String,
        /// What is there.
        found: String,
    },

    /// No rational function could be fitted for a gate.
    #[error("layer {layer}, group {group}: {source}")]
    Fit {
        /// Layer, from 0.
        layer: usize,
        /// Group, from 0.
        group: usize,
        /// Why.
        source: RationalError,
    },
}

impl ModelError {
    /// A [`ModelError::Config`] from anything printable.
    pub(crate) fn config(key: impl Into<String>, expected: impl Into<String>, found: impl ToString) -> Self {
        Self::Config {
            key: key.into(),
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    /// A [`ModelError::Io`].
    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// A [`ModelError::Conversion`] from anything printable.
    pub(crate) fn conversion(what: impl Into<String>, expected: impl Into<String>, found: impl ToString) -> Self {
        Self::Conversion {
            what: what.into(),
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    /// Names the file a configuration came from.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        match self {
            Self::ConfigSyntax(_) | Self::Config { .. } => Self::ConfigFile {
                path: path.to_owned(),
                source: Box::new(self),
            },
            other => other,
        }
    }
}
