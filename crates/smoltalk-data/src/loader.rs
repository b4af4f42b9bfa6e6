//! Rows in a deterministic order that can be taken up anywhere.

use crate::source::{Conversations, fingerprint};
use crate::{
    ChatTokenizer, Conversation, DataError, Mask, Overlong, PackedRow, Packer, Packing, PackingCounts, Source,
    SystemPrompt,
};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How a [`DataLoader`] makes rows.
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
    pub system: SystemPrompt,
    /// Seed of the order. Default 42.
    pub seed: u64,
    /// Whether the order is drawn at all. Default true.
    pub shuffle: bool,
    /// Conversations that are shuffled and packed together; the bound on memory. Default 8192.
    pub buffer: usize,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self {
            sequence_length: 2048,
            packing: Packing::default(),
            overlong: Overlong::default(),
            mask: Mask::default(),
            system: SystemPrompt::default(),
            seed: 42,
            shuffle: true,
            buffer: 8192,
        }
    }
}

impl LoaderConfig {
    /// # Errors
    /// [`DataError::Config`] naming the field.
    pub fn validate(&self) -> Result<(), DataError> {
        for (field, lowest, found) in [("sequence_length", 2, self.sequence_length), ("buffer", 1, self.buffer)] {
            if found < lowest {
                return Err(DataError::Config {
                    field,
                    expected: format!("at least {lowest}"),
                    found: found.to_string(),
                });
            }
        }
        Ok(())
    }
}

/// A place in the endless sequence of rows: everything needed to go on from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataPosition {
    /// Whole passes over the source.
    pub epoch: u64,
    /// Conversations of this pass before the current buffer.
    pub conversations: u64,
    /// Rows of the current buffer already given out.
    pub rows: u64,
    /// Of every conversation read in this pass, the current buffer's too, in their order: another source has another.
    pub fingerprint: u64,
}

/// An endless sequence of rows, one pass over the source after the other.
///
/// A buffer of [`LoaderConfig::buffer`] conversations at a time is read, shuffled and packed, so memory is bounded and
/// the order depends on nothing but the source, the configuration and the position.
pub struct DataLoader {
    source: Source,
    tokenizer: ChatTokenizer,
    config: LoaderConfig,
    reader: Conversations,
    /// Where the buffer in `rows` began, and how many of its rows are gone.
    position: DataPosition,
    /// Conversations read into the current buffer.
    buffered: u64,
    rows: VecDeque<PackedRow>,
    counts: PackingCounts,
}

impl DataLoader {
    /// A loader at the beginning.
    ///
    /// # Errors
    /// [`DataError::Config`].
    pub fn new(source: Source, tokenizer: ChatTokenizer, config: LoaderConfig) -> Result<Self, DataError> {
        config.validate()?;
        let reader = source.conversations();
        Ok(Self {
            source,
            tokenizer,
            config,
            reader,
            position: DataPosition::default(),
            buffered: 0,
            rows: VecDeque::new(),
            counts: PackingCounts::default(),
        })
    }

    /// The same loader at a saved position: it gives out exactly the rows that would have come next there. What its
    /// counts say begins anew.
    ///
    /// # Errors
    /// [`DataError::Position`] when the source has become shorter, [`DataError::PositionData`] when it held other
    /// conversations up to there, [`DataError::PositionRows`] when its rows are fewer; whatever reading the source
    /// gives.
    pub fn resume(self, position: DataPosition) -> Result<Self, DataError> {
        let mut loader = Self::new(self.source, self.tokenizer, self.config)?;
        for found in 0..position.conversations {
            if loader.read()?.is_none() {
                return Err(DataError::Position {
                    expected: position.conversations,
                    found,
                });
            }
        }
        (loader.position.epoch, loader.position.conversations) = (position.epoch, position.conversations);
        if position.rows > 0 {
            loader.fill(usize::MAX)?;
        }
        if loader.position.fingerprint != position.fingerprint {
            return Err(DataError::PositionData {
                expected: position.fingerprint,
                found: loader.position.fingerprint,
            });
        }
        let found = loader.rows.len() as u64;
        if found < position.rows {
            return Err(DataError::PositionRows {
                expected: position.rows,
                found,
            });
        }
        loader.rows.drain(..position.rows as usize);
        loader.position = position;
        Ok(loader)
    }

