use burn::tensor::{Int, Tensor, TensorData, backend::Backend};
use smoltalk_data::Batch;

/// The predictions of a batch that count: which positions predict, and what.
///
/// Position `t` of a row predicts token `t + 1`. It counts when the mask of token `t + 1` is set and both tokens are
/// of the same document. Positions that do not count are left out before the vocabulary projection, so a masked
/// prompt costs nothing there and an entirely masked batch is an empty one, not a division by zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    /// Flat positions `b * T + t` that predict, ascending.
    pub positions: Vec<i64>,
    /// The token each predicts.
    pub ids: Vec<i64>,
}

impl Targets {
    /// The predictions of `batch`.
    pub fn of<B: Backend>(batch: &Batch<B>) -> Self {
        let [rows, tokens] = batch.ids.dims();
        let ids: Vec<i64> = batch.ids.to_data().iter::<i64>().collect();
        let mask: Vec<f32> = batch.loss_mask.to_data().iter::<f32>().collect();
        let documents: Option<Vec<i64>> = batch
            .documents
            .as_ref()
            .map(|documents| documents.to_data().iter::<i64>().collect());
        let mut targets = Self {
            positions: Vec::new(),
            ids: Vec::new(),
        };
        for position in (0..rows * tokens).filter(|position| (position + 1) % tokens != 0) {
            let next = position + 1;
            let same = documents
                .as_ref()
                .is_none_or(|documents| documents[position] == documents[next]);
            if mask[next] != 0.0 && same {
                targets.positions.push(position as i64);
                targets.ids.push(ids[next]);
            }
        }
        targets
    }

    /// How many tokens count.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether no token counts.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Rows of `hidden` that predict, and their targets.
    ///
    /// # Shapes
    /// - `hidden`: `[B, T, D]`
    /// - output: `[N, D]`, `[N]`
    pub fn select<B: Backend>(&self, hidden: Tensor<B, 3>) -> (Tensor<B, 2>, Tensor<B, 1, Int>) {
        let [batch, tokens, channels] = hidden.dims();
        let device = hidden.device();
        let indices =
            |values: &[i64]| Tensor::<B, 1, Int>::from_data(TensorData::new(values.to_vec(), [values.len()]), &device);
        let rows = hidden.reshape([batch * tokens, channels]); // [B * T, D]
        (rows.select(0, indices(&self.positions)), indices(&self.ids)) // [N, D], [N]
    }
}
