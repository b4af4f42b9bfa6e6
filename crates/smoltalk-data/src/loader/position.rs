use crate::{PackedRow, PackingCounts};
use serde::{Deserialize, Serialize};

/// What a [`DataLoader`](crate::DataLoader) did since the beginning of a run, including the parts before a resume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoaderCounts {
    /// Rows handed out.
    pub rows: u64,
    /// Tokens in them, padding included.
    pub tokens: u64,
    /// Of these, targets.
    pub targets: u64,
    /// Records skipped because they could not be used, again in every pass.
    pub bad_records: u64,
    /// What the packing did, in whole buffers: rows that are not handed out yet are in it.
    pub packing: PackingCounts,
}

/// A place in the endless sequence of rows: everything needed to resume from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataPosition {
    /// Whole passes over the source.
    pub epoch: u64,
    /// Conversations of this pass before the current buffer.
    pub conversations: u64,
    /// Conversations in the current buffer; 0 in a position saved before this field existed, and the buffer then ends
    /// after [`LoaderConfig::buffer`](crate::LoaderConfig::buffer) conversations.
    #[serde(default)]
    pub buffered: u64,
    /// Rows of the current buffer already handed out.
    pub rows: u64,
    /// Running hash over every conversation read in this pass, including the current buffer, in order. It changes if
    /// the source changes.
    pub fingerprint: u64,
    /// Records of this pass that were skipped before the last conversation of the current buffer.
    #[serde(default)]
    pub bad_records: u64,
    /// What was done up to here.
    #[serde(default)]
    pub counts: LoaderCounts,
}

impl DataPosition {
    /// Moves past a row of the current buffer.
    pub(super) fn take(&mut self, row: &PackedRow) {
        self.rows += 1;
        self.counts.rows += 1;
        self.counts.tokens += row.ids.len() as u64;
        self.counts.targets += row.loss_mask.iter().filter(|target| **target).count() as u64;
    }

    /// Sets the number of records skipped in this pass.
    pub(super) fn count_skipped(&mut self, skipped: u64) {
        self.counts.bad_records += skipped - self.bad_records;
        self.bad_records = skipped;
    }

    /// Moves past the current buffer.
    pub(super) fn pass_buffer(&mut self) {
        self.conversations += self.buffered;
        (self.buffered, self.rows) = (0, 0);
    }
}
