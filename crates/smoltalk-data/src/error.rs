use gguf_file::GgufError;
use record_files::RecordError;
use std::path::PathBuf;
use thiserror::Error;

/// What was expected, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected {expected}, found {found}")]
#[allow(missing_docs)]
pub struct Mismatch {
    pub expected: String,
    pub found: String,
}

impl Mismatch {
    /// Either part as text.
    pub fn new(expected: impl Into<String>, found: impl ToString) -> Self {
        Self {
            expected: expected.into(),
            found: found.to_string(),
        }
    }
}

/// The errors of reading conversations and turning them into rows.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file could not be opened or read.
    #[error("{}: {source}; check that the path exists and can be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A path without conversations in a known format.
    #[error(
        "{}: expected a .jsonl, .json or .parquet file or a folder with .jsonl or .parquet files, found none",
        path.display()
    )]
    NoSource {
        /// The path asked for.
        path: PathBuf,
    },
    /// A file cannot be read, or one of its records is not a conversation.
    #[error(transparent)]
    Records(#[from] RecordError),
    /// A conversation of a source cannot be rendered or tokenised.
    #[error("{place}: {source}")]
    Conversation {
        /// Where it is.
        place: String,
        /// What is wrong with it.
        source: Box<DataError>,
    },
    /// More records were skipped than [`LoaderConfig::max_bad_records`](crate::LoaderConfig::max_bad_records) allows.
    #[error(
        "expected at most {most} records that cannot be used (`max_bad_records`) in a pass over the data, found more \
         after {conversations} conversations; the first are:\n  {}",
        first.join("\n  ")
    )]
    TooManyBadRecords {
        /// The limit.
        most: u64,
        /// Conversations read before it was exceeded.
        conversations: u64,
        /// The first of them: where, and what is wrong.
        first: Vec<String>,
    },
    /// A GGUF file cannot be read, is malformed, or its tokenizer is not SmolLM2's.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// A tokenizer file, a tokenizer configuration or the tokenizer that a GGUF file describes is unusable.
    #[error("{}: {field}: {mismatch}", path.display())]
    Tokenizer {
        /// The file, or `built-in`.
        path: PathBuf,
        /// The field or part.
        field: String,
        /// Its value.
        mismatch: Mismatch,
    },
    /// The tokenizer failed on a text or on ids.
    #[error("tokenizer: {0}; check the pre-tokenizer and the decoder in tokenizer.json")]
    Encoding(#[source] tokenizers::Error),
    /// The chat template cannot be parsed, raises an error, or does not end.
    #[error("chat template: {reason}; check `chat_template` in tokenizer_config.json")]
    Template {
        /// What the template engine says.
        reason: String,
    },
    /// The chat template changes earlier turns when a later one is added, so the mask cannot be computed from
    /// positions.
    #[error(
        "chat template: the text up to message {message} is not a prefix of the whole conversation, so the assistant's \
         tokens cannot be located; train with the mask over all tokens"
    )]
    NotAPrefix {
        /// Index of the message.
        message: usize,
    },
    /// Locating the assistant's tokens takes time quadratic in the number of turns.
    #[error(
        "conversation: expected at most {most} messages, found {found}; split it, or train with the mask over all tokens"
    )]
    TooManyMessages {
        /// The limit.
        most: usize,
        /// Messages in the conversation.
        found: usize,
    },
    /// A configuration value is invalid.
    #[error("{field}: {mismatch}")]
    Config {
        /// The field.
        field: &'static str,
        /// Its value.
        mismatch: Mismatch,
    },
    /// A pass over the data yielded no row to train on.
    #[error(
        "no row with a target token in {conversations} conversations; the sequence length ({sequence_length}) may be \
         longer than all of the data under concat packing, or no message is by the assistant"
    )]
    NoRows {
        /// Conversations read in the pass.
        conversations: u64,
        /// Length of a row.
        sequence_length: usize,
    },
    /// A position after the end of the data.
    #[error(
        "data position: expected at least {expected} conversations in the source, found {found}; has the data changed?"
    )]
    Position {
        /// Conversations the position lies behind.
        expected: u64,
        /// Conversations the source has.
        found: u64,
    },
    /// A position in different data: the conversations before it are not those that were read.
    #[error(
        "data position: expected conversations with the fingerprint {expected:016x} up to there, found {found:016x}; \
         resume with the same data and held-out share, in the same order"
    )]
    PositionData {
        /// Fingerprint of the conversations the position lies behind.
        expected: u64,
        /// Fingerprint of those the source has there.
        found: u64,
    },
    /// A position after the end of a buffer.
    #[error(
        "data position: expected at least {expected} rows in the buffer, found {found}; have the data, the packing or \
         the length of the rows changed?"
    )]
    PositionRows {
        /// Rows of the buffer the position lies behind.
        expected: u64,
        /// Rows the buffer gives.
        found: u64,
    },
}

impl DataError {
    /// Whether only one record of a source is affected, so that the others can be used.
    pub fn is_bad_record(&self) -> bool {
        match self {
            Self::Records(error) => error.is_one_record(),
            Self::Conversation { .. } => true,
            Self::Template { .. } | Self::NotAPrefix { .. } | Self::TooManyMessages { .. } | Self::Encoding(_) => true,
            _ => false,
        }
    }

    pub(crate) fn tokenizer(path: &std::path::Path, field: &str, expected: &str, found: impl ToString) -> Self {
        Self::Tokenizer {
            path: path.to_path_buf(),
            field: field.to_string(),
            mismatch: Mismatch::new(expected, found),
        }
    }

    pub(crate) fn config(field: &'static str, expected: impl Into<String>, found: impl ToString) -> Self {
        Self::Config {
            field,
            mismatch: Mismatch::new(expected, found),
        }
    }

    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_path_buf(),
            source,
        }
    }
}
