//! [`Report`]: variants of a study, compared across the seeds of their training and, model by model, on documents. As
//! one HTML page, complete in itself: no request leaves it, plots are inline SVG, it follows the reader's light or dark
//! setting and prints. As a table for the terminal.
//!
//! `variant.rs` holds what goes in and `contents.rs` the report. `quantity.rs` and `seeds.rs` are claims about variants,
//! `documents.rs` claims about two trained models. `headline.rs` has the sentences at the top, `table.rs` the terminal's
//! table, `page.rs` the sections of the page, `html.rs` and `plot.rs` what they are made of.

mod contents;
mod documents;
mod headline;
mod html;
mod json;
mod page;
mod plot;
mod quantity;
mod seeds;
mod table;
mod variant;

pub use contents::{Report, p_text};
pub use documents::{Comparison, TaskScores, VariantScore};
pub use quantity::{Observed, Quantity};
pub use seeds::{MeanDifference, SeedComparison};
pub use variant::{Criteria, CurvePoint, LearnedFunction, Run, Variant};
