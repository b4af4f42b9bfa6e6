//! Runs a model on calibration tokens and collects the values of its gates.
//!
//! T tokens, D hidden, F feed-forward width, G groups.

use super::{
    ConversionOptions,
    reservoir::{Reservoir, Sample},
};
use crate::{DecoderBackend, ModelError, SequenceLayout, SmolLm2, SmolLm2Config, model::FeedForward, ops::floats};

/// Refuses rows the model cannot run: empty, longer than its positions, or with ids outside its vocabulary.
pub(super) fn check_rows(rows: &[Vec<u32>], config: &SmolLm2Config, shortest: usize) -> Result<(), ModelError> {
    if rows.is_empty() {
        return Err(ModelError::conversion("rows", "at least one row of token ids", 0));
    }
    for (index, row) in rows.iter().enumerate() {
        let limit = config.max_position_embeddings;
        if !(shortest..=limit).contains(&row.len()) {
            let expected = format!("{shortest} to {limit} tokens");
            return Err(ModelError::conversion(format!("row {index}"), expected, row.len()));
        }
        if let Some(id) = row.iter().find(|id| **id as usize >= config.vocab_size) {
            let expected = format!("ids below vocab_size = {}", config.vocab_size);
            return Err(ModelError::conversion(format!("row {index}"), expected, id));
        }
    }
    Ok(())
}

/// For every layer of `layers`, one reservoir per group, filled with the gates and ups of all `rows`.
///
/// # Errors
/// [`ModelError::Conversion`] when an activation is not finite, with its layer.
pub(super) fn collect<B: DecoderBackend>(
    model: &SmolLm2<B>,
    rows: &[Vec<u32>],
    layers: &[usize],
    options: &ConversionOptions,
    mut progress: impl FnMut(usize),
) -> Result<Vec<Vec<Reservoir>>, ModelError> {
    let ConversionOptions {
        groups, samples, seed, ..
    } = *options;
    let mut reservoirs: Vec<Vec<Reservoir>> = Vec::with_capacity(layers.len());
    for layer in layers {
        let streams = (layer * groups..(layer + 1) * groups).map(|stream| stream as u64);
        reservoirs.push(streams.map(|stream| Reservoir::new(samples, seed, stream)).collect());
    }
    for (done, row) in rows.iter().enumerate() {
        let ids = model.ids(&[row]); // [1, T]
        let context = model.context(&ids, &SequenceLayout::default());
        let embedded = model.embed(ids); // [1, T, D]
        let channels = embedded.dims()[2];
        let mut x = embedded.reshape([row.len(), channels]); // [T, D]
        for (index, block) in model.model.layers.iter().enumerate() {
            x = block.attend(x, 1, &context, None); // [T, D]
            let normed = block.post_attention_layernorm.forward(x.clone()); // [T, D]
            let place = layers.iter().position(|layer| *layer == index);
            if let (Some(place), FeedForward::SwiGlu(mlp)) = (place, &block.mlp) {
                let gate = floats(mlp.gate_proj.forward(normed.clone())); // T·F
                let up = floats(mlp.up_proj.forward(normed.clone())); // T·F
                add(&mut reservoirs[place], &gate, &up, row.len())
                    .map_err(|value| ModelError::conversion(format!("layer {index}"), "finite activations", value))?;
            }
            x = block.mlp.forward(normed) + x; // [T, D]
        }
        progress(done + 1);
    }
    Ok(reservoirs)
}

/// Adds every value to its group's reservoir. Returns the first value that is not finite.
fn add(reservoirs: &mut [Reservoir], gate: &[f32], up: &[f32], rows: usize) -> Result<(), f32> {
    if let Some(value) = gate.iter().chain(up).find(|value| !value.is_finite()) {
        return Err(*value);
    }
    let width = gate.len() / rows / reservoirs.len();
    for (index, (gate, up)) in gate.chunks_exact(width).zip(up.chunks_exact(width)).enumerate() {
        let group = index % reservoirs.len();
        for (gate, up) in gate.iter().zip(up) {
            reservoirs[group].add(Sample { gate: *gate, up: *up });
        }
    }
    Ok(())
}
