//! GGUF files of the `llama` architecture, as llama.cpp converts and quantises SmolLM2.
//!
//! Two things differ from the Hugging Face layout: names (`blk.0.attn_q.weight`), and the order of the query and key
//! rows. llama.cpp rotates neighbouring channels, `transformers` rotates channel `i` with channel `i + C/2`;
//! the converter interleaves the two halves of every head (`LlamaModel.permute` in llama.cpp's
//! `convert_hf_to_gguf.py`), and reading undoes it.

mod cursor;
mod header;

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
};

use burn::tensor::{DType, TensorData};
use candle_core::{
    Device,
    quantized::{GgmlDType, ggml_file::qtensor_from_ggml},
};
use memmap2::Mmap;

use self::{
    cursor::Value,
    header::{Header, Tensor},
};
use super::{
    archive::{Archive, Shapes},
    element::decode,
};
use crate::{FeedForwardConfig, ModelError, SmolLm2Config, StoredDtype};

/// Every tensor of a GGUF file of the `llama` architecture under its Hugging Face name, quantised blocks as f32.
///
/// # Errors
/// [`ModelError::Io`] and [`ModelError::Gguf`]: the header is checked completely before a tensor is read.
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

/// A mapped GGUF file whose header is known to be sound.
#[derive(Debug)]
pub(super) struct Gguf {
    path: PathBuf,
    map: Mmap,
    header: Header,
    /// The file's own name by Hugging Face name.
    names: BTreeMap<String, String>,
    config: SmolLm2Config,
}

impl Gguf {
    pub(super) fn open(path: &Path) -> Result<Self, ModelError> {
        let file = File::open(path).map_err(|error| ModelError::io("open", path, error))?;
        // SAFETY: the map is read only; as for every memory map, the file must not be rewritten in place meanwhile.
        let map = unsafe { Mmap::map(&file) }.map_err(|error| ModelError::io("map", path, error))?;
        let header = Header::read(path, &map)?;
        let config = Metadata { path, header: &header }
            .config()
            .map_err(|error| error.in_file(path))?;
        let mut gguf = Self {
            path: path.to_owned(),
            map,
            header,
            names: BTreeMap::new(),
            config,
        };
        for name in gguf.header.tensors.keys() {
            if let Some(other) = gguf.names.insert(hugging_face_name(name), name.clone()) {
                return Err(gguf.error(name, "one tensor of this meaning", format!("{other} as well")));
            }
        }
        Ok(gguf)
    }

    /// The configuration in the metadata.
    pub(super) fn config(&self) -> SmolLm2Config {
        self.config.clone()
    }

    fn error(&self, field: &str, expected: &str, found: impl ToString) -> ModelError {
        let (field, expected) = (field.to_owned(), expected.to_owned());
        ModelError::Gguf {
            path: self.path.clone(),
            field,
            expected,
            found: found.to_string(),
        }
    }

    /// Plain floats as they are, quantised blocks as f32.
    fn dequantise(&self, name: &str, tensor: &Tensor) -> Result<TensorData, ModelError> {
        let bytes = self.map.get(tensor.start..tensor.end);
        let bytes = bytes.ok_or_else(|| self.error(name, "bytes inside the file", "none"))?;
        let plain = match tensor.dtype {
            GgmlDType::F32 => Some(DType::F32),
            GgmlDType::F16 => Some(DType::F16),
            GgmlDType::BF16 => Some(DType::BF16),
            _ => None,
        };
        if let Some(data) = plain.and_then(|dtype| decode(bytes, &tensor.shape, dtype)) {
            return Ok(data);
        }
        // Tensors lie at multiples of 8 bytes in a page-aligned map, which is more than candle's blocks need.
        let elements = tensor.shape.iter().product();
        let values = qtensor_from_ggml(tensor.dtype, bytes, vec![elements], &Device::Cpu)
            .and_then(|blocks| blocks.dequantize(&Device::Cpu))
            .and_then(|values| values.to_vec1::<f32>())
            .map_err(|error| self.error(name, "blocks that can be dequantised", error))?;
        Ok(TensorData::new(values, tensor.shape.clone()))
    }
}

impl Archive for Gguf {
    fn shapes(&self) -> Shapes {
        let stored =
            |(name, own): (&String, &String)| Some((name.clone(), self.header.tensors.get(own)?.shape.clone()));
        self.names.iter().filter_map(stored).collect()
    }

