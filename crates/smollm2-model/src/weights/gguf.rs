//! GGUF files of the `llama` architecture, as llama.cpp converts and quantises SmolLM2.
//!
//! Two things differ from the Hugging Face layout: names (`blk.0.attn_q.weight`), and the order of the query and key
//! rows. llama.cpp rotates neighbouring channels, `transformers` rotates channel `i` with channel `i + C/2`;
//! the converter interleaves the two halves of every head (`LlamaModel.permute` in llama.cpp's
//! `convert_hf_to_gguf.py`), and reading undoes it.

use std::{collections::BTreeMap, path::Path};

use burn::tensor::{DType, TensorData};
use gguf_file::{GgufError, GgufFile, Tensor, TensorType};

use super::{
    archive::{Archive, Shapes},
    element::decode,
};
use crate::{FeedForwardConfig, ModelError, SmolLm2Config, StoredDtype};

/// Every tensor of a GGUF file of the `llama` architecture under its Hugging Face name, quantised blocks as f32.
///
/// # Errors
/// [`ModelError::Gguf`]: the header is checked completely before a tensor is read.
pub fn read_gguf(path: &Path) -> Result<BTreeMap<String, TensorData>, ModelError> {
    let mut file = Gguf::open(path)?;
    let names: Vec<String> = file.names.keys().cloned().collect();
    let mut tensors = BTreeMap::new();
    for name in names {
        let tensor = file.read(&name)?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

/// A GGUF file whose metadata describe a model of this architecture.
#[derive(Debug)]
pub(super) struct Gguf {
    file: GgufFile,
    /// The file's own name by Hugging Face name.
    names: BTreeMap<String, String>,
    config: SmolLm2Config,
}

impl Gguf {
    pub(super) fn open(path: &Path) -> Result<Self, ModelError> {
        let file = GgufFile::open(path)?;
        let config = Metadata { file: &file }.config().map_err(|error| error.in_file(path))?;
        let mut names = BTreeMap::new();
        for (name, _) in file.tensors() {
            if let Some(other) = names.insert(hugging_face_name(name), name.to_owned()) {
                return Err(file
                    .error(name, "one tensor of this meaning", format!("{other} as well"))
                    .into());
            }
        }
        Ok(Self { file, names, config })
    }

    /// The configuration in the metadata.
    pub(super) fn config(&self) -> SmolLm2Config {
        self.config.clone()
    }

    fn stored(&self, name: &str) -> Option<Tensor<'_>> {
        self.names.get(name).and_then(|own| self.file.tensor(own))
    }
}

impl Archive for Gguf {
    fn shapes(&self) -> Shapes {
        let names = self.names.iter();
        let shapes = names.filter_map(|(name, own)| Some((name.clone(), self.file.tensor(own)?.shape.to_vec())));
        shapes.collect()
    }

    fn read(&mut self, name: &str) -> Result<TensorData, ModelError> {
        let tensor = self.stored(name);
        let tensor = tensor.ok_or_else(|| self.file.error(name, "a tensor of this name", "nothing"))?;
        let data = values(&tensor);
        let heads = if name.ends_with("self_attn.q_proj.weight") {
            self.config.num_attention_heads
        } else if name.ends_with("self_attn.k_proj.weight") {
            self.config.num_key_value_heads
        } else {
            return Ok(data);
        };
        Ok(separate_halves(data, heads))
    }
}

/// Plain floats as they are, quantised blocks as f32.
fn values(tensor: &Tensor<'_>) -> TensorData {
    let plain = match tensor.kind {
        TensorType::F32 => Some(DType::F32),
        TensorType::F16 => Some(DType::F16),
        TensorType::Bf16 => Some(DType::BF16),
        _ => None,
    };
    plain
        .and_then(|dtype| decode(tensor.bytes, tensor.shape, dtype))
        .unwrap_or_else(|| TensorData::new(tensor.dequantise(), tensor.shape.to_vec()))
}

/// From interleaved rows `(h, i, half)` to `(h, half, i)`: the inverse of llama.cpp's `permute`.
fn separate_halves(data: TensorData, heads: usize) -> TensorData {
    let (shape, dtype) = (data.shape.clone(), data.dtype);
    let rows = shape[0]; // a tensor of a sound header has a dimension
    if rows == 0 || !rows.is_multiple_of(2 * heads) {
        return data; // not a shape this architecture has: refused with its name by the comparison of shapes
    }
    let half = rows / heads / 2;
    let bytes = data.as_bytes();
    let row_bytes = bytes.len() / rows;
    let mut separated = Vec::with_capacity(bytes.len());
    for row in 0..rows {
        let (head, within) = (row / (2 * half), row % (2 * half));
        let (side, pair) = (within / half, within % half);
        let source = head * 2 * half + 2 * pair + side;
        separated.extend_from_slice(&bytes[source * row_bytes..][..row_bytes]);
    }
    TensorData::from_bytes_vec(separated, shape, dtype)
}

/// The Hugging Face name of one of llama.cpp's; a name it does not know is returned as it is.
fn hugging_face_name(name: &str) -> String {
    let outside = match name {
        "token_embd.weight" => Some("model.embed_tokens.weight"),
        "output_norm.weight" => Some("model.norm.weight"),
        "output.weight" => Some("lm_head.weight"),
        _ => None,
    };
    if let Some(known) = outside {
        return known.to_owned();
    }
    let block = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.'));
    let place = block.and_then(|(layer, tensor)| {
        let tensor = match tensor {
            "attn_norm.weight" => "input_layernorm.weight",
            "attn_q.weight" => "self_attn.q_proj.weight",
            "attn_k.weight" => "self_attn.k_proj.weight",
            "attn_v.weight" => "self_attn.v_proj.weight",
            "attn_output.weight" => "self_attn.o_proj.weight",
            "ffn_norm.weight" => "post_attention_layernorm.weight",
            "ffn_gate.weight" => "mlp.gate_proj.weight",
            "ffn_up.weight" => "mlp.up_proj.weight",
            "ffn_down.weight" => "mlp.down_proj.weight",
            _ => return None,
        };
        Some(format!("model.layers.{layer}.{tensor}"))
    });
    place.unwrap_or_else(|| name.to_owned())
}

/// Metadata keys as a model configuration.
struct Metadata<'a> {
    file: &'a GgufFile,
}

