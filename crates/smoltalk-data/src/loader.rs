//! Rows in a deterministic order that can be resumed anywhere.

mod config;
mod observer;
mod position;

pub use config::LoaderConfig;
pub use observer::LoaderObserver;
pub use position::{DataPosition, LoaderCounts};

use crate::source::{Located, Place, fingerprint};
use crate::{ChatTokenizer, Conversation, DataError, Mask, PackedRow, Packer, Source, Tokenized};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;

/// Most bad records whose description is kept.
const DESCRIBED: usize = 5;

/// Where a buffer ends.
#[derive(Clone, Copy)]
enum Until {
    /// As the configuration says, or once it has this many tokens.
    Tokens(usize),
    /// After this many conversations, as when it was first read.
    Conversations(u64),
}

/// An endless sequence of rows, one pass over the source after the other.
///
/// A buffer of conversations at a time ([`LoaderConfig::buffer`], [`LoaderConfig::buffer_rows`]) is read, shuffled and
/// packed, so memory is bounded and the order depends on nothing but the source, the configuration and the position.
///
/// A record that cannot be used (a line cut short, `content: null`, a conversation the template refuses) is skipped and
/// counted, up to [`LoaderConfig::max_bad_records`] in a pass.
pub struct DataLoader {
    source: Source,
    tokenizer: ChatTokenizer,
    config: LoaderConfig,
    observer: Box<dyn LoaderObserver>,
    reader: Located,
    /// Where the buffer in `rows` began, and how many of its rows are gone.
    position: DataPosition,
    /// Records of this pass that were skipped, including those after the last conversation read.
    skipped: u64,
    first_bad_records: Vec<String>,
    rows: VecDeque<PackedRow>,
}

impl DataLoader {
    /// A loader at the beginning.
    ///
    /// # Errors
    /// [`DataError::Config`].
    pub fn new(source: Source, tokenizer: ChatTokenizer, config: LoaderConfig) -> Result<Self, DataError> {
        config.validate()?;
        let reader = source.located();
        Ok(Self {
            source,
            tokenizer,
            config,
            observer: Box::new(()),
            reader,
            position: DataPosition::default(),
            skipped: 0,
            first_bad_records: Vec::new(),
            rows: VecDeque::new(),
        })
    }

    /// The same loader with an observer of its progress and of the records it skips.
    pub fn with_observer(mut self, observer: Box<dyn LoaderObserver>) -> Self {
        self.observer = observer;
        self
    }

    /// Goes to a saved position: the rows that follow are exactly those that would have come next there, and the counts
    /// continue. After an error only another position can be sought.
    ///
    /// # Errors
    /// [`DataError::Position`] when the source has become shorter, [`DataError::PositionData`] when it held other
    /// conversations up to there, [`DataError::PositionRows`] when its rows are fewer; whatever reading the source
    /// gives.
    pub fn seek(&mut self, position: DataPosition) -> Result<(), DataError> {
        // What was skipped before was reported before.
        let observer = std::mem::replace(&mut self.observer, Box::new(()));
        let read = self.read_up_to(position);
        self.observer = observer;
        read
    }

    fn read_up_to(&mut self, position: DataPosition) -> Result<(), DataError> {
        self.restart();
        for found in 0..position.conversations {
            if self.read()?.is_none() {
                return Err(DataError::Position {
                    expected: position.conversations,
                    found,
                });
            }
        }
        (self.position.epoch, self.position.conversations) = (position.epoch, position.conversations);
        if position.rows > 0 {
            self.fill(match position.buffered {
                // Of an earlier version, in which only `buffer` ended a buffer.
                0 => Until::Conversations(self.config.buffer as u64),
                conversations => Until::Conversations(conversations),
            })?;
        }
        if self.position.fingerprint != position.fingerprint {
            return Err(DataError::PositionData {
                expected: position.fingerprint,
                found: self.position.fingerprint,
            });
        }
        let found = self.rows.len() as u64;
        if found < position.rows {
            return Err(DataError::PositionRows {
                expected: position.rows,
                found,
            });
        }
        self.rows.drain(..position.rows as usize);
        // A position of an earlier version does not know how many conversations the buffer has.
        let buffered = self.position.buffered;
        self.position = DataPosition { buffered, ..position };
        self.skipped = position.bad_records;
        Ok(())
    }

    /// The place before the next row.
    pub fn position(&self) -> DataPosition {
        self.position
    }

    /// What was handed out, and what the packing did, since the beginning of the run.
    pub fn counts(&self) -> LoaderCounts {
        self.position.counts
    }

    /// The first five records that were skipped: where they are, and what is wrong with them.
    /// [`LoaderCounts::bad_records`] says how many there were.
    pub fn first_bad_records(&self) -> &[String] {
        &self.first_bad_records
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
    /// [`DataError::TooManyBadRecords`]; [`DataError::NoRows`] when a whole pass has no row; whatever else reading the
    /// source gives.
    pub fn next_row(&mut self) -> Result<PackedRow, DataError> {
        let mut passes = 0;
        loop {
            if let Some(row) = self.rows.pop_front() {
                self.position.take(&row);
                return Ok(row);
            }
            self.position.pass_buffer();
            if !self.fill(Until::Tokens(usize::MAX))? {
                passes += 1;
                if passes > 1 {
                    return Err(self.no_rows());
                }
                self.next_pass();
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
            if self.rows.is_empty() && !self.fill(Until::Tokens(missing))? {
                break;
            }
            rows.extend(self.rows.drain(..));
            self.position.pass_buffer();
        }
        rows.truncate(limit);
        if rows.is_empty() {
            return Err(self.no_rows());
        }
        Ok(rows)
    }

    fn no_rows(&self) -> DataError {
        DataError::NoRows {
            conversations: self.position.conversations,
            sequence_length: self.config.sequence_length,
        }
    }

    /// Goes back to the first conversation, in the next pass.
    fn next_pass(&mut self) {
        self.position.count_skipped(self.skipped);
        let (epoch, counts) = (self.position.epoch + 1, self.position.counts);
        self.restart();
        (self.position.epoch, self.position.counts) = (epoch, counts);
    }

    fn restart(&mut self) {
        self.position = DataPosition::default();
        self.skipped = 0;
        self.rows.clear();
        self.reader = self.source.located();
    }

    /// The next conversation of this pass, which the fingerprint then covers, and where it is.
    fn read(&mut self) -> Result<Option<(Place, Conversation)>, DataError> {
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
    fn fill(&mut self, until: Until) -> Result<bool, DataError> {
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
        let mut rows = packer.pack(buffer, &mut self.position.counts.packing);
        if self.config.shuffle {
            rows.shuffle(&mut rng);
        }
        rows
    }
}
