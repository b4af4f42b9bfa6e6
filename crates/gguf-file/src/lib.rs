//! # Brief overview
//!
//! [`GgufFile`] is a memory-mapped [GGUF file](https://github.com/ggml-org/ggml/blob/master/docs/gguf.md) whose header
//! has been checked. It gives access to typed metadata by key, and to [`Tensor`]s by name. A tensor has a
//! [`TensorType`], a shape and the bytes of its blocks. A [`GgufError`] names the file, the field, what was expected
//! and what was found.
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
//! Files are treated as untrusted. Before memory is allocated, each count and length is compared with the remaining
//! size of the file. Tensors must lie inside the file, be aligned and not overlap. Opening a file skips arrays such as
//! the vocabulary without storing them; [`GgufFile::texts`] and [`GgufFile::integers`] read an array on request.
//!
//! Where to start reading: `file.rs`, then `header.rs` and `cursor.rs`, then `dequantise.rs`. The example `generate`
//! opens such a file with `--model model.gguf`.
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
