//! Everything that can fail in this crate.

use smollm2_infer::InferError;
use smollm2_model::ModelError;
use smoltalk_data::DataError;
use std::io;
use std::path::{Path, PathBuf};

/// The result of a fallible function of this crate.
pub type Result<T, E = KallmError> = std::result::Result<T, E>;

/// What went wrong. What the other crates report is a source here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KallmError {
    /// Loading, converting or saving a model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A model and a tokenizer do not belong together, or a prompt cannot be continued.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// Reading conversations, or turning text into tokens, failed.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Training failed.
    #[cfg(feature = "train")]
    #[error(transparent)]
    Train(#[from] smollm2_train::TrainError),
    /// A task, its evaluation or a statistic failed.
    #[cfg(feature = "bench")]
    #[error(transparent)]
    Bench(#[from] llm_bench::BenchError),
    /// A file or folder could not be used.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// `read`, `write`, `create`, ..
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A value could not be read from or written as JSON.
    #[error("{place}: expected what KALLM writes there")]
    Json {
        /// The file, or what the value is.
        place: String,
        /// Where it stopped.
        source: serde_json::Error,
    },
    /// Something given is not usable as it is.
    #[error("{problem}")]
    Refused {
        /// What was expected, what was found, and what to do.
        problem: String,
    },
    /// Something failed at a place that the error itself does not name.
    #[error("{place}")]
    At {
        /// The place.
        place: String,
        /// The failure.
        source: Box<KallmError>,
    },
}

/// Names the file of an I/O error.
pub(crate) trait OfPath<T> {
    /// The error `cannot ACTION PATH`.
    fn of_path(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> OfPath<T> for io::Result<T> {
    fn of_path(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| KallmError::Io {
            action,
            path: path.to_path_buf(),
            source,
        })
    }
}

/// Names the place of another error.
pub(crate) trait AtPlace<T> {
    /// The error at `place`.
    fn at_place(self, place: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<KallmError>> AtPlace<T> for std::result::Result<T, E> {
    fn at_place(self, place: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| KallmError::At {
            place: place(),
            source: Box::new(error.into()),
        })
    }
}

impl KallmError {
    /// A [`KallmError::Json`] at a place.
    pub(crate) fn json(place: impl Into<String>) -> impl FnOnce(serde_json::Error) -> Self {
        |source| Self::Json {
            place: place.into(),
            source,
        }
    }
}

/// Returns a [`KallmError::Refused`] with a formatted problem.
macro_rules! refuse {
    ($($argument:tt)*) => {
        return Err($crate::KallmError::Refused { problem: format!($($argument)*) })
    };
}
pub(crate) use refuse;
