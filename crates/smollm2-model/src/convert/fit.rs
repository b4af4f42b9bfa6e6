//! Coefficients for one layer from what its gates saw.

use std::thread;

use kan_rational::{
    Activation, Coefficients, Degrees, Denominator, RationalError,
    fit::{Samples, weighted_least_squares},
};

use super::{ConversionOptions, GroupReport, reservoir::Reservoir};
use crate::ModelError;

/// How far beyond the range seen the guard reaches, as a factor.
const GUARD_REACH: f64 = 2.0;
/// Guard samples on each side.
const GUARD_COUNT: usize = 32;
/// Guard weights tried, as shares of the weight of the samples: the first that gives a safe function is taken.
/// The total is dominated by a few large products of outliers, so even a small share can outweigh the bulk.
const GUARD_SHARES: [f64; 6] = [0.0, 1e-8, 1e-6, 1e-4, 1e-3, 1e-2];
/// Largest error accepted on the guard samples, relative to the largest gate in reach. A function with a kink
/// missing or a spike in its tail exceeds it; a tail that bends away does not.
const GUARD_ERROR: f64 = 0.25;

/// The functions of one layer's groups, and how well they fit.
pub(super) struct LayerFit {
    pub(super) coefficients: Vec<Coefficients>,
    pub(super) groups: Vec<GroupReport>,
    pub(super) degrees: Degrees,
}

/// Fits every group of `layer`, with higher degrees when `options` bounds the error and it is exceeded.
pub(super) fn fit_layer(
    layer: usize,
    reservoirs: &mut [Reservoir],
    options: &ConversionOptions,
) -> Result<LayerFit, ModelError> {
    let samples: Vec<(Samples, GroupReport)> = reservoirs
        .iter_mut()
        .map(|reservoir| prepare(layer, reservoir))
        .collect();
    let asked = options.layer_degrees.get(&layer).copied().unwrap_or(options.degrees);
    let ladder = [Degrees::new(5, 4), Degrees::new(7, 6), Degrees::new(9, 8)];
    let higher = ladder
        .into_iter()
        .filter(|degrees| degrees.numerator > asked.numerator && options.max_error.is_some());
    let mut best: Option<LayerFit> = None;
    for degrees in std::iter::once(asked).chain(higher) {
        let fit = fit_groups(layer, &samples, degrees, options.denominator)?;
        let worst = fit.groups.iter().map(|group| group.relative_error).fold(0.0, f64::max);
        best = Some(fit);
        if options.max_error.is_none_or(|bound| worst <= bound) {
            break;
        }
    }
    best.ok_or_else(|| ModelError::conversion("degrees", "at least one choice", 0))
}

fn prepare(layer: usize, reservoir: &mut Reservoir) -> (Samples, GroupReport) {
    let range = reservoir.range();
    let mut samples = Samples::default();
    for (sample, share) in reservoir.samples() {
        let (gate, up) = (f64::from(sample.gate), f64::from(sample.up));
        samples.x.push(gate);
        samples.y.push(Activation::Swish.eval(gate));
        // The error that reaches the down projection is the function's times up.
        samples.weights.push(share * up * up);
    }
    let report = GroupReport {
        layer,
        group: 0,
        range: (f64::from(range.0), f64::from(range.1)),
        seen: reservoir.seen(),
        degrees: Degrees::default(),
        relative_error: f64::NAN,
        max_error: f64::NAN,
    };
    (samples, report)
}

/// Fits the groups on as many threads as there are processors.
fn fit_groups(
    layer: usize,
    samples: &[(Samples, GroupReport)],
    degrees: Degrees,
    form: Denominator,
) -> Result<LayerFit, ModelError> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = samples.len().div_ceil(threads).max(1);
    let fit_one = |(group, (samples, report)): (usize, &(Samples, GroupReport))| {
        let coefficients =
            fit_group(samples, degrees, form).map_err(|source| ModelError::Fit { layer, group, source })?;
        let report = measure(
            samples,
            &coefficients,
            GroupReport {
                group,
                degrees,
                ..report.clone()
            },
            form,
        );
        Ok((coefficients, report))
    };
    let numbered: Vec<_> = samples.iter().enumerate().collect();
    let fitted: Vec<Result<_, ModelError>> = thread::scope(|scope| {
        let fit_share = |share: Vec<_>| move || share.into_iter().map(fit_one).collect::<Vec<_>>();
        let workers: Vec<_> = numbered
            .chunks(share)
            .map(|share| scope.spawn(fit_share(share.to_vec())))
            .collect();
        // A panic in a worker is a bug of the fit: pass it on.
        let join = |worker: thread::ScopedJoinHandle<'_, Vec<_>>| {
            worker
                .join()
                .unwrap_or_else(|payload| std::panic::resume_unwind(payload))
        };
        workers.into_iter().flat_map(join).collect()
    });
    let (coefficients, groups) = fitted.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    Ok(LayerFit {
        coefficients,
        groups,
        degrees,
    })
}

/// Least squares with guard samples whose weight is raised until the function is safe outside the range seen.
fn fit_group(samples: &Samples, degrees: Degrees, form: Denominator) -> Result<Coefficients, RationalError> {
    let swish = |x: f64| Activation::Swish.eval(x);
    let mut last = None;
    for share in GUARD_SHARES {
        let guarded = samples.clone().with_tails(swish, GUARD_REACH, GUARD_COUNT, share);
        let fit = weighted_least_squares(&guarded, degrees, form)?;
        if is_safe(&fit.coefficients, samples.range(), form) {
            return Ok(fit.coefficients);
        }
        last = Some(fit.coefficients);
    }
    last.ok_or(RationalError::NoFit { degrees })
}

/// Whether the function stays near SiLU as far as the guard reaches, and grows no faster than linearly beyond.
fn is_safe(coefficients: &Coefficients, range: (f64, f64), form: Denominator) -> bool {
    let (low, high) = (GUARD_REACH * range.0.min(0.0), GUARD_REACH * range.1.max(0.0));
    let scale = low.abs().max(high);
    let steps = 8 * GUARD_COUNT;
    let near = (0..=steps).all(|step| {
        let x = low + (high - low) * step as f64 / steps as f64;
        (coefficients.eval(x, form) - Activation::Swish.eval(x)).abs() <= GUARD_ERROR * scale
    });
    near && coefficients.growth() <= 1
}

/// Errors on the samples alone, without the guard.
fn measure(samples: &Samples, coefficients: &Coefficients, report: GroupReport, form: Denominator) -> GroupReport {
    let (mut squares, mut power, mut max_error) = (0.0, 0.0, 0.0f64);
    for ((x, y), weight) in samples.x.iter().zip(&samples.y).zip(&samples.weights) {
        let error = coefficients.eval(*x, form) - y;
        squares += weight * error * error;
        power += weight * y * y;
        max_error = max_error.max(error.abs());
    }
    let relative_error = if power > 0.0 { (squares / power).sqrt() } else { 0.0 };
    GroupReport {
        relative_error,
        max_error,
        ..report
    }
}
