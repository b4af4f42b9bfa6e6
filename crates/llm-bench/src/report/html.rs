//! Formats text, numbers and tables as HTML.

use std::fmt::Write;

/// Series colours defined by the style sheet.
pub(super) const SERIES: usize = 6;

/// Escapes text for element content and quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// A table from header cells and rows; cells are HTML already. A row may carry a class.
pub(super) fn table(head: &[String], rows: &[(&str, Vec<String>)]) -> String {
    let mut html = String::from("<div class=\"scroll\"><table>\n<thead><tr>");
    for cell in head {
        let _ = write!(html, "<th>{cell}</th>");
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for (class, cells) in rows {
        let _ = write!(html, "<tr class=\"{class}\">");
        for cell in cells {
            let _ = write!(html, "<td>{cell}</td>");
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
    html
}

pub(super) fn head(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

pub(super) fn named(index: usize, name: &str) -> String {
    format!(
        "<span class=\"dot\" style=\"background:var(--series-{})\"></span>{}",
        index % SERIES,
        escape(name)
    )
}

/// 134515008 as `134,515,008`.
pub(super) fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let groups = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join(",")
}

pub(super) fn optional(value: Option<f64>, format: impl Fn(f64) -> String) -> String {
    value
        .filter(|value| value.is_finite())
        .map_or_else(|| "–".to_owned(), format)
}
