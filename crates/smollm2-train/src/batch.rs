//! Rows as tensors.
//!
//! B rows, T tokens.

use burn::tensor::{Int, Tensor, TensorData, backend::Backend};
use smollm2_model::SequenceLayout;
use smoltalk_data::PackedRow;

use crate::{TrainError, loss::Targets};

/// A micro-batch: token ids and their layout on the device, and the predictions that count. It is built on the host
/// from rows, so nothing is read back from the device.
#[derive(Clone, Debug)]
pub struct Batch<B: Backend> {
    ids: Tensor<B, 2, Int>,
    layout: SequenceLayout<B>,
    targets: Targets,
    /// The largest token id; the model's vocabulary must be larger.
    pub(crate) largest_id: u32,
    /// The largest position of a token; the model must have more positions.
    pub(crate) largest_position: u32,
}

impl<B: Backend> Batch<B> {
    /// Rows of one length as tensors.
    ///
    /// # Errors
    /// [`TrainError::Rows`] when there is no row, the lengths of rows or of a row's fields differ, or only some rows have
    /// positions or documents.
    pub fn from_rows(rows: &[PackedRow], device: &B::Device) -> Result<Self, TrainError> {
        let tokens = check(rows)?;
        let shape = [rows.len(), tokens];
        let ids = rows.iter().map(|row| row.ids.as_slice());
        let positions: Option<Vec<&[u32]>> = rows.iter().map(|row| row.positions.as_deref()).collect();
        let documents: Option<Vec<&[u32]>> = rows.iter().map(|row| row.documents.as_deref()).collect();
        let largest_position = match &positions {
            Some(positions) => largest(positions.iter().copied()),
            None => (tokens - 1) as u32,
        };
        Ok(Self {
            targets: Targets::of(rows),
            largest_id: largest(ids.clone()),
            largest_position,
            ids: integers(ids, shape, device), // [B, T]
            layout: SequenceLayout {
                positions: positions.map(|rows| integers(rows.into_iter(), shape, device)), // [B, T]
                documents: documents.map(|rows| integers(rows.into_iter(), shape, device)), // [B, T]
            },
        })
    }

    /// Tokens in the batch, padding included.
    pub fn tokens(&self) -> usize {
        self.ids.dims().iter().product()
    }

    /// Token ids, `[B, T]`.
    pub fn ids(&self) -> &Tensor<B, 2, Int> {
        &self.ids
    }

    /// Positions and documents of the tokens.
    pub fn layout(&self) -> &SequenceLayout<B> {
        &self.layout
    }

    /// The predictions that count towards the loss.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }
}

/// What rows of one batch have in common: the number of their tokens, and whether they have positions and documents.
type Kind = (usize, bool, bool);

fn kind(row: &PackedRow) -> Kind {
    (row.ids.len(), row.positions.is_some(), row.documents.is_some())
}

/// The number of tokens in each row.
fn check(rows: &[PackedRow]) -> Result<usize, TrainError> {
    let first = rows.first().map(kind).filter(|(tokens, ..)| *tokens > 0);
    let first = first.ok_or_else(|| TrainError::rows("at least one row with a token", "none"))?;
    for row in rows {
        if kind(row) != first {
            return Err(TrainError::rows(
                format!("rows like the first, {first:?} (tokens, positions, documents)"),
                format!("{:?}", kind(row)),
            ));
        }
        let optional = [&row.positions, &row.documents].into_iter().flatten().map(Vec::len);
        if let Some(length) = std::iter::once(row.loss_mask.len())
            .chain(optional)
            .find(|length| *length != first.0)
        {
            return Err(TrainError::rows(
                format!("loss_mask, positions and documents of {} tokens", first.0),
                format!("one of {length}"),
            ));
        }
    }
    Ok(first.0)
}

fn largest<'a>(rows: impl Iterator<Item = &'a [u32]>) -> u32 {
    rows.flatten().copied().max().unwrap_or(0)
}

fn integers<'a, B: Backend>(
    rows: impl Iterator<Item = &'a [u32]>,
    shape: [usize; 2],
    device: &B::Device,
) -> Tensor<B, 2, Int> {
    let values: Vec<i32> = rows.flatten().map(|value| *value as i32).collect();
    Tensor::from_data(TensorData::new(values, shape), device) // [B, T]
}
