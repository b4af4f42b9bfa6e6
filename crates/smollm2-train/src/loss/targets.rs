use burn::tensor::{Int, Tensor, TensorData, backend::Backend};
use smoltalk_data::PackedRow;

/// The predictions of a batch that count towards the loss: their positions and target tokens.
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
    /// The predictions of rows whose fields all have the same length.
    pub(crate) fn of(rows: &[PackedRow]) -> Self {
        let mut targets = Self {
            positions: Vec::new(),
            ids: Vec::new(),
        };
        let mut start = 0;
        for row in rows {
            for next in 1..row.ids.len() {
                let same_document = row
                    .documents
                    .as_ref()
                    .is_none_or(|documents| documents[next - 1] == documents[next]);
                if row.loss_mask[next] && same_document {
                    targets.positions.push((start + next - 1) as i64);
                    targets.ids.push(i64::from(row.ids[next]));
                }
            }
            start += row.ids.len();
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
        let rows = hidden.reshape([batch * tokens, channels]); // [B * T, D]
        let positions = indices(&self.positions, &device);
        (rows.select(0, positions), indices(&self.ids, &device)) // [N, D], [N]
    }
}

fn indices<B: Backend>(values: &[i64], device: &B::Device) -> Tensor<B, 1, Int> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device) // [N]
}
