//! Keys and values of rows that have ended, for prompts that continue them.

use std::collections::VecDeque;

use smollm2_model::{DecoderBackend, KvCache};

/// The rows that ended last, each with the keys and values of its tokens.
#[derive(Debug)]
pub(crate) struct Prefixes<B: DecoderBackend> {
    entries: VecDeque<Prefix<B>>,
    most: usize,
}

#[derive(Debug)]
struct Prefix<B: DecoderBackend> {
    ids: Vec<u32>,
    cache: KvCache<B>,
}

impl<B: DecoderBackend> Prefixes<B> {
    /// Keeps at most `most` rows.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            most,
        }
    }

    /// Whether rows are kept at all.
    pub(crate) fn keeps(&self) -> bool {
        self.most > 0
    }

    /// Keeps a row: `cache` holds `ids` and no other row. The row kept longest goes.
    pub(crate) fn insert(&mut self, ids: Vec<u32>, cache: KvCache<B>) {
        self.entries.truncate(self.most.saturating_sub(1));
        self.entries.push_front(Prefix { ids, cache });
    }

    /// Keys and values of the longest beginning of `prompt` that a row has in common with it; its last token is left to
    /// be computed. A row that the prompt continues is taken, a row that continues differently is copied.
    pub(crate) fn longest(&mut self, prompt: &[u32]) -> Option<KvCache<B>> {
        let shared = self.entries.iter().map(|entry| common(&entry.ids, prompt));
        let (index, length) = shared.enumerate().max_by_key(|(_, length)| *length)?;
        let length = length.min(prompt.len() - 1);
        if length == 0 {
            return None;
        }
        let mut cache = if length == self.entries[index].ids.len() {
            self.entries.remove(index)?.cache
        } else {
            self.entries[index].cache.clone()
        };
        cache.truncate(length);
        Some(cache)
    }
}

/// How many tokens two rows begin with in common.
fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
