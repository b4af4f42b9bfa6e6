//! Losses over tokens: a line for the mean over seeds, a band from the lowest to the highest.

use std::collections::BTreeMap;

use plotters::prelude::*;

use super::{GRID, MUTED, draw as drawn, range, series, text};
use crate::BenchError;
use crate::report::variant::{CurvePoint, Run, Variant};

/// Points of a curve at most; neighbouring ones are averaged.
const POINTS: usize = 120;

/// One variant's losses.
pub(crate) struct Curve {
    /// Index of the colour.
    series: usize,
    /// Tokens, then the lowest, mean and highest loss of all seeds.
    points: Vec<(f64, [f64; 3])>,
}

impl Curve {
    /// The training loss of all variants; `None` where there is none.
    pub(crate) fn training(variants: &[Variant]) -> Option<Vec<Self>> {
        Self::all(variants, |run| averaged(&run.curve))
    }

    /// The held-out loss of all variants; `None` where there is none, or a single evaluation.
    pub(crate) fn held_out(variants: &[Variant]) -> Option<Vec<Self>> {
        Self::all(variants, |run| run.held_out_curve.clone())
    }

    fn all(variants: &[Variant], curve: fn(&Run) -> Vec<CurvePoint>) -> Option<Vec<Self>> {
        let curves = variants.iter().enumerate().map(|(series, variant)| Self {
            series,
            points: over_seeds(variant, curve),
        });
        let curves: Vec<Self> = curves.collect();
        curves.iter().any(|curve| curve.points.len() > 1).then_some(curves)
    }
}

/// The losses of all seeds at the steps that each of them has.
fn over_seeds(variant: &Variant, curve: fn(&Run) -> Vec<CurvePoint>) -> Vec<(f64, [f64; 3])> {
    let mut steps: BTreeMap<u64, (f64, Vec<f64>)> = BTreeMap::new();
    for point in variant
        .runs
        .iter()
        .flat_map(curve)
        .filter(|point| point.loss.is_finite())
    {
        let (tokens, losses) = steps.entry(point.step).or_default();
        *tokens += point.tokens as f64;
        losses.push(point.loss);
    }
    let seeds = variant.runs.len();
    let complete = steps.into_values().filter(|(_, losses)| losses.len() == seeds);
    complete
        .map(|(tokens, losses)| {
            let low = losses.iter().copied().fold(f64::INFINITY, f64::min);
            let high = losses.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            (tokens / seeds as f64, [low, crate::stats::mean(&losses), high])
        })
        .collect()
}

/// Means of neighbouring points, each at the last of them.
fn averaged(curve: &[CurvePoint]) -> Vec<CurvePoint> {
    let blocks = curve.chunks(curve.len().div_ceil(POINTS).max(1));
    let means = blocks.map(|block| CurvePoint {
        loss: block.iter().map(|point| point.loss).sum::<f64>() / block.len() as f64,
        ..block[block.len() - 1]
    });
    means.collect()
}

/// `target` is a loss drawn as a line.
pub(crate) fn draw(curves: &[Curve], label: &str, target: Option<f64>) -> Result<String, BenchError> {
    let points: Vec<_> = curves.iter().flat_map(|curve| &curve.points).collect();
    let x = range(points.iter().map(|(tokens, _)| *tokens), 0.0);
    let y = range(points.iter().flat_map(|(_, losses)| *losses).chain(target), 0.05);
    drawn(1040, 340, label, |root| {
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
            .x_desc("tokens")
            .y_desc("loss (nats per token)")
            .x_label_formatter(&|tokens| short(*tokens))
            .y_label_formatter(&|loss| format!("{loss:.2}"))
            .draw()?;
        if let Some(target) = target {
            let line = [(x.start, target), (x.end, target)];
            chart.draw_series(DashedLineSeries::new(line, 5, 4, MUTED.stroke_width(1)))?;
        }
        for curve in curves {
            let colour = series(curve.series);
            let low = curve.points.iter().map(|(tokens, [low, ..])| (*tokens, *low));
            let high = curve.points.iter().map(|(tokens, [.., high])| (*tokens, *high));
            let band: Vec<(f64, f64)> = low.chain(high.rev()).collect();
            chart.draw_series([Polygon::new(band, colour.mix(0.2))])?;
        }
        for curve in curves {
            let line = curve.points.iter().map(|(tokens, [_, mean, _])| (*tokens, *mean));
            chart.draw_series(LineSeries::new(line, series(curve.series).stroke_width(2)))?;
        }
        Ok(())
    })
}

/// A count with its thousands as a letter.
fn short(count: f64) -> String {
    match count {
        c if c >= 1e9 => format!("{:.1}G", c / 1e9),
        c if c >= 1e6 => format!("{:.1}M", c / 1e6),
        c if c >= 1e3 => format!("{:.0}k", c / 1e3),
        c => format!("{c:.0}"),
    }
}