    fn read(&mut self, name: &str) -> Result<TensorData, ModelError> {
        let tensor = self.names.get(name).and_then(|own| self.header.tensors.get(own));
        let tensor = tensor.ok_or_else(|| self.error(name, "a tensor of this name", "nothing"))?;
        let data = self.dequantise(name, tensor)?;
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
    path: &'a Path,
    header: &'a Header,
}

impl Metadata<'_> {
    fn config(&self) -> Result<SmolLm2Config, ModelError> {
        self.refuse_foreign()?;
        let layers = self.required("llama.block_count")?;
        // Every layer has tensors: a larger count is a lie, and must not make a list of that length.
        if layers > self.header.tensors.len() {
            let expected = format!("at most the number of tensors, {}", self.header.tensors.len());
            return Err(self.error("llama.block_count", &expected));
        }
        let hidden_size = self.required("llama.embedding_length")?;
        let heads = self.required("llama.attention.head_count")?;
        let embedding = self.header.tensors.get("token_embd.weight");
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
            rms_norm_eps: self.number("llama.attention.layer_norm_rms_epsilon")?.unwrap_or(1e-5),
            rope_theta: self.number("llama.rope.freq_base")?.unwrap_or(10_000.0),
            max_position_embeddings: self.required("llama.context_length")?,
            tie_word_embeddings: !self.header.tensors.contains_key("output.weight"),
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
    fn refuse_foreign(&self) -> Result<(), ModelError> {
        let only = |key: &str, only: &str| match self.header.metadata.get(key) {
            Some(Value::Text(text)) if text == only => Ok(()),
            _ => Err(self.error(key, only)),
        };
        only("general.architecture", "llama")?;
        if self.header.metadata.contains_key("llama.rope.scaling.type") {
            only("llama.rope.scaling.type", "none")?;
        }
        // llama.cpp scales by either key even where no type is given; 0 means 1 there.
        for key in ["llama.rope.scaling.factor", "llama.rope.scale_linear"] {
            if !matches!(self.number(key)?, None | Some(0.0 | 1.0)) {
                return Err(self.error(key, "1"));
            }
        }
        Ok(())
    }

    /// Channels per head; rotation of a part of them is refused.
    fn head_dim(&self, hidden_size: usize, heads: usize) -> Result<usize, ModelError> {
        let given = self.size("llama.attention.key_length")?;
        let channels = given.or(hidden_size.checked_div(heads)).unwrap_or(0);
        match self.size("llama.rope.dimension_count")? {
            Some(rotated) if rotated != channels => {
                let expected = format!("{channels}, the channels of a head");
                Err(self.error("llama.rope.dimension_count", &expected))
            }
            _ => Ok(channels),
        }
    }

    fn error(&self, key: &str, expected: &str) -> ModelError {
        let found = self
            .header
            .metadata
            .get(key)
            .map_or_else(|| "nothing".to_owned(), Value::to_string);
        ModelError::Gguf {
            path: self.path.to_owned(),
            field: key.to_owned(),
            expected: expected.to_owned(),
            found,
        }
    }

    fn size(&self, key: &str) -> Result<Option<usize>, ModelError> {
        let refuse = || self.error(key, "a whole number");
        match self.header.metadata.get(key) {
            None => Ok(None),
            Some(Value::Unsigned(value)) => usize::try_from(*value).map(Some).map_err(|_| refuse()),
            Some(Value::Signed(value)) => usize::try_from(*value).map(Some).map_err(|_| refuse()),
            Some(_) => Err(refuse()),
        }
    }

    fn required(&self, key: &str) -> Result<usize, ModelError> {
        self.size(key)?.ok_or_else(|| self.error(key, "a whole number"))
    }

    fn token(&self, key: &str) -> Result<Option<u32>, ModelError> {
        let id = self.size(key)?.map(u32::try_from).transpose();
        id.map_err(|_| self.error(key, "a token id"))
    }

    /// A float, by its shortest decimal: 1e-5 is stored as the nearest f32, and means 1e-5.
    fn number(&self, key: &str) -> Result<Option<f64>, ModelError> {
        match self.header.metadata.get(key) {
            None => Ok(None),
            Some(Value::Float(value)) => value
                .to_string()
                .parse()
                .map(Some)
                .map_err(|_| self.error(key, "a finite number")),
            Some(_) => Err(self.error(key, "a number")),
        }
    }
}
