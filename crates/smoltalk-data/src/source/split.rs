//! Holds out a fraction of a source.

use crate::{Conversation, DataError, Source};
use sha2::{Digest, Sha256};

/// Seed of the hash that assigns conversations. It is fixed, so that runs with different seeds hold out the same ones;
/// a split of a split has the next one, to be independent of the first.
const SEED: u64 = 42;

/// One part of a split.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    seed: u64,
    /// Fingerprints below it are held out.
    threshold: u64,
    held_out: bool,
}

impl Part {
    /// Whether a conversation is in this part.
    pub(super) fn holds(&self, conversation: &Conversation) -> bool {
        (fingerprint(conversation, self.seed) < self.threshold) == self.held_out
    }
}

impl Source {
    /// Splits this source into training conversations and about `share` of held-out ones.
    ///
    /// Conversations are assigned by hashing their text. So the split does not depend on the order of the source, its
    /// other conversations or the seed of a run. Both parts stream, and a conversation that occurs twice is never in
    /// both.
    ///
    /// ```
    /// use smoltalk_data::{Conversation, Message, Source};
    ///
    /// let conversation = |index: usize| Conversation {
    ///     messages: vec![Message::user(index.to_string())],
    ///     source: None,
    /// };
    /// let source = Source::from_conversations((0..1000).map(conversation).collect());
    /// let (training, held_out) = source.split(0.05)?;
    /// let counts = (training.conversations().count(), held_out.conversations().count());
    /// assert_eq!(counts.0 + counts.1, 1000);
    /// assert!((30..70).contains(&counts.1));
    /// # Ok::<(), smoltalk_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// [`DataError::Config`] when `share` is not between 0 and 1.
    pub fn split(self, share: f64) -> Result<(Self, Self), DataError> {
        if !(share > 0.0 && share < 1.0) {
            return Err(DataError::config("held-out share", "a share between 0 and 1", share));
        }
        // 2^64 as f64; the product is below it, so the conversion keeps the value.
        let threshold = (share * 18_446_744_073_709_551_616.0) as u64;
        Ok((self.part(threshold, false), self.part(threshold, true)))
    }

    fn part(&self, threshold: u64, held_out: bool) -> Self {
        let mut source = self.clone();
        source.parts.push(Part {
            seed: SEED + self.parts.len() as u64,
            threshold,
            held_out,
        });
        source
    }
}

/// The first 64 bits of the SHA-256 of the seed and every turn: the same on every machine and with every compiler, and
/// without a pattern even for similar texts.
pub(crate) fn fingerprint(conversation: &Conversation, seed: u64) -> u64 {
    let mut digest = Sha256::new();
    digest.update(seed.to_le_bytes());
    for message in &conversation.messages {
        for text in [&message.role, &message.content] {
            digest.update((text.len() as u64).to_le_bytes());
            digest.update(text);
        }
    }
    let digest = digest.finalize();
    digest[..8].iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}
