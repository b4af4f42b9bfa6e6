use smoltalk_data::PackedRow;

use crate::{TrainConfig, TrainError};

/// Where training rows come from, in a fixed order that can be resumed from any position.
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
    fn position(&self) -> Result<serde_json::Value, TrainError>;

    /// Goes to a position that [`RowSource::position`] gave.
    ///
    /// # Errors
    /// [`TrainError::Position`] when it is not a position in such a source; whatever reading up to it meets.
    fn resume(&mut self, position: &serde_json::Value) -> Result<(), TrainError>;

    /// Refuses a recipe that describes other rows than this source makes: its fields would have no effect.
    ///
    /// # Errors
    /// [`TrainError::WithoutEffect`], naming the field.
    fn check(&self, recipe: &TrainConfig) -> Result<(), TrainError> {
        let _ = recipe;
        Ok(())
    }
}

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

    fn position(&self) -> Result<serde_json::Value, TrainError> {
        Ok(self.read.into())
    }

    fn resume(&mut self, position: &serde_json::Value) -> Result<(), TrainError> {
        let read = position.as_u64();
        self.read = read.ok_or_else(|| TrainError::position("the number of rows read", position))?;
        Ok(())
    }
}
