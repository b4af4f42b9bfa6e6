//! [`Report`]: one HTML page about a comparison of model variants, complete in itself: no request leaves it, plots
//! are inline SVG, it follows the reader's light or dark setting and prints.
//!
//! `contents.rs` holds what is said, `headline.rs` the sentence at the top, `page.rs` the sections, `html.rs` and
//! `plot.rs` what they are made of.

mod contents;
mod headline;
mod html;
mod page;
mod plot;

pub use contents::{Comparison, LearnedFunction, Report, TaskScores, Variant, VariantScore, p_text};