    /// The place before the next row.
    pub fn position(&self) -> DataPosition {
        self.position
    }

    /// What the packing did so far.
    pub fn counts(&self) -> PackingCounts {
        self.counts
    }

    /// How rows are made.
    pub fn config(&self) -> &LoaderConfig {
        &self.config
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &ChatTokenizer {
        &self.tokenizer
    }

    /// The next row; passes over the source follow one another without end.
    ///
    /// # Errors
    /// Whatever reading, rendering or tokenising gives; [`DataError::NoRows`] when a whole pass has no row.
    pub fn next_row(&mut self) -> Result<PackedRow, DataError> {
        let mut passes = 0;
        loop {
            if let Some(row) = self.rows.pop_front() {
                self.position.rows += 1;
                return Ok(row);
            }
            self.pass_buffer();
            if !self.fill(usize::MAX)? {
                passes += 1;
                if passes > 1 {
                    let conversations = self.position.conversations;
                    return Err(DataError::NoRows {
                        conversations,
                        sequence_length: self.config.sequence_length,
                    });
                }
                self.position = DataPosition {
                    epoch: self.position.epoch + 1,
                    ..DataPosition::default()
                };
                self.reader = self.source.conversations();
            }
        }
    }

    /// The next `count` rows.
    ///
    /// # Errors
    /// As [`DataLoader::next_row`].
    pub fn next_rows(&mut self, count: usize) -> Result<Vec<PackedRow>, DataError> {
        (0..count).map(|_| self.next_row()).collect()
    }

    /// The rows of one pass, at most `limit`, for a held-out loss. They are all in memory. Buffers end as soon as they
    /// have the tokens of the rows still missing, so only the first conversations are read.
    ///
    /// # Errors
    /// As [`DataLoader::next_row`].
    pub fn one_pass(mut self, limit: usize) -> Result<Vec<PackedRow>, DataError> {
        let mut rows = Vec::new();
        while rows.len() < limit {
            let missing = (limit - rows.len()).saturating_mul(self.config.sequence_length);
            if self.rows.is_empty() && !self.fill(missing)? {
                break;
            }
            rows.extend(self.rows.drain(..));
            self.pass_buffer();
        }
        rows.truncate(limit);
        if rows.is_empty() {
            let sequence_length = self.config.sequence_length;
            return Err(DataError::NoRows {
                conversations: self.counts.conversations,
                sequence_length,
            });
        }
        Ok(rows)
    }

    /// Moves the position behind the current buffer.
    fn pass_buffer(&mut self) {
        self.position.conversations += self.buffered;
        self.position.rows = 0;
        self.buffered = 0;
    }

    /// The next conversation of this pass, which the fingerprint then covers.
    fn read(&mut self) -> Result<Option<Conversation>, DataError> {
        let conversation = self.reader.next().transpose()?;
        if let Some(conversation) = &conversation {
            self.position.fingerprint = fingerprint(conversation, self.position.fingerprint);
        }
        Ok(conversation)
    }

    /// Reads and packs one buffer, which ends early when it has `enough` tokens; false at the end of the source.
    fn fill(&mut self, enough: usize) -> Result<bool, DataError> {
        let mut buffer = Vec::new();
        let mut tokens = 0;
        while buffer.len() < self.config.buffer && tokens < enough {
            let Some(conversation) = self.read()? else {
                break;
            };
            let (mask, system) = (self.config.mask, self.config.system);
            let tokenized = self.tokenizer.encode_conversation(&conversation, mask, system)?;
            tokens += tokenized.ids.len();
            buffer.push(tokenized);
        }
        if buffer.is_empty() {
            return Ok(false);
        }
        self.buffered = buffer.len() as u64;
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        // A stream of its own for every buffer: the order of one does not depend on having drawn the ones before.
        rng.set_stream((self.position.epoch << 40) ^ self.position.conversations);
        if self.config.shuffle {
            buffer.shuffle(&mut rng);
        }
        let packer = Packer {
            packing: self.config.packing,
            overlong: self.config.overlong,
            sequence_length: self.config.sequence_length,
            eos: self.tokenizer.end_of_turn_id(),
            pad: self.tokenizer.pad_id(),
            train_on_separators: self.config.mask == Mask::All,
        };
        self.rows = packer.pack(buffer, &mut self.counts, &mut rng).into();
        Ok(true)
    }
}
