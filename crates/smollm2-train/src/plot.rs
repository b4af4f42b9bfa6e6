//! Loss curves as SVG.

use std::{ops::Range, path::Path};

use plotters::prelude::*;

use crate::{MetricRecord, TrainError};

/// Weight of the past in the smoothed training loss.
const SMOOTHING: f64 = 0.9;

/// Draws the smoothed training loss and the held-out loss over the steps.
///
/// The smoothing is an exponential mean with its bias removed, so that the curve starts at the first loss.
///
/// # Errors
/// [`TrainError::Plot`].
pub fn plot_loss(metrics: &[MetricRecord], path: &Path) -> Result<(), TrainError> {
    draw(metrics, path).map_err(|source| TrainError::Plot {
        path: path.to_owned(),
        source,
    })
}

fn draw(metrics: &[MetricRecord], path: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (train, held_out) = curves(metrics);
    let (steps, losses) = ranges(train.iter().chain(&held_out));
    let root = SVGBackend::new(path, (900, 540)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("Loss", ("sans-serif", 22))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(60)
        .build_cartesian_2d(steps, losses)?;
    chart
        .configure_mesh()
        .x_desc("optimiser steps")
        .y_desc("loss per target token (nats)")
        .draw()?;
    chart
        .draw_series(LineSeries::new(train, BLUE.stroke_width(2)))?
        .label("training (smoothed)")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], BLUE));
    chart
        .draw_series(LineSeries::new(held_out, RED.stroke_width(2)).point_size(3))?
        .label("held out")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], RED));
    chart
        .configure_series_labels()
        .background_style(WHITE)
        .border_style(BLACK)
        .draw()?;
    root.present()?;
    Ok(())
}

/// The axes that hold all points with some room.
fn ranges<'a>(points: impl Iterator<Item = &'a (f64, f64)>) -> (Range<f64>, Range<f64>) {
    let (mut last, mut low, mut high) = (1.0, f64::INFINITY, f64::NEG_INFINITY);
    for (step, loss) in points {
        (last, low, high) = (step.max(last), loss.min(low), loss.max(high));
    }
    if !(low.is_finite() && high.is_finite()) {
        (low, high) = (0.0, 1.0);
    }
    let margin = 0.05 * (high - low).max(0.1);
    (0.0..last, low - margin..high + margin)
}

type Curve = Vec<(f64, f64)>;

fn curves(metrics: &[MetricRecord]) -> (Curve, Curve) {
    let (mut train, mut held_out, mut mean, mut weight) = (Vec::new(), Vec::new(), 0.0, 0.0);
    for metric in metrics {
        match metric {
            MetricRecord::Train(record) => {
                mean = SMOOTHING * mean + (1.0 - SMOOTHING) * record.loss;
                weight = SMOOTHING * weight + (1.0 - SMOOTHING);
                train.push((record.step as f64, mean / weight));
            }
            MetricRecord::Eval(record) => held_out.push((record.step as f64, record.loss)),
        }
    }
    (train, held_out)
}
