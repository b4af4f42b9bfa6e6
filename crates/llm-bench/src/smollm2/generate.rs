//! Greedy text, in batches of prompts of different lengths.

use std::collections::BTreeMap;

use burn::tensor::{FloatDType, s};
use smollm2_model::DecoderBackend;
use smollm2_model::KvCache;

use super::{SmolLm2Evaluator, model_error};
use crate::{BenchError, GenerationRequest, cut_at_stops};

/// A text in the making.
struct Row<'a> {
    request: &'a GenerationRequest,
    index: usize,
    generated: Vec<u32>,
}

impl<B: DecoderBackend> SmolLm2Evaluator<B> {
    pub(super) fn generate(&self, requests: &[GenerationRequest]) -> Result<Vec<String>, BenchError> {
        // Texts of one longest length share a batch: their prompts are cut for it, so each has room for all of it.
        let mut batches: BTreeMap<usize, Vec<Row>> = BTreeMap::new();
        for (index, request) in requests.iter().enumerate() {
            if request.max_gen_toks >= self.max_length {
                return Err(BenchError::Request {
                    index,
                    problem: format!(
                        "max_gen_toks is {}, which leaves a prompt no room in {} tokens",
                        request.max_gen_toks, self.max_length
                    ),
                });
            }
            batches.entry(request.max_gen_toks).or_default().push(Row {
                request,
                index,
                generated: vec![],
            });
        }
        let mut texts = vec![String::new(); requests.len()];
        for (max_gen_toks, rows) in batches {
            self.generate_batch(rows, max_gen_toks, &mut texts)?;
        }
        Ok(texts)
    }

    fn generate_batch(&self, rows: Vec<Row>, max_gen_toks: usize, texts: &mut [String]) -> Result<(), BenchError> {
        let prompts = rows.iter().map(|row| self.prompt(row.request));
        let prompts: Vec<Vec<u32>> = prompts.collect::<Result<_, _>>()?;
        let lengths: Vec<usize> = prompts.iter().map(Vec::len).collect();
        let longest = lengths.iter().copied().max().unwrap_or(1);
        let mut cache = KvCache::ragged(&self.model, &lengths, longest + max_gen_toks);
        let mut input: Vec<Vec<u32>> = prompts.iter().map(|prompt| left_padded(prompt, longest)).collect();
        let mut open = rows;
        loop {
            let next = self.next_ids(&input, &mut cache, &open)?;
            let (mut kept, mut rest) = (Vec::new(), Vec::new());
            for (slot, (mut row, id)) in open.into_iter().zip(next).enumerate() {
                row.generated.push(id);
                if self.is_finished(&row)? {
                    let text = self.tokenizer.decode(&row.generated).map_err(model_error)?;
                    texts[row.index] = cut_at_stops(&text, &row.request.until);
                } else {
                    kept.push(slot);
                    rest.push(row);
                }
            }
            open = rest;
            if open.is_empty() {
                return Ok(());
            }
            if kept.len() < cache.batch() {
                cache.select_rows(&kept);
            }
            let last = |row: &Row| row.generated[row.generated.len() - 1..].to_vec();
            input = open.iter().map(last).collect();
        }
    }

    /// The prompt's ids, cut on the left so that the longest answer fits behind them.
    fn prompt(&self, request: &GenerationRequest) -> Result<Vec<u32>, BenchError> {
        let ids = self.token_ids(&request.context, &request.special)?;
        if ids.is_empty() {
            return Ok(vec![self.tokenizer.bos_id()]);
        }
        let start = ids.len().saturating_sub(self.max_length - request.max_gen_toks);
        Ok(ids[start..].to_vec())
    }

    /// The most likely next id of every row.
    fn next_ids(&self, input: &[Vec<u32>], cache: &mut KvCache<B>, rows: &[Row]) -> Result<Vec<u32>, BenchError> {
        let hidden = self.model.forward_cached(self.ids(input), cache); // [B, T, D]
        let last = hidden.slice(s![.., -1.., ..]); // [B, 1, D]
        let logits = self.model.logits(last).cast(FloatDType::F32); // [B, 1, V]
        // One NaN or infinity makes the sum one.
        let sums = logits.clone().sum_dim(2).into_data().convert::<f32>().to_vec::<f32>(); // [B, 1, 1]
        let sums = sums.map_err(|error| BenchError::Model(error.into()))?;
        if let Some(row) = sums.iter().position(|sum| !sum.is_finite()) {
            return Err(BenchError::Request {
                index: rows[row].index,
                problem: format!(
                    "the logits of generated token {} are not all numbers; check the model's weights, or load it in a \
                     type with a larger range",
                    rows[row].generated.len() + 1
                ),
            });
        }
        let best = logits.argmax(2); // [B, 1, 1]
        let best = best.into_data().convert::<i64>().to_vec::<i64>();
        let best = best.map_err(|error| BenchError::Model(error.into()))?;
        Ok(best.into_iter().map(|id| id as u32).collect())
    }

    /// Whether a text ends: at its length, an end token, or a stop string (which may be a special token's text).
    fn is_finished(&self, row: &Row) -> Result<bool, BenchError> {
        let ends = |id: &u32| *id == self.tokenizer.eos_id() || self.model.config().eos_token_ids.contains(id);
        if row.generated.len() >= row.request.max_gen_toks || row.generated.last().is_some_and(ends) {
            return Ok(true);
        }
        // A stop string that ends in the newest token begins at most as many tokens before it as it has bytes.
        let stops = || row.request.until.iter().filter(|stop| !stop.is_empty());
        let longest = stops().map(String::len).max().unwrap_or(0);
        let start = row.generated.len().saturating_sub(longest);
        let text = self.tokenizer.decode_with_special(&row.generated[start..]);
        let text = text.map_err(model_error)?;
        Ok(stops().any(|stop| text.contains(stop.as_str())))
    }
}

/// Padding on the left is hidden by the cache, so any id serves.
fn left_padded(ids: &[u32], length: usize) -> Vec<u32> {
    let mut padded = vec![0; length - ids.len()];
    padded.extend_from_slice(ids);
    padded
}
