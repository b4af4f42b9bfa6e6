//! Rows as tensors: the only place of this crate that makes any.

use crate::{PackedRow, Packing};
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
    /// Number of targets.
    pub targets: usize,
}

impl<B: Backend> Batch<B> {
    /// Rows of equal length, at least one, as tensors.
    pub fn from_rows(rows: &[PackedRow], packing: Packing, device: &Device<B>) -> Self {
        let shape = [rows.len(), rows.first().map_or(0, |row| row.ids.len())];
        let ints = |field: fn(&PackedRow) -> &[u32]| {
            let data: Vec<i32> = rows
                .iter()
                .flat_map(|row| field(row).iter().map(|value| *value as i32))
                .collect();
            Tensor::<B, 2, Int>::from_data(TensorData::new(data, shape), device) // [B, T]
        };
        let mask: Vec<f32> = rows
            .iter()
            .flat_map(|row| row.loss_mask.iter().map(|target| f32::from(*target)))
            .collect();
        let documents = packing == Packing::BestFit;
        Self {
            ids: ints(|row| &row.ids),
            targets: rows
                .iter()
                .flat_map(|row| &row.loss_mask)
                .filter(|target| **target)
                .count(),
            loss_mask: Tensor::from_data(TensorData::new(mask, shape), device), // [B, T]
            positions: documents.then(|| ints(|row| &row.positions)),
            documents: documents.then(|| ints(|row| &row.documents)),
        }
    }
}
