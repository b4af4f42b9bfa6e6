//! # Brief overview
//!
//! [`GgufFile`] is a mapped [GGUF file](https://github.com/ggml-org/ggml/blob/master/docs/gguf.md) with a sound header:
//! typed metadata by key, and [`Tensor`]s by name, each a [`TensorType`], a shape and the bytes of its blocks.
//! [`GgufError`] names file, field, what was expected and what was found.
//!
//! ```
//! use gguf_file::{GgufFile, TensorType};
//!
//! # let entries = [fixtures::gguf::entry("llama.block_count", 4, &30u32.to_le_bytes())];
//! # let bytes = [1.5f32, -2.0].map(f32::to_le_bytes).concat();
//! # let bytes = fixtures::gguf::file(&entries, &[("output_norm.weight", &[2], 0, &bytes)]);
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("model.gguf");
//! # std::fs::write(&path, bytes)?;
//! let file = GgufFile::open(&path)?;
//! assert_eq!(file.integer("llama.block_count")?, Some(30));
//! assert_eq!(file.text("general.name")?, None);
//! let norm = file.tensor("output_norm.weight").expect("a tensor of this name");
//! assert_eq!((norm.kind, norm.shape), (TensorType::F32, &[2][..]));
//! assert_eq!(norm.dequantise(), [1.5, -2.0]);
//! let error = file.text("llama.block_count").unwrap_err();
//! assert!(error.to_string().ends_with("GGUF llama.block_count: expected a string, found 30"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Files are outside data. Every count and length is compared with the rest of the file before anything is allocated from
//! it; tensors lie inside the file, aligned and apart from each other. Opening passes over arrays such as the vocabulary
//! without keeping them; [`GgufFile::texts`] and [`GgufFile::integers`] read one when asked.
//!
//! Where to start reading: `file.rs`, then `header.rs` and `cursor.rs`, then `dequantise.rs`. The example `generate` opens
//! such a file with `--model model.gguf`.
#![deny(missing_docs)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod cursor;
mod dequantise;
mod error;
mod file;
mod header;
mod tensor_type;
mod value;

pub use error::GgufError;
pub use file::{GgufFile, Tensor};
pub use tensor_type::TensorType;
