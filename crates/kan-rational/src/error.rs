use thiserror::Error;

/// Everything that can be wrong with a group rational function's configuration or with a fit.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum RationalError {
    /// A degree no kernel is compiled for.
    #[error("{field}: expected {lowest} to {highest}, found {found}")]
    Degree {
        /// Which degree.
        field: &'static str,
        /// Lowest allowed.
        lowest: usize,
        /// Highest allowed.
        highest: usize,
        /// What was given.
        found: usize,
    },
    /// The groups do not divide the channels.
    #[error("groups: expected a divisor of {channels} channels, found {groups}")]
    Groups {
        /// Channels of the layer.
        channels: usize,
        /// Groups asked for.
        groups: usize,
    },
}
