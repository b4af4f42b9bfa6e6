//! [`Report`] compares the variants of a study across training seeds and, model by model, on documents. It is written
//! as a table for the terminal or as one HTML page. The page is self-contained: it loads nothing, its plots are inline
//! SVG, it follows the reader's light or dark setting and can be printed.
//!
//! `variant.rs` holds the input and `contents.rs` the report. `quantity.rs` and `seeds.rs` compare variants,
//! `documents.rs` compares two trained models. `headline.rs` has the sentences at the top, `table.rs` the table for the
//! terminal, `page.rs` the sections of the page, `html.rs` and `plot.rs` their parts.

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
