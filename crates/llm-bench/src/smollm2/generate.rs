//! Greedy text, in batches of prompts of different lengths.

use burn::tensor::s;
use smollm2_model::DecoderBackend;
use smollm2_model::KvCache;

use super::SmolLm2Evaluator;
use crate::{BenchError, GenerationRequest, cut_at_stops};

/// A text in the making.
struct Row<'a> {
    request: &'a GenerationRequest,
    index: usize,
    generated: Vec<u32>,
}

impl<B: DecoderBackend> SmolLm2Evaluator<B> {
    pub(super) fn generate(&self, requests: &[GenerationRequest]) -> Result<Vec<String>, BenchError> {
        let mut texts = vec![String::new(); requests.len()];
        if requests.is_empty() {
            return Ok(texts);
        }
        let prompts: Vec<Vec<u32>> = requests.iter().map(|request| self.prompt(request)).collect();
        let lengths: Vec<usize> = prompts.iter().map(Vec::len).collect();
        let longest = lengths.iter().copied().max().unwrap_or(1);
        let most = requests.iter().map(|request| request.max_gen_toks).max().unwrap_or(0);
        let capacity = (longest + most).min(self.config.max_position_embeddings);
        let mut cache = KvCache::ragged(&self.config, &lengths, capacity, &self.device);
        let numbered = requests.iter().enumerate();
        let mut rows: Vec<Row> = numbered
            .map(|(index, request)| Row {
                request,
                index,
                generated: vec![],
            })
            .collect();
        let mut input: Vec<Vec<u32>> = prompts.iter().map(|prompt| left_padded(prompt, longest)).collect();
        loop {
            let next = self.next_ids(&input, &mut cache)?;
            let full = cache.len() >= capacity;
            let (mut kept, mut open) = (Vec::new(), Vec::new());
            for (slot, (mut row, id)) in rows.into_iter().zip(next).enumerate() {
                row.generated.push(id);
                if full || self.is_finished(&row) {
                    let text = self.tokenizer.decode(&row.generated);
                    texts[row.index] = cut_at_stops(&text, &row.request.until);
                } else {
                    kept.push(slot);
                    open.push(row);
                }
            }
            rows = open;
            if rows.is_empty() {
                return Ok(texts);
            }
            if kept.len() < cache.batch() {
                cache.select_rows(&kept);
            }
            input = rows
                .iter()
                .map(|row| row.generated[row.generated.len() - 1..].to_vec())
                .collect();
        }
    }

    /// The prompt's ids, cut on the left so that the longest answer fits behind them.
    fn prompt(&self, request: &GenerationRequest) -> Vec<u32> {
        let ids = self.tokenizer.encode(&request.context);
        let room = self.max_length.saturating_sub(request.max_gen_toks).max(1);
        let start = ids.len().saturating_sub(room);
        if ids.is_empty() {
            vec![self.tokenizer.bos_id()]
        } else {
            ids[start..].to_vec()
        }
    }

    /// The most likely next id of every row.
    fn next_ids(&self, input: &[Vec<u32>], cache: &mut KvCache<B>) -> Result<Vec<u32>, BenchError> {
        let hidden = self.model.forward_cached(self.ids(input), cache); // [B, T, D]
        let last = hidden.slice(s![.., -1.., ..]); // [B, 1, D]
        let best = self.model.logits(last).argmax(2); // [B, 1, 1]
        let best = best.into_data().convert::<i64>().to_vec::<i64>();
        let best = best.map_err(|error| BenchError::Model(format!("{error:?}")))?;
        Ok(best.into_iter().map(|id| id as u32).collect())
    }

    /// Whether a text ends: at its length, an end token, or a stop string (which may be a special token's text).
    fn is_finished(&self, row: &Row) -> bool {
        let ends = |id: &u32| *id == self.tokenizer.eos_id() || self.config.eos_token_ids.contains(id);
        if row.generated.len() >= row.request.max_gen_toks || row.generated.last().is_some_and(ends) {
            return true;
        }
        let text = self.tokenizer.decode_with_special(&row.generated);
        row.request
            .until
            .iter()
            .any(|stop| !stop.is_empty() && text.contains(stop.as_str()))
    }
}

/// Padding on the left is hidden by the cache, so any id serves.
fn left_padded(ids: &[u32], length: usize) -> Vec<u32> {
    let mut padded = vec![0; length - ids.len()];
    padded.extend_from_slice(ids);
    padded
}
