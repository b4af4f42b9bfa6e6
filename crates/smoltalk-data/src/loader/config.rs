use crate::{DataError, Mask, Overlong, Packing, SystemPrompt};
use serde::{Deserialize, Serialize};

/// How a [`DataLoader`](crate::DataLoader) makes rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoaderConfig {
    /// Tokens in a row. Default 2048.
    pub sequence_length: usize,
    /// Default [`Packing::Concat`], the published recipe.
    pub packing: Packing,
    /// Conversations longer than a row. Default [`Overlong::Truncate`].
    pub overlong: Overlong,
    /// Default [`Mask::All`], the published recipe.
    pub mask: Mask,
    /// Default [`SystemPrompt::Default`].
    pub system_prompt: SystemPrompt,
    /// Seed of the order. Default 42.
    pub seed: u64,
    /// Whether conversations and rows are shuffled; otherwise they keep the order of the source and of the packing.
    /// Default true.
    pub shuffle: bool,
    /// Maximum number of conversations that are shuffled and packed together. Default 8192.
    pub buffer: usize,
    /// A buffer also ends once it has the tokens of this many rows. Together with `buffer` this bounds the memory and
    /// the work before the first row. Default 2048.
    pub buffer_rows: usize,
    /// Records of a pass that may be skipped because they cannot be used. One more is an error; with 0 the first one
    /// is. Default 100.
    pub max_bad_records: u64,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self {
            sequence_length: 2048,
            packing: Packing::default(),
            overlong: Overlong::default(),
            mask: Mask::default(),
            system_prompt: SystemPrompt::default(),
            seed: 42,
            shuffle: true,
            buffer: 8192,
            buffer_rows: 2048,
            max_bad_records: 100,
        }
    }
}

impl LoaderConfig {
    /// The default for rows of this many tokens.
    pub fn of_length(sequence_length: usize) -> Self {
        Self {
            sequence_length,
            ..Self::default()
        }
    }

    /// # Errors
    /// [`DataError::Config`] naming the field.
    pub fn validate(&self) -> Result<(), DataError> {
        for (field, found, lowest, expected) in [
            (
                "sequence_length",
                self.sequence_length,
                2,
                "at least 2: a token is predicted from the one before",
            ),
            ("buffer", self.buffer, 1, "at least 1"),
            ("buffer_rows", self.buffer_rows, 1, "at least 1"),
        ] {
            if found < lowest {
                return Err(DataError::config(field, expected, found));
            }
        }
        Ok(())
    }
}
