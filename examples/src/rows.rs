//! A data loader as the trainer's source of rows.

use serde_json::Value;
use smollm2_train::RowSource;
use smoltalk_data::{ChatTokenizer, DataError, DataLoader, LoaderConfig, PackedRow, Source};

/// Rows of a source of conversations, pass after pass.
pub struct ConversationRows {
    source: Source,
    tokenizer: ChatTokenizer,
    loader: DataLoader,
}

impl ConversationRows {
    /// From the beginning.
    ///
    /// # Errors
    /// As [`DataLoader::new`].
    pub fn new(source: Source, tokenizer: ChatTokenizer, config: LoaderConfig) -> Result<Self, DataError> {
        let loader = DataLoader::new(source.clone(), tokenizer.clone(), config)?;
        Ok(Self {
            source,
            tokenizer,
            loader,
        })
    }

    /// The loader, for its counts.
    pub fn loader(&self) -> &DataLoader {
        &self.loader
    }
}

impl RowSource for ConversationRows {
    fn next_rows(&mut self, count: usize) -> Result<Vec<PackedRow>, DataError> {
        self.loader.next_rows(count)
    }

    fn position(&self) -> Value {
        serde_json::to_value(self.loader.position()).unwrap_or_default()
    }

    fn resume(&mut self, position: &Value) -> Result<bool, DataError> {
        let Ok(position) = serde_json::from_value(position.clone()) else {
            return Ok(false);
        };
        let fresh = DataLoader::new(
            self.source.clone(),
            self.tokenizer.clone(),
            self.loader.config().clone(),
        )?;
        self.loader = fresh.resume(position)?;
        Ok(true)
    }
}
