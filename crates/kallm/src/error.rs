//! Everything that can fail in this crate.

use smollm2_infer::InferError;
use smollm2_model::ModelError;
use smoltalk_data::DataError;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

/// The result of a fallible function of this crate.
pub type Result<T, E = KallmError> = std::result::Result<T, E>;

/// An error of this crate. Errors of the other crates are passed on unchanged.
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
    /// The hub or its cache did not give a file.
    #[cfg(feature = "cache")]
    #[error(transparent)]
    Hub(#[from] hub_cache::HubError),
    /// A data set on the hub has no files for the split asked for.
    #[cfg(feature = "cache")]
    #[error(transparent)]
    Records(#[from] record_files::RecordError),
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
    /// A value could not be read from JSON, or written as JSON.
    #[error("{place}: expected the JSON that KALLM writes there")]
    Json {
        /// The file, or what the value is.
        place: String,
        /// Where it stopped.
        source: serde_json::Error,
    },
    /// An input cannot be used.
    #[error("{place}: expected {expected}, found {found}; {remedy}")]
    Unusable {
        /// The file, folder or field.
        place: String,
        /// What is needed there.
        expected: String,
        /// What is there.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A plan is not TOML, or has an unknown or ill-typed field.
    #[cfg(all(feature = "bench", feature = "train"))]
    #[error("expected the plan of a study")]
    PlanSyntax(#[source] Box<toml::de::Error>),
    /// Another process works in the folder of a study, or on one of its cells.
    #[error("{}: another process is working there; wait for it, or choose another folder", path.display())]
    Busy {
        /// The lock file.
        path: PathBuf,
    },
    /// The folder holds a study with other settings, and replacing it was not requested.
    #[error("{}: {difference}", path.display())]
    OtherStudy {
        /// The file with the settings.
        path: PathBuf,
        /// The first setting that differs, with both values.
        difference: String,
    },
    /// A setting given to a resumed run differs from the run's own.
    #[error("{setting}: the run {run}, given {given}; leave it out, or begin in another folder")]
    OtherRun {
        /// The setting: `steps`, `model`, `held_out_share` or `feed_forward`.
        setting: &'static str,
        /// The run's value.
        run: String,
        /// The value given now.
        given: String,
    },
    /// A resumed run is given a different recipe, and changing the recipe was not requested.
    #[error("recipe: it is not that of the run:{differences}\nleave it out, or change the recipe on purpose")]
    OtherRecipe {
        /// A line for each field that differs.
        differences: String,
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

impl KallmError {
    /// A [`KallmError::Unusable`].
    pub(crate) fn unusable(
        place: impl Display,
        expected: impl Into<String>,
        found: impl Into<String>,
        remedy: &'static str,
    ) -> Self {
        Self::Unusable {
            place: place.to_string(),
            expected: expected.into(),
            found: found.into(),
            remedy,
        }
    }

    /// A [`KallmError::Json`] at a place.
    pub(crate) fn json(place: impl Display) -> impl FnOnce(serde_json::Error) -> Self {
        let place = place.to_string();
        |source| Self::Json { place, source }
    }
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
