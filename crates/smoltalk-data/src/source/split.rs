//! A held-out share of a source.

use crate::{Conversation, DataError, Source};
use sha2::{Digest, Sha256};

/// One side of a split.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    seed: u64,
    /// Fingerprints below it are held out.
    threshold: u64,
    held_out: bool,
}

impl Part {
    /// Whether a conversation is on this side.
    pub(super) fn holds(&self, conversation: &Conversation) -> bool {
        (fingerprint(conversation, self.seed) < self.threshold) == self.held_out
    }
}

impl Source {
    /// This source in two: what to train on, and about `share` of the conversations held out from it.
    ///
    /// The side of a conversation is drawn from its words and the seed alone. So it does not depend on the order of
    /// the source or on what else is in it, both sides stream, and a conversation that occurs twice is never on both.
    ///
    /// ```
    /// use smoltalk_data::{Conversation, Message, Source};
    ///
    /// let conversation = |index: usize| Conversation {
    ///     messages: vec![Message { role: "user".into(), content: index.to_string() }],
    ///     source: None,
    /// };
    /// let source = Source::from_conversations((0..1000).map(conversation).collect());
    /// let (training, held_out) = source.split(0.05, 42)?;
    /// let counts = (training.conversations().count(), held_out.conversations().count());
    /// assert_eq!(counts.0 + counts.1, 1000);
    /// assert!((30..70).contains(&counts.1));
    /// # Ok::<(), smoltalk_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// [`DataError::Config`] when `share` is not between 0 and 1.
    pub fn split(self, share: f64, seed: u64) -> Result<(Self, Self), DataError> {
        if !(share > 0.0 && share < 1.0) {
            return Err(DataError::Config {
                field: "held-out share",
                expected: "a share between 0 and 1".to_string(),
                found: share.to_string(),
            });
        }
        // 2^64 as f64; the product is below it, so the conversion keeps the value.
        let threshold = (share * 18_446_744_073_709_551_616.0) as u64;
        let side = |held_out| {
            let mut source = self.clone();
            source.parts.push(Part {
                seed,
                threshold,
                held_out,
            });
            source
        };
        Ok((side(false), side(true)))
    }
}

/// The first 64 bits of the SHA-256 of the seed and every turn: the same on every machine and with every compiler, and
/// without a pattern however alike the texts are.
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
