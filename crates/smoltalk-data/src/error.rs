use hub_cache::HubError;
use std::path::PathBuf;
use thiserror::Error;

/// Everything that can go wrong between a source of conversations and a batch.
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
    /// A path that holds no conversations in a known format.
    #[error(
        "{}: expected a .jsonl, .json or .parquet file or a folder with .jsonl or .parquet files, found none",
        path.display()
    )]
    NoSource {
        /// The path asked for.
        path: PathBuf,
    },
    /// A line of a JSONL file is not a conversation.
    #[error("{}:{line}: expected {expected}, found {found}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// What a conversation needs there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A Parquet file or one of its rows is not what it should be.
    #[error("{}: row {row}: expected {expected}, found {found}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Row number, from 0.
        row: u64,
        /// What a conversation needs there.
        expected: String,
        /// What the reader found.
        found: String,
    },
    /// A tokenizer file, a tokenizer configuration or a GGUF file's tokenizer part is unusable.
    #[error("{}: {field}: expected {expected}, found {found}", path.display())]
    Tokenizer {
        /// The file, or `built-in`.
        path: PathBuf,
        /// The field or part.
        field: String,
        /// What is needed.
        expected: String,
        /// What was found.
        found: String,
    },
    /// The tokenizer failed on a text or on ids.
    #[error("tokenizer: {0}; check the pre-tokenizer and the decoder in tokenizer.json")]
    Encoding(#[source] tokenizers::Error),
    /// The chat template does not parse, raises, or runs away.
    #[error("chat template: {reason}; check `chat_template` in tokenizer_config.json")]
    Template {
        /// What the template engine says.
        reason: String,
    },
    /// The chat template rewrites earlier turns when a later one is added, so no mask by position exists.
    #[error(
        "chat template: the text up to message {message} is not a prefix of the whole conversation, so the assistant's \
         tokens cannot be located; train with the mask over all tokens"
    )]
    NotAPrefix {
        /// Index of the message.
        message: usize,
    },
    /// Finding the assistant's words takes time by the square of the turns.
    #[error(
        "conversation: expected at most {most} messages, found {found}; split it, or train with the mask over all tokens"
    )]
    TooManyMessages {
        /// The limit.
        most: usize,
        /// Messages in the conversation.
        found: usize,
    },
    /// A configuration value is impossible.
    #[error("{field}: expected {expected}, found {found}")]
    Config {
        /// The field.
        field: &'static str,
        /// What is possible.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A whole pass over the data gave no row to train on.
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
    /// A position in the data that the data does not reach.
    #[error(
        "data position: expected at least {expected} conversations in the source, found {found}; has the data changed?"
    )]
    Position {
        /// Conversations the position lies behind.
        expected: u64,
        /// Conversations the source has.
        found: u64,
    },
    /// A position in other data: what was read up to there is not what stands there now.
    #[error(
        "data position: expected conversations with the fingerprint {expected:016x} up to there, found {found:016x}; go \
         on with the data, the held-out share and their order as they were"
    )]
    PositionData {
        /// Fingerprint of the conversations the position lies behind.
        expected: u64,
        /// Fingerprint of those the source has there.
        found: u64,
    },
    /// A position in a buffer that its conversations do not reach.
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
    /// The hub or its cache did not give a file, or a folder lacks files of the split its names speak of.
    #[error(transparent)]
    Hub(#[from] HubError),
}

impl DataError {
    pub(crate) fn tokenizer(path: &std::path::Path, field: &str, expected: &str, found: impl ToString) -> Self {
        Self::Tokenizer {
            path: path.to_path_buf(),
            field: field.to_string(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_path_buf(),
            source,
        }
    }
}
