//! Sources of training rows.

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Map, Value};
use smoltalk_data::{DataLoader, DataPosition, LoaderConfig, Mismatch, PackedRow};

use crate::TrainError;

/// Where training rows come from, in a fixed order that can be resumed from any position.
///
/// ```
/// use smollm2_train::RowSource;
/// use smoltalk_data::{ChatTokenizer, Conversation, DataLoader, LoaderConfig, Message, Packing, Source};
///
/// let messages = vec![Message::user("What is 2 + 3?"), Message::assistant("5.")];
/// let source = Source::from_conversations(vec![Conversation { messages, source: None }]);
/// let config = LoaderConfig { sequence_length: 256, packing: Packing::BestFit, ..LoaderConfig::default() };
///
/// let rows: &mut dyn RowSource = &mut DataLoader::new(source, ChatTokenizer::byte_level()?, config)?;
/// let start = rows.position()?;
/// let first = rows.next_rows(2)?;
/// rows.seek(&start)?;
/// assert_eq!(rows.next_rows(2)?, first);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait RowSource {
    /// The next rows, fewer than `count` only where the data end.
    ///
    /// # Errors
    /// Whatever reading them meets.
    fn next_rows(&mut self, count: usize) -> Result<Vec<PackedRow>, TrainError>;

    /// The position of the next row, as JSON for a checkpoint.
    ///
    /// # Errors
    /// [`TrainError::Position`] when the position cannot be written as JSON.
    fn position(&self) -> Result<Value, TrainError>;

    /// Goes to a position that [`RowSource::position`] gave.
    ///
    /// # Errors
    /// [`TrainError::Position`] when it is not a position in such a source; whatever reading up to it meets.
    fn seek(&mut self, position: &Value) -> Result<(), TrainError>;

    /// How the rows are made, where the source makes them: another [`TrainConfig::data`](crate::TrainConfig::data)
    /// would have no effect and is refused. `None` for rows that exist already.
    fn config(&self) -> Option<&LoaderConfig> {
        None
    }
}

/// A position is a [`DataPosition`].
impl RowSource for DataLoader {
    fn next_rows(&mut self, count: usize) -> Result<Vec<PackedRow>, TrainError> {
        Ok(DataLoader::next_rows(self, count)?)
    }

    fn position(&self) -> Result<Value, TrainError> {
        serde_json::to_value(DataLoader::position(self)).map_err(|error| TrainError::position(SHAPE, error))
    }

    fn seek(&mut self, position: &Value) -> Result<(), TrainError> {
        let position = match Wrapped::deserialize(position) {
            Ok(wrapped) => wrapped.unwrapped(DataLoader::config(self))?,
            Err(_) => DataPosition::deserialize(position)
                .map_err(|error| TrainError::position(SHAPE, format!("{position} ({error})")))?,
        };
        Ok(DataLoader::seek(self, position)?)
    }

    fn config(&self) -> Option<&LoaderConfig> {
        Some(DataLoader::config(self))
    }
}

/// A position as checkpoints hold it whose recipe lacks some of the fields of [`LoaderConfig`].
#[derive(Deserialize)]
struct Wrapped {
    #[serde(deserialize_with = "loader")]
    loader: LoaderConfig,
    position: DataPosition,
}

/// The configuration, which may call the system prompt `system`.
fn loader<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LoaderConfig, D::Error> {
    let mut fields = Map::deserialize(deserializer)?;
    if let Some(system) = fields.remove("system") {
        fields.insert("system_prompt".to_owned(), system);
    }
    LoaderConfig::deserialize(Value::Object(fields)).map_err(D::Error::custom)
}

/// How the rows that a position counts are made, where the position says so.
pub(crate) fn loader_of(position: &Value) -> Option<LoaderConfig> {
    Wrapped::deserialize(position).ok().map(|wrapped| wrapped.loader)
}

impl Wrapped {
    /// The position, if it was saved for the rows that this configuration makes.
    fn unwrapped(self, config: &LoaderConfig) -> Result<DataPosition, TrainError> {
        let saved = LoaderConfig {
            max_bad_records: config.max_bad_records,
            ..self.loader
        };
        if saved == *config {
            return Ok(self.position);
        }
        Err(TrainError::ResumeMismatch {
            field: "data loader".to_owned(),
            mismatch: Mismatch::new(format!("{saved:?}"), format!("{config:?}")),
        })
    }
}

/// A [`DataPosition`], for messages.
const SHAPE: &str = "an object with `epoch`, `conversations`, `rows` and `fingerprint`";

/// Rows held in memory, read in their order again and again: for small sets and tests.
#[derive(Clone, Debug)]
pub struct MemoryRows {
    rows: Vec<PackedRow>,
    read: u64,
}

impl MemoryRows {
    /// Rows to be read from the first.
    pub fn new(rows: Vec<PackedRow>) -> Self {
        Self { rows, read: 0 }
    }
}

impl RowSource for MemoryRows {
    fn next_rows(&mut self, count: usize) -> Result<Vec<PackedRow>, TrainError> {
        let start = (self.read % self.rows.len().max(1) as u64) as usize;
        let rows: Vec<_> = self.rows.iter().cycle().skip(start).take(count).cloned().collect();
        self.read += rows.len() as u64;
        Ok(rows)
    }

    fn position(&self) -> Result<Value, TrainError> {
        Ok(self.read.into())
    }

    fn seek(&mut self, position: &Value) -> Result<(), TrainError> {
        let read = position.as_u64();
        self.read = read.ok_or_else(|| TrainError::position("the number of rows read", position))?;
        Ok(())
    }
}
