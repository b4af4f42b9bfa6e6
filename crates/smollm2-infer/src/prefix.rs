//! Keeps the keys and values of finished rows, for prompts that continue them.

use std::collections::VecDeque;

use smollm2_model::{DecoderBackend, KvCache};

/// Fewest tokens that a prompt must share with a row for the row to be used. Recomputing fewer together with other
/// prompts costs less than a separate forward pass for this prompt.
const FEWEST: usize = 64;

/// The most recently finished rows, each with the keys and values of its tokens.
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

    /// Keeps a row; `cache` holds `ids` and no other row. The oldest row is dropped if there are too many.
    pub(crate) fn insert(&mut self, ids: Vec<u32>, cache: KvCache<B>) {
        self.entries.truncate(self.most.saturating_sub(1));
        self.entries.push_front(Prefix { ids, cache });
    }

    /// Keys and values of the longest prefix that `prompt` shares with a row, if that is at least [`FEWEST`] tokens and
    /// half of the prompt. The last token of the prompt is never included. A row that is itself a prefix of the prompt
    /// is moved out; a row that continues differently is copied.
    pub(crate) fn longest(&mut self, prompt: &[u32]) -> Option<KvCache<B>> {
        let shared = self.entries.iter().map(|entry| common(&entry.ids, prompt));
        let (index, length) = shared.enumerate().max_by_key(|(_, length)| *length)?;
        let length = length.min(prompt.len() - 1);
        if length < FEWEST.max(prompt.len().div_ceil(2)) {
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

/// Length of the common prefix of two rows.
fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use smollm2_model::{SmolLm2, SmolLm2Config};

    use super::*;

    fn model() -> SmolLm2<Flex> {
        let mut config = SmolLm2Config::smollm2_135m();
        (config.vocab_size, config.hidden_size, config.intermediate_size) = (512, 32, 32);
        (config.num_attention_heads, config.num_key_value_heads, config.head_dim) = (1, 1, 32);
        config.num_hidden_layers = 1;
        config.feed_forward.truncate(1);
        config.init(&Default::default()).unwrap()
    }

    #[test]
    fn a_row_is_used_only_where_it_saves_much() {
        let model = model();
        let kept: Vec<u32> = (0..100).collect();
        let mut prefixes = Prefixes::new(1);
        prefixes.insert(kept.clone(), model.prefill(&[&kept], 0).1);
        let used = [(63, 1), (64, 1), (64, 64), (64, 65), (80, 90)].map(|(shared, new)| {
            let prompt: Vec<u32> = kept[..shared].iter().copied().chain(200..200 + new).collect();
            prefixes.longest(&prompt).map(|cache| cache.len())
        });
        assert_eq!(used, [None, Some(64), Some(64), None, None]);
        // The last token of a prompt is always computed.
        assert_eq!(prefixes.longest(&kept[..64]).map(|cache| cache.len()), None);
        assert_eq!(prefixes.longest(&kept[..65]).map(|cache| cache.len()), Some(64));
    }
}