impl Metadata<'_> {
    fn config(&self) -> Result<SmolLm2Config, ModelError> {
        self.refuse_foreign()?;
        let layers = self.required("llama.block_count")?;
        // Every layer has tensors: a larger count is a lie, and must not make a list of that length.
        let tensors = self.file.tensors().len();
        if layers > tensors {
            let expected = format!("at most the number of tensors, {tensors}");
            return Err(self.file.unexpected("llama.block_count", expected).into());
        }
        let hidden_size = self.required("llama.embedding_length")?;
        let heads = self.required("llama.attention.head_count")?;
        let embedding = self.file.tensor("token_embd.weight");
        let vocab = embedding.and_then(|tensor| tensor.shape.first()).copied();
        let end = self.token("tokenizer.ggml.eos_token_id")?;
        let config = SmolLm2Config {
            vocab_size: self.size("llama.vocab_size")?.or(vocab).unwrap_or(0),
            hidden_size,
            intermediate_size: self.required("llama.feed_forward_length")?,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            num_key_value_heads: self.size("llama.attention.head_count_kv")?.unwrap_or(heads),
            head_dim: self.head_dim(hidden_size, heads)?,
            rms_norm_eps: self
                .file
                .float("llama.attention.layer_norm_rms_epsilon")?
                .unwrap_or(1e-5),
            rope_theta: self.file.float("llama.rope.freq_base")?.unwrap_or(10_000.0),
            max_position_embeddings: self.required("llama.context_length")?,
            tie_word_embeddings: self.file.tensor("output.weight").is_none(),
            initializer_range: 0.02,
            bos_token_id: self.token("tokenizer.ggml.bos_token_id")?,
            eos_token_ids: end.into_iter().collect(),
            pad_token_id: self.token("tokenizer.ggml.padding_token_id")?,
            dtype: StoredDtype::Float32,
            feed_forward: vec![FeedForwardConfig::SwiGlu; layers],
        };
        config.validate()?;
        Ok(config)
    }

    /// Refuses files that describe another computation than this crate's.
    fn refuse_foreign(&self) -> Result<(), GgufError> {
        if self.file.text("general.architecture")? != Some("llama") {
            return Err(self.file.unexpected("general.architecture", "llama"));
        }
        if !matches!(self.file.text("llama.rope.scaling.type")?, None | Some("none")) {
            return Err(self.file.unexpected("llama.rope.scaling.type", "none"));
        }
        // llama.cpp scales by either key even where no type is given; 0 means 1 there.
        for key in ["llama.rope.scaling.factor", "llama.rope.scale_linear"] {
            if !matches!(self.file.float(key)?, None | Some(0.0 | 1.0)) {
                return Err(self.file.unexpected(key, "1"));
            }
        }
        Ok(())
    }

    /// Channels per head; rotation of a part of them is refused.
    fn head_dim(&self, hidden_size: usize, heads: usize) -> Result<usize, GgufError> {
        let given = self.size("llama.attention.key_length")?;
        let channels = given.or(hidden_size.checked_div(heads)).unwrap_or(0);
        match self.size("llama.rope.dimension_count")? {
            Some(rotated) if rotated != channels => {
                let expected = format!("{channels}, the channels of a head");
                Err(self.file.unexpected("llama.rope.dimension_count", expected))
            }
            _ => Ok(channels),
        }
    }

    fn size(&self, key: &str) -> Result<Option<usize>, GgufError> {
        let size = self.file.integer(key)?.map(usize::try_from).transpose();
        size.map_err(|_| self.file.unexpected(key, "a size"))
    }

    fn required(&self, key: &str) -> Result<usize, GgufError> {
        self.size(key)?
            .ok_or_else(|| self.file.unexpected(key, "a whole number"))
    }

    fn token(&self, key: &str) -> Result<Option<u32>, GgufError> {
        let id = self.file.integer(key)?.map(u32::try_from).transpose();
        id.map_err(|_| self.file.unexpected(key, "a token id"))
    }
}
