//! # Brief overview
//!
//! This crate reads JSONL and Parquet files as records, each of which is a JSON object. [`Records`] streams a file. A
//! [`Record`] contains its [`Place`] in the file. [`RecordError::is_one_record`] tells whether an error affects only
//! one record or the rest of the file. [`split_files`] returns the files of a data set that contain a split.
//!
//! ```
//! use record_files::Records;
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("train.jsonl");
//! std::fs::write(&path, "{\"text\": \"one\"}\n{\"text\": \n{\"text\": \"three\"}\n")?;
//! let (good, bad): (Vec<_>, Vec<_>) = Records::open(&path)?.partition(|record| record.is_ok());
//! assert_eq!(good.len(), 2);
//! let error = bad.into_iter().find_map(Result::err).expect("the second line");
//! assert!(error.is_one_record());
//! assert!(error.to_string().contains("train.jsonl:2: expected a JSON object"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Files are treated as untrusted. A line may have at most [`LONGEST_LINE`] bytes, and a page of a Parquet file may
//! decompress to at most [`LARGEST_PAGE`] bytes. A panic in the Parquet reader is returned as an error. One case is not
//! caught: the Parquet reader calls itself for each level of a schema. A schema nested many thousands of levels deep,
//! which no Parquet writer produces, overflows the stack and terminates the process. Read files of unknown origin in a
//! separate process.
//!
//! Where to start reading: `record.rs`, `lines.rs`, `rows.rs`, `pages.rs`; `split.rs`. The example `sft` trains on such files.
#![deny(missing_docs)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod error;
mod folder;
mod lines;
mod pages;
mod panics;
mod record;
mod rows;
mod split;

pub use error::RecordError;
pub use folder::data_files;
pub use lines::LONGEST_LINE;
pub use pages::LARGEST_PAGE;
pub use record::{Place, Position, Record, Records, count};
pub use split::{SplitMatch, split_files};
