//! Reads, tokenises, shuffles and packs one buffer of conversations.

use super::{DataLoader, LoaderConfig};
use crate::source::{Place, fingerprint};
use crate::{Conversation, DataError, Mask, PackedRow, Packer, Tokenized};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Maximum number of bad records whose description is kept.
const DESCRIBED: usize = 5;

/// Where a buffer ends.
#[derive(Clone, Copy)]
pub(super) enum Until {
    /// As the configuration says, or once it has this many tokens.
    Tokens(usize),
    /// After this many conversations, as when it was first read.
    Conversations(u64),
}

impl DataLoader {
    /// The next conversation of this pass, which the fingerprint then covers, and where it is.
    pub(super) fn read(&mut self) -> Result<Option<(Place, Conversation)>, DataError> {
        while let Some(found) = self.reader.next() {
            match found {
                Ok((place, conversation)) => {
                    self.position.fingerprint = fingerprint(&conversation, self.position.fingerprint);
                    return Ok(Some((place, conversation)));
                }
                Err(error) => self.skip(error)?,
            }
        }
        Ok(None)
    }

    /// Counts a record that cannot be used.
    fn skip(&mut self, error: DataError) -> Result<(), DataError> {
        if !error.is_bad_record() || self.config.max_bad_records == 0 {
            return Err(error);
        }
        self.skipped += 1;
        let description = error.to_string();
        if self.first_bad_records.len() < DESCRIBED && !self.first_bad_records.contains(&description) {
            self.first_bad_records.push(description);
        }
        self.observer.bad_record(&error);
        if self.skipped > self.config.max_bad_records {
            return Err(DataError::TooManyBadRecords {
                most: self.config.max_bad_records,
                conversations: self.position.conversations + self.position.buffered,
                first: self.first_bad_records.clone(),
            });
        }
        Ok(())
    }

    /// Reads and packs one buffer; false at the end of the source.
    pub(super) fn fill(&mut self, until: Until) -> Result<bool, DataError> {
        let mut buffer = Vec::new();
        let mut tokens = 0;
        self.position.buffered = 0;
        while !self.is_full(tokens, until) {
            let Some((place, conversation)) = self.read()? else {
                break;
            };
            self.position.buffered += 1;
            let (mask, system) = (self.config.mask, self.config.system_prompt);
            match self.tokenizer.encode_conversation(&conversation, mask, system) {
                Ok(tokenized) => {
                    tokens += tokenized.ids.len();
                    buffer.push(tokenized);
                }
                Err(error) => self.skip(DataError::Conversation {
                    place: place.to_string(),
                    source: Box::new(error),
                })?,
            }
            self.position.count_skipped(self.skipped);
            self.observer.tokenized(self.position.buffered, tokens as u64);
        }
        if self.position.buffered == 0 {
            return Ok(false);
        }
        self.rows = self.pack(buffer).into();
        self.observer.packed();
        Ok(true)
    }

    fn is_full(&self, tokens: usize, until: Until) -> bool {
        let LoaderConfig {
            buffer,
            buffer_rows,
            sequence_length,
            ..
        } = self.config;
        match until {
            Until::Conversations(count) => self.position.buffered == count,
            Until::Tokens(enough) => {
                let most = buffer_rows.saturating_mul(sequence_length);
                self.position.buffered == buffer as u64 || tokens >= enough.min(most)
            }
        }
    }

    fn pack(&mut self, mut buffer: Vec<Tokenized>) -> Vec<PackedRow> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        // A separate random stream per buffer, so that its order does not depend on the buffers before.
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
        let mut rows = packer.pack(buffer, &mut self.position.counts.packing);
        if self.config.shuffle {
            rows.shuffle(&mut rng);
        }
        rows
    }
}
