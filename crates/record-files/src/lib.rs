//! # Brief overview
//!
//! Records of JSONL and Parquet files, one JSON object each. [`Records`] streams a file; a [`Record`] knows its
//! [`Place`]; a [`RecordError`] says whether only one record is lost or the rest of the file.
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
//! Files are outside data. A line has at most [`LONGEST_LINE`] bytes, a page of a Parquet file decompresses to at most
//! [`LARGEST_PAGE`] bytes, and a panic of the Parquet reader becomes an error. One thing is not caught: the Parquet reader
//! calls itself for each level of a schema, so that a schema nested many thousands of levels deep, which no writer makes,
//! overflows the stack and ends the process. Read files of unknown origin in a process of their own.
//!
//! Where to start reading: `record.rs`, `lines.rs`, `rows.rs`, `pages.rs`. The example `sft` trains on such files.
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

pub use error::RecordError;
pub use folder::data_files;
pub use lines::LONGEST_LINE;
pub use pages::LARGEST_PAGE;
pub use record::{Place, Position, Record, Records, count};
