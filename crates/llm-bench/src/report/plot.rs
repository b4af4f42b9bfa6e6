//! The page's plots, as inline SVG whose colours are CSS variables.

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::documents::Comparison;
use super::html::{SERIES, escape};
use super::variant::{CurvePoint, LearnedFunction, Variant};
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

/// Training loss of every variant over steps.
pub(super) fn curves(variants: &[Variant]) -> Result<String, BenchError> {
    let runs = variants.iter().flat_map(|variant| &variant.runs);
    let points: Vec<&CurvePoint> = runs.flat_map(|run| &run.curve).collect();
    let x = range(points.iter().map(|point| point.step as f64), 0.0);
    let y = range(points.iter().map(|point| point.loss), 0.05);
    draw(1040, 340, "Training loss over steps", |root| {
        let mut chart = ChartBuilder::on(root)
            .margin(10)
            .x_label_area_size(44)
            .y_label_area_size(62)
            .build_cartesian_2d(x.clone(), y.clone())?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .x_labels(8)
            .y_labels(6)
            .label_style(text(14, MUTED))
            .axis_desc_style(text(14, MUTED))
            .x_desc("step")
            .y_desc("loss (nats per token)")
            .x_label_formatter(&|step| format!("{step:.0}"))
            .y_label_formatter(&|loss| format!("{loss:.2}"))
            .draw()?;
        for (index, variant) in variants.iter().enumerate() {
            for run in &variant.runs {
                let line = run.curve.iter().filter(|point| point.loss.is_finite());
                let line = line.map(|point| (point.step as f64, point.loss));
                chart.draw_series(LineSeries::new(line, series(index).stroke_width(2)))?;
            }
        }
        Ok(())
    })
}

/// Improvements in points with their intervals, one row per comparison and the series whose colour it has.
pub(super) fn differences(comparisons: &[(&Comparison, usize)]) -> Result<String, BenchError> {
    let ends = comparisons.iter().flat_map(|(comparison, _)| ends(comparison));
    // Never narrower than whole points, which is what the axis says.
    let x = range(ends.chain([-5.0, 5.0]), 0.08);
    let rows = comparisons.len();
    let height = 64 + 34 * rows as u32;
    draw(1040, height, "Differences with 95% intervals", |root| {
        let mut chart = ChartBuilder::on(root)
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(270)
            .build_cartesian_2d(x.clone(), 0.0..rows as f64)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .x_labels(9)
            .label_style(text(14, MUTED))
            .axis_desc_style(text(14, MUTED))
            .x_desc("difference in points (right of zero: the candidate is better)")
            .x_label_formatter(&signed_points)
            .draw()?;
        let zero = [(0.0, 0.0), (0.0, rows as f64)];
        chart.draw_series(LineSeries::new(zero, MUTED.stroke_width(1)))?;
        for (row, (comparison, index)) in comparisons.iter().enumerate() {
            let y = rows as f64 - row as f64 - 0.5;
            difference(root, &mut chart, y, comparison, series(*index))?;
        }
        Ok(())
    })
}

/// Ends of a comparison's interval as improvements in points.
fn ends(comparison: &Comparison) -> [f64; 2] {
    let interval = comparison.result.interval;
    [interval.low, interval.high].map(|end| comparison.measure.improvement(end) * 100.0)
}

/// Whole points with their sign.
fn signed_points(points: &f64) -> String {
    if *points == 0.0 {
        "0".to_owned()
    } else {
        format!("{points:+.0}")
    }
}

/// One row of [`differences`]: the interval as a line, the difference as a dot, the label on the left.
fn difference(root: &Root, chart: &mut Chart, y: f64, comparison: &Comparison, colour: RGBColor) -> Drawn {
    let ends = ends(comparison).map(|end| (end, y));
    chart.draw_series(LineSeries::new(ends, colour.stroke_width(3)))?;
    chart.draw_series([Circle::new((comparison.improvement() * 100.0, y), 6, colour.filled())])?;
    let position = (12, chart.backend_coord(&(0.0, y)).1 - 6);
    let (measure, candidate) = (&comparison.measure, &comparison.candidate);
    let label = format!("{} · {} · {candidate}", measure.task, measure.metric);
    root.draw_text(&label, &text(14, INK), position)?;
    Ok(())
}

/// One learned function (solid) beside its start (thin).
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

/// Where the values are finite.
fn points(x: &[f64], values: &[f64]) -> Vec<(f64, f64)> {
    let points = x.iter().copied().zip(values.iter().copied());
    points.filter(|(_, value)| value.is_finite()).collect()
}
