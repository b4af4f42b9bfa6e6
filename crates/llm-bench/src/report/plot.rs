//! The page's plots, as inline SVG whose colours are CSS variables.

pub(super) mod curves;
pub(super) mod forest;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::html::{SERIES, escape};
use super::variant::LearnedFunction;
use crate::BenchError;

// plotters writes colours as numbers; these stand for the style sheet's variables until `themed` replaces them.
const INK: RGBColor = RGBColor(1, 0, 240);
const MUTED: RGBColor = RGBColor(1, 0, 241);
const GRID: RGBColor = RGBColor(1, 0, 242);

fn series(index: usize) -> RGBColor {
    RGBColor(1, 0, 250 + (index % SERIES) as u8)
}

/// Replaces the stand-in colours by variables, and the fixed size by one that fills its column.
fn themed(svg: String, width: u32, height: u32, label: &str) -> String {
    let mut svg = svg;
    let variables = [
        (INK, "ink".to_owned()),
        (MUTED, "muted".to_owned()),
        (GRID, "grid".to_owned()),
    ];
    let all = (0..SERIES).map(|index| (series(index), format!("series-{index}")));
    for (colour, name) in variables.into_iter().chain(all) {
        let hex = format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2);
        for property in ["fill", "stroke"] {
            svg = svg.replace(
                &format!("{property}=\"{hex}\""),
                &format!("style=\"{property}:var(--{name})\""),
            );
        }
    }
    let fixed = format!("<svg width=\"{width}\" height=\"{height}\"");
    svg.replace(&fixed, &format!("<svg role=\"img\" aria-label=\"{}\"", escape(label)))
}

type Root<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn = Result<(), Box<dyn std::error::Error + Send + Sync>>;

fn draw(width: u32, height: u32, label: &str, content: impl Fn(&Root) -> Drawn) -> Result<String, BenchError> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        let drawn = content(&root).and_then(|()| root.present().map_err(Into::into));
        drawn.map_err(|source| BenchError::Plot {
            plot: label.to_owned(),
            source,
        })?;
    }
    Ok(themed(svg, width, height, label))
}

/// Least and greatest finite value with a margin; a unit interval round a single one, 0 to 1 of none.
fn range(values: impl Iterator<Item = f64>, margin: f64) -> std::ops::Range<f64> {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high {
        return 0.0..1.0;
    }
    let pad = (high - low) * margin;
    if pad > 0.0 {
        low - pad..high + pad
    } else {
        low - 0.5..high + 0.5
    }
}

fn text(size: u32, colour: RGBColor) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&colour)
}

/// One learned function (solid) and its initial curve (thin).
pub(super) fn function(function: &LearnedFunction) -> Result<String, BenchError> {
    let x = range(function.x.iter().copied(), 0.0);
    let y = range(function.start.iter().chain(&function.learned).copied(), 0.08);
    draw(300, 200, &function.label, |root| {
        let mut chart = ChartBuilder::on(root)
            .margin(6)
            .x_label_area_size(22)
            .y_label_area_size(36)
            .build_cartesian_2d(x.clone(), y.clone())?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .x_labels(5)
            .y_labels(4)
            .label_style(text(12, MUTED))
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| format!("{y:.1}"))
            .draw()?;
        chart.draw_series(DashedLineSeries::new(
            points(&function.x, &function.start),
            5,
            4,
            MUTED.stroke_width(1),
        ))?;
        chart.draw_series(LineSeries::new(
            points(&function.x, &function.learned),
            series(1).stroke_width(2),
        ))?;
        Ok(())
    })
}

/// The points whose values are finite.
fn points(x: &[f64], values: &[f64]) -> Vec<(f64, f64)> {
    let points = x.iter().copied().zip(values.iter().copied());
    points.filter(|(_, value)| value.is_finite()).collect()
}
