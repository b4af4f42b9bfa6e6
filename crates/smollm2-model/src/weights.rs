//! Loads and saves weights: Hugging Face folders and GGUF files.
//!
//! Files are treated as untrusted. Before memory is allocated, lengths and offsets are compared with the size of the
//! file, shapes with the number of bytes, and tensors with the configuration.
//!
//! ```
//! use burn::backend::Flex;
//! use smollm2_model::weights;
//! # let mut config = smollm2_model::SmolLm2Config::smollm2_135m();
//! # (config.vocab_size, config.hidden_size, config.intermediate_size, config.num_hidden_layers) = (64, 64, 128, 1);
//! # (config.num_attention_heads, config.num_key_value_heads) = (1, 1);
//! # config.feed_forward.truncate(1);
//! # let model = config.init::<Flex>(&Default::default())?;
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path().join("model");
//!
//! weights::save(&model, &folder)?;
//! let loaded = weights::load::<Flex>(&folder, &Default::default())?;
//! assert_eq!(loaded.model.config(), model.config());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod archive;
mod element;
mod folder;
mod gguf;
mod named;
mod report;
mod safetensors_file;
mod save;

pub use gguf::read_gguf;
pub use named::{LoadDtype, from_named_tensors, named_tensors, parameter_names};
pub use report::{LoadReport, NameMismatch, ShapeMismatch};
pub use safetensors_file::read_safetensors;
pub use save::{save, save_as, write_safetensors};

use std::path::Path;

use burn::tensor::{DType, backend::Backend};

use self::{archive::Archive, folder::Folder, gguf::Gguf};
use crate::{DecoderBackend, ModelError, SmolLm2, SmolLm2Config, StoredDtype};

/// A model and what did not fit.
#[derive(Debug)]
pub struct Loaded<B: Backend> {
    /// The model.
    pub model: SmolLm2<B>,
    /// Differences between file and configuration; clean after a strict load.
    pub report: LoadReport,
}

/// How [`load_with`] treats what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// Refuse a file with missing, unused or mis-shaped tensors. Default true. Otherwise they are reported, and what
    /// is missing or mis-shaped keeps fresh random values.
    pub strict: bool,
    /// Float type of the weights. Default: the device's.
    pub dtype: LoadDtype,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            strict: true,
            dtype: LoadDtype::Device,
        }
    }
}

/// Loads the model in a folder or a GGUF file, refusing one that does not fit its configuration exactly.
///
/// # Errors
/// As [`load_with`].
pub fn load<B: DecoderBackend>(path: &Path, device: &B::Device) -> Result<Loaded<B>, ModelError> {
    load_with(path, &LoadOptions::default(), device)
}

/// Loads the model in a folder in the Hugging Face layout (`config.json` next to `model.safetensors`, or next to
/// `model.safetensors.index.json` and its shards), or in a GGUF file of the `llama` architecture.
///
/// # Errors
/// - [`ModelError::Path`], [`ModelError::Io`]: the files cannot be had.
/// - [`ModelError::Safetensors`], [`ModelError::ShardIndex`], [`ModelError::Gguf`], [`ModelError::ConfigFile`]: a
///   file is malformed.
/// - [`ModelError::Tensors`], [`ModelError::Vocabulary`], [`ModelError::TiedWeights`], [`ModelError::Config`]: the
///   tensors are not those the configuration calls for.
pub fn load_with<B: DecoderBackend>(
    path: &Path,
    options: &LoadOptions,
    device: &B::Device,
) -> Result<Loaded<B>, ModelError> {
    let (config, mut archive): (SmolLm2Config, Box<dyn Archive>) = if path.is_dir() {
        let folder = Folder::open(path)?;
        (folder.config()?, Box::new(folder))
    } else if path.exists() {
        let file = Gguf::open(path)?;
        (file.config(), Box::new(file))
    } else {
        return Err(ModelError::Path { path: path.to_owned() });
    };
    let (model, report) = named::fill::<B>(&config, archive.as_mut(), options, device)?;
    Ok(Loaded { model, report })
}

impl StoredDtype {
    /// Burn's name of the type.
    pub(crate) fn dtype(self) -> DType {
        match self {
            Self::Float32 => DType::F32,
            Self::Float16 => DType::F16,
            Self::Bfloat16 => DType::BF16,
        }
    }
}
