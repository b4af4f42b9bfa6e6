//! The page: its frame and the order of its sections.

mod documents;
mod seeds;
mod training;

use super::contents::Report;
use super::html::{escape, head, table};
use crate::{BenchError, Measure, Scale};

const STYLE: &str = include_str!("style.css");

impl Report {
    /// The whole page.
    ///
    /// # Errors
    /// [`BenchError::Plot`] when a plot cannot be drawn.
    pub fn to_html(&self) -> Result<String, BenchError> {
        let title = escape(&self.title);
        let meta = [self.date.as_str(), &self.hardware]
            .into_iter()
            .filter(|text| !text.is_empty());
        let meta: Vec<&str> = meta.collect();
        let body = [
            format!(
                "<h1>{title}</h1>\n<p class=\"meta\">{}</p>\n",
                escape(&meta.join(" · "))
            ),
            format!("<p class=\"headline\">{}</p>\n", escape(&self.headline())),
            seeds::comparisons(self)?,
            training::variants(self),
            training::curves(self)?,
            seeds::convergence(self),
            seeds::equivalence(self),
            documents::scores(self),
            documents::comparisons(self)?,
            training::functions(self)?,
            reproduction(self),
        ];
        Ok(format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{}</main>\n</body>\n</html>\n",
            body.concat()
        ))
    }
}

/// A value as tables show it: a percentage, or the number.
fn number(scale: Scale, value: f64) -> String {
    if scale == Scale::Share {
        format!("{:.1}", value * 100.0)
    } else {
        format!("{value:.4}")
    }
}

fn metric(measure: &Measure) -> String {
    let direction = if measure.higher_is_better {
        ""
    } else {
        ", lower is better"
    };
    format!("{}{direction}", escape(&measure.metric))
}

/// The series whose colour a variant has.
fn series(report: &Report, name: &str) -> usize {
    let position = report.variants().iter().position(|variant| variant.name == name);
    position.unwrap_or(1)
}

fn reproduction(report: &Report) -> String {
    let mut html = format!("<h2>How this was made</h2>\n<pre>{}</pre>\n", escape(&report.command));
    if !report.settings.is_empty() {
        let rows = report.settings.iter();
        let rows = rows.map(|(name, value)| ("", vec![escape(name), escape(value)]));
        let rows: Vec<_> = rows.collect();
        html.push_str(&table(&head(&["setting", "value"]), &rows));
    }
    html
}
