//! Differences with their intervals, one row each, and a dot for each seed.

use plotters::prelude::*;

use super::{Chart, Drawn, GRID, INK, MUTED, Root, draw as drawn, range, series, text};
use crate::BenchError;

/// One difference, as an improvement.
pub(crate) struct Row {
    /// The text on the left.
    pub(crate) label: String,
    /// One per seed.
    pub(crate) dots: Vec<f64>,
    /// Their mean, or the one difference there is.
    pub(crate) mean: Option<f64>,
    /// Its ends in any order.
    pub(crate) interval: Option<[f64; 2]>,
    /// Drawn on both sides of zero.
    pub(crate) margin: Option<f64>,
    /// Index of the colour.
    pub(crate) series: usize,
}

/// What the differences of a plot share.
pub(crate) struct Axis {
    description: &'static str,
    /// The unit in which positions are labelled.
    scale: f64,
    /// Half of the narrowest range drawn, in that unit.
    narrowest: f64,
    label: fn(f64, usize) -> String,
}

impl Axis {
    /// Of shares.
    pub(crate) fn points() -> Self {
        Self {
            description: "difference in points (right of zero: the candidate is better)",
            scale: 100.0,
            narrowest: 5.0,
            label: signed,
        }
    }

    /// Of losses.
    pub(crate) fn nats() -> Self {
        Self {
            description: "loss lower by, in nats (right of zero: the candidate is better)",
            scale: 1.0,
            narrowest: 0.001,
            label: signed,
        }
    }

    /// Of logarithms of what is better when lower.
    pub(crate) fn percent() -> Self {
        Self {
            description: "change in percent (right of zero, less: the candidate is better)",
            scale: 1.0,
            narrowest: 0.02,
            label: percent,
        }
    }
}

/// With its sign and so many digits.
fn signed(value: f64, digits: usize) -> String {
    let text = format!("{value:+.digits$}");
    if text
        .trim_start_matches(['+', '-'])
        .chars()
        .all(|c| c == '0' || c == '.')
    {
        "0".to_owned()
    } else {
        text
    }
}

/// The change of a quantity whose logarithm is lower by this.
fn percent(lower: f64, _digits: usize) -> String {
    signed((-lower).exp_m1() * 100.0, 0)
}

/// Pixels in height of a row, and of everything else.
const ROW: u32 = 34;
const REST: u32 = 64;
/// Pixels in width of the labels on the left, and of a character in them.
const LABELS: u32 = 330;
const CHARACTER: f64 = 6.7;

pub(crate) fn draw(rows: &[Row], axis: &Axis) -> Result<String, BenchError> {
    let values = rows.iter().flat_map(|row| {
        let interval = row.interval.into_iter().flatten();
        row.dots
            .iter()
            .copied()
            .chain(interval)
            .chain(row.mean)
            .map(|value| value * axis.scale)
    });
    let x = range(values.chain([-axis.narrowest, axis.narrowest]), 0.08);
    let digits = (1.5 - (x.end - x.start).log10()).floor().clamp(0.0, 6.0) as usize;
    let count = rows.len() as f64;
    let height = REST + ROW * rows.len() as u32;
    drawn(1040, height, "Differences with 95% intervals", |root| {
        let mut chart = ChartBuilder::on(root)
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(LABELS)
            .build_cartesian_2d(x.clone(), 0.0..count)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .x_labels(8)
            .label_style(text(14, MUTED))
            .axis_desc_style(text(14, MUTED))
            .x_desc(axis.description)
            .x_label_formatter(&|x| (axis.label)(*x, digits))
            .draw()?;
        chart.draw_series(LineSeries::new([(0.0, 0.0), (0.0, count)], MUTED.stroke_width(1)))?;
        for (index, row) in rows.iter().enumerate() {
            draw_row(root, &mut chart, count - index as f64 - 0.5, row, axis.scale)?;
        }
        Ok(())
    })
}

fn draw_row(root: &Root, chart: &mut Chart, y: f64, row: &Row, scale: f64) -> Drawn {
    let colour = series(row.series);
    for end in row.margin.into_iter().flat_map(|margin| [-margin, margin]) {
        let line = [(end * scale, y - 0.4), (end * scale, y + 0.4)];
        chart.draw_series(DashedLineSeries::new(line, 4, 3, MUTED.stroke_width(1)))?;
    }
    if let Some(ends) = row.interval {
        chart.draw_series(LineSeries::new(
            ends.map(|end| (end * scale, y)),
            colour.stroke_width(3),
        ))?;
    }
    let dots = row.dots.iter().map(|dot| (dot * scale, y));
    chart.draw_series(dots.map(|dot| Circle::new(dot, 4, INK.stroke_width(1))))?;
    let mean = row.mean.iter().map(|mean| (mean * scale, y));
    chart.draw_series(mean.map(|mean| Circle::new(mean, 6, colour.filled())))?;
    let height = chart.backend_coord(&(0.0, y)).1;
    let lines = wrapped(&row.label);
    let first = height - 6 - 8 * (lines.len() as i32 - 1);
    for (line, top) in lines.iter().zip((first..).step_by(16)) {
        root.draw_text(line, &text(14, INK), (12, top))?;
    }
    Ok(())
}

/// A label in at most two lines; the second is cut where it is too long.
fn wrapped(label: &str) -> Vec<String> {
    let most = ((LABELS - 20) as f64 / CHARACTER) as usize;
    if label.chars().count() <= most {
        return vec![label.to_owned()];
    }
    let cut = label.char_indices().nth(most).map_or(label.len(), |(index, _)| index);
    let cut = label[..cut].rfind(' ').filter(|cut| *cut > 0).unwrap_or(cut);
    let second = label[cut..].trim_start();
    if second.chars().count() <= most {
        return vec![label[..cut].to_owned(), second.to_owned()];
    }
    let short: String = second.chars().take(most - 1).collect();
    vec![label[..cut].to_owned(), format!("{short}…")]
}
