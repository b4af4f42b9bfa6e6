//! Rows as tensors: the only place of this crate that makes any.

use crate::{DataError, PackedRow};
use burn::tensor::backend::Backend;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Rows as tensors. B rows, T tokens.
#[derive(Clone, Debug)]
pub struct Batch<B: Backend> {
    /// Token ids, `[B, T]`.
    pub ids: Tensor<B, 2, Int>,
    /// 1 where the token is a target, else 0; `[B, T]`, f32. The loss shifts predictions by one.
    pub loss_mask: Tensor<B, 2>,
    /// Positions within documents, `[B, T]`; `None` when every row counts from 0.
    pub positions: Option<Tensor<B, 2, Int>>,
    /// Documents within rows, `[B, T]`; `None` when every row is one.
    pub documents: Option<Tensor<B, 2, Int>>,
}

impl<B: Backend> Batch<B> {
    /// Rows of one length as tensors.
    ///
    /// # Errors
    /// [`DataError::Config`] when there is no row, the lengths differ, or only some rows have documents.
    pub fn from_rows(rows: &[PackedRow], device: &Device<B>) -> Result<Self, DataError> {
        let wrong = |expected: &str, found: String| DataError::Config {
            field: "rows",
            expected: expected.to_string(),
            found,
        };
        let first = rows
            .first()
            .ok_or_else(|| wrong("at least one row", "none".to_string()))?;
        let shape = [rows.len(), first.ids.len()];
        let kind = |row: &PackedRow| (row.ids.len(), row.positions.is_some(), row.documents.is_some());
        if let Some(row) = rows.iter().find(|row| kind(row) != kind(first)) {
            return Err(wrong(
                &format!("rows like the first, {:?}", kind(first)),
                format!("{:?}", kind(row)),
            ));
        }
        let ints = |fields: Vec<&[u32]>| {
            let data: Vec<i32> = fields.into_iter().flatten().map(|value| *value as i32).collect();
            Tensor::<B, 2, Int>::from_data(TensorData::new(data, shape), device) // [B, T]
        };
        let optional =
            |field: fn(&PackedRow) -> Option<&[u32]>| rows.iter().map(field).collect::<Option<Vec<&[u32]>>>().map(ints);
        let mask: Vec<f32> = rows
            .iter()
            .flat_map(|row| row.loss_mask.iter().map(|target| f32::from(*target)))
            .collect();
        Ok(Self {
            ids: ints(rows.iter().map(|row| row.ids.as_slice()).collect()),
            loss_mask: Tensor::from_data(TensorData::new(mask, shape), device), // [B, T]
            positions: optional(|row| row.positions.as_deref()),
            documents: optional(|row| row.documents.as_deref()),
        })
    }
}
