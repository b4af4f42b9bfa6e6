//! Rows in a deterministic order that can be resumed at any position.

mod buffer;
mod config;
mod observer;
mod position;

pub use config::LoaderConfig;
pub use observer::LoaderObserver;
pub use position::{DataPosition, LoaderCounts};

use crate::source::Located;
use crate::{ChatTokenizer, DataError, PackedRow, Source};
use buffer::Until;
use std::collections::VecDeque;

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
    /// Where the buffer in `rows` began, and how many of its rows were returned.
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

    /// Seeks to a saved position: the following rows are exactly those that would have come next there, and the counts
    /// continue. After an error the loader can only seek again.
    ///
    /// # Errors
    /// [`DataError::Position`] when the source has become shorter, [`DataError::PositionData`] when it held other
    /// conversations up to there, [`DataError::PositionRows`] when it has fewer rows; any error of reading the
    /// source.
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

    /// Counts of the rows returned and of the packing since the beginning of the run.
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

    /// The next row. At the end of the source another pass begins.
    ///
    /// # Errors
    /// [`DataError::TooManyBadRecords`]; [`DataError::NoRows`] when a whole pass has no row; any other error of
    /// reading the source.
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
}
