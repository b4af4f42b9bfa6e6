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
        .enumerate()
        .map(|(group, reservoir)| prepare(layer, group, reservoir))
        .collect();
    let asked = options.degrees_of(layer);
    let mut best = fit_groups(&samples, asked, options.denominator)?;
    let Some(bound) = options.max_error else {
        return Ok(best);
    };
    let ladder = [Degrees::new(5, 4), Degrees::new(7, 6), Degrees::new(9, 8)];
    for degrees in ladder.into_iter().filter(|degrees| degrees.numerator > asked.numerator) {
        if best.rank() <= (0, bound) {
            break;
        }
        // Too few samples for degrees that nobody asked for are no failure.
        let Ok(fit) = fit_groups(&samples, degrees, options.denominator) else {
            break;
        };
        if fit.rank() < best.rank() {
            best = fit;
        }
    }
    Ok(best)
}

impl LayerFit {
    /// Smaller is better: the number of groups without a guard, then the largest relative error.
    fn rank(&self) -> (usize, f64) {
        let unguarded = self.groups.iter().filter(|group| !group.guarded).count();
        let worst = self.groups.iter().map(|group| group.relative_error).fold(0.0, f64::max);
        (unguarded, worst)
    }
}

/// The samples of one group, and its report as far as it is known before the fit.
fn prepare(layer: usize, group: usize, reservoir: &mut Reservoir) -> (Samples, GroupReport) {
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
        group,
        range: (f64::from(range.0), f64::from(range.1)),
        seen: reservoir.seen(),
        degrees: Degrees::default(),
        relative_error: f64::NAN,
        max_error: f64::NAN,
        guarded: false,
    };
    (samples, report)
}

/// Fits the groups on as many threads as there are processors.
fn fit_groups(samples: &[(Samples, GroupReport)], degrees: Degrees, form: Denominator) -> Result<LayerFit, ModelError> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = samples.len().div_ceil(threads).max(1);
    let fit_share = |share: &[(Samples, GroupReport)]| -> Vec<_> {
        let fit = |(samples, report): &(Samples, GroupReport)| fit_group(samples, report, degrees, form);
        share.iter().map(fit).collect()
    };
    let fitted: Vec<Result<_, ModelError>> = thread::scope(|scope| {
        let workers: Vec<_> = samples
            .chunks(share)
            .map(|share| scope.spawn(move || fit_share(share)))
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

fn fit_group(
    samples: &Samples,
    report: &GroupReport,
    degrees: Degrees,
    form: Denominator,
) -> Result<(Coefficients, GroupReport), ModelError> {
    let (coefficients, guarded) = fit_guarded(samples, degrees, form).map_err(|source| ModelError::Fit {
        layer: report.layer,
        group: report.group,
        source,
    })?;
    let (relative_error, max_error) = errors(samples, &coefficients, form);
    let report = GroupReport {
        degrees,
        relative_error,
        max_error,
        guarded,
        ..report.clone()
    };
    Ok((coefficients, report))
}

/// Least squares with guard samples whose weight is raised until the function is safe outside the range seen, and
/// whether it became so.
fn fit_guarded(samples: &Samples, degrees: Degrees, form: Denominator) -> Result<(Coefficients, bool), RationalError> {
    let swish = |x: f64| Activation::Swish.eval(x);
    let mut last = None;
    for share in GUARD_SHARES {
        let guarded = samples.clone().with_tails(swish, GUARD_REACH, GUARD_COUNT, share);
        let fit = weighted_least_squares(&guarded, degrees, form)?;
        if is_safe(&fit.coefficients, samples.range(), form) {
            return Ok((fit.coefficients, true));
        }
        last = Some((fit.coefficients, false));
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

/// Relative and largest error on the samples alone, without the guard.
fn errors(samples: &Samples, coefficients: &Coefficients, form: Denominator) -> (f64, f64) {
    let (mut squares, mut power, mut largest) = (0.0, 0.0, 0.0f64);
    for ((x, y), weight) in samples.x.iter().zip(&samples.y).zip(&samples.weights) {
        let error = coefficients.eval(*x, form) - y;
        squares += weight * error * error;
        power += weight * y * y;
        largest = largest.max(error.abs());
    }
    let relative = if power > 0.0 { (squares / power).sqrt() } else { 0.0 };
    (relative, largest)
}

#[cfg(test)]
mod tests {
    use super::{super::reservoir::Sample, *};

    /// Gates spread evenly over `-reach ..= reach`.
    fn reservoir(reach: f32) -> Reservoir {
        let mut reservoir = Reservoir::new(2048, 0, 0);
        for step in -500..=500 {
            let gate = reach * step as f32 / 500.0;
            reservoir.add(Sample { gate, up: 1.0 });
        }
        reservoir
    }

    /// On a narrow range higher degrees lose to rounding what they gain, so that the last fit need not be the best.
    #[test]
    fn a_bound_out_of_reach_leaves_the_best_fit() {
        let options = ConversionOptions {
            max_error: Some(0.0),
            ..Default::default()
        };
        let mut last_was_best = Vec::new();
        for reach in [0.05, 0.2, 0.5, 1.0, 2.0, 8.0] {
            let samples = [prepare(0, 0, &mut reservoir(reach))];
            let fit = |numerator| fit_groups(&samples, Degrees::new(numerator, numerator - 1), options.denominator);
            let ranks: Vec<_> = [5, 7, 9].map(fit).into_iter().flatten().map(|fit| fit.rank()).collect();
            let best = ranks.iter().copied().reduce(|a, b| if b < a { b } else { a });
            let found = fit_layer(0, &mut [reservoir(reach)], &options).map(|fit| fit.rank());
            assert_eq!(found.ok(), best, "{reach}: {ranks:?}");
            last_was_best.push(ranks.last().copied() == best);
        }
        assert!(last_was_best.contains(&false), "{last_was_best:?}");
    }

    /// A line over a modulus cannot follow SiLU to both sides.
    #[test]
    fn a_function_without_a_guard_is_reported_and_fitted_again() {
        let fit = |max_error| {
            let options = ConversionOptions {
                degrees: Degrees::new(1, 1),
                max_error,
                ..Default::default()
            };
            fit_layer(0, &mut [reservoir(8.0)], &options).expect("a fit")
        };
        let asked = fit(None);
        assert!(!asked.groups[0].guarded && asked.groups[0].relative_error < 0.5);
        let raised = fit(Some(0.5));
        assert!(raised.groups[0].guarded && raised.degrees == Degrees::new(5, 4));
    }
}
