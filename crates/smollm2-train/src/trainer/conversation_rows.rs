use serde::{Deserialize, Serialize};
use serde_json::Value;
use smoltalk_data::{
    ChatTokenizer, DataError, DataLoader, DataPosition, LoaderConfig, LoaderObserver, PackedRow, Source,
};

use super::RowSource;
use crate::{TrainConfig, TrainError};

/// Rows of a source of conversations, pass after pass: a [`DataLoader`] as the trainer's [`RowSource`].
///
/// ```
/// use smollm2_train::{ConversationRows, RowSource};
/// use smoltalk_data::{ChatTokenizer, Conversation, LoaderConfig, Message, Packing, Source};
///
/// let messages = vec![Message::user("What is 2 + 3?"), Message::assistant("5.")];
/// let source = Source::from_conversations(vec![Conversation { messages, source: None }]);
/// let config = LoaderConfig { sequence_length: 256, packing: Packing::BestFit, ..LoaderConfig::default() };
///
/// let mut rows = ConversationRows::new(source, ChatTokenizer::byte_level()?, config)?;
/// let start = rows.position()?;
/// let first = rows.next_rows(2)?;
/// rows.resume(&start)?;
/// assert_eq!(rows.next_rows(2)?, first);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ConversationRows {
    loader: DataLoader,
}

impl ConversationRows {
    /// From the beginning.
    ///
    /// # Errors
    /// As [`DataLoader::new`].
    pub fn new(source: Source, tokenizer: ChatTokenizer, config: LoaderConfig) -> Result<Self, DataError> {
        let loader = DataLoader::new(source, tokenizer, config)?;
        Ok(Self { loader })
    }

    /// The same rows with an observer of the tokenising and of the records that are skipped.
    pub fn with_observer(mut self, observer: Box<dyn LoaderObserver>) -> Self {
        self.loader = self.loader.with_observer(observer);
        self
    }

    /// The loader, for its counts and the records it skipped.
    pub fn loader(&self) -> &DataLoader {
        &self.loader
    }
}

/// What [`ConversationRows::position`] gives: a position is valid only for the configuration that it was saved with.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    loader: LoaderConfig,
    position: DataPosition,
}

/// A [`Place`], for messages.
const SHAPE: &str = "an object of `loader` and `position` with `epoch`, `conversations`, `rows` and `fingerprint`";

impl RowSource for ConversationRows {
    fn next_rows(&mut self, count: usize) -> Result<Vec<PackedRow>, TrainError> {
        Ok(self.loader.next_rows(count)?)
    }

    fn check(&self, recipe: &TrainConfig) -> Result<(), TrainError> {
        let (recipe, loader) = (recipe.loader(), self.loader.config());
        for (field, recipe, loader) in [
            ("seed", recipe.seed.to_string(), loader.seed.to_string()),
            (
                "sequence_length",
                recipe.sequence_length.to_string(),
                loader.sequence_length.to_string(),
            ),
            ("mask", format!("{:?}", recipe.mask), format!("{:?}", loader.mask)),
            (
                "packing",
                format!("{:?}", recipe.packing),
                format!("{:?}", loader.packing),
            ),
            (
                "system_prompt",
                format!("{:?}", recipe.system),
                format!("{:?}", loader.system),
            ),
        ] {
            if recipe != loader {
                return Err(TrainError::WithoutEffect { field, recipe, loader });
            }
        }
        Ok(())
    }

    fn position(&self) -> Result<Value, TrainError> {
        let place = Place {
            loader: self.loader.config().clone(),
            position: self.loader.position(),
        };
        serde_json::to_value(place).map_err(|error| TrainError::position(SHAPE, error))
    }

    fn resume(&mut self, position: &Value) -> Result<(), TrainError> {
        let place: Place = serde_json::from_value(position.clone())
            .map_err(|error| TrainError::position(SHAPE, format!("{position} ({error})")))?;
        let config = self.loader.config();
        if !place.loader.same_rows(config) {
            return Err(TrainError::ResumeMismatch {
                field: "data loader".to_owned(),
                expected: format!("{:?}", place.loader),
                found: format!("{config:?}"),
            });
        }
        Ok(self.loader.seek(place.position)?)
    }
}
