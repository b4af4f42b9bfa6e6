use smoltalk_data::{DataError, PackedRow};

use super::RowSource;

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
    fn next_rows(&mut self, count: usize) -> Result<Vec<PackedRow>, DataError> {
        let start = (self.read % self.rows.len().max(1) as u64) as usize;
        let rows: Vec<_> = self.rows.iter().cycle().skip(start).take(count).cloned().collect();
        self.read += rows.len() as u64;
        Ok(rows)
    }

    fn position(&self) -> serde_json::Value {
        self.read.into()
    }

    fn resume(&mut self, position: &serde_json::Value) -> Result<bool, DataError> {
        let read = position.as_u64();
        self.read = read.unwrap_or_default();
        Ok(read.is_some())
    }
}
