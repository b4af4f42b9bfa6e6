//! Fits the coefficients of one layer to the values of its gates.

use std::{ops::RangeInclusive, thread};

use kan_rational::{
    Activation, Coefficients, Degrees, Denominator, RationalError,
    fit::{Samples, minimax, weighted_least_squares},
};

use super::{ConversionOptions, GroupReport, Origin, reservoir::Reservoir};
use crate::ModelError;

/// How far the guard extends beyond the observed range, as a factor.
const GUARD_REACH: f64 = 2.0;
/// Guard samples on each side.
const GUARD_COUNT: usize = 32;
/// Guard weights tried, as shares of the weight of the samples: the first that gives a safe function is taken.
/// The total is dominated by a few large products of outliers, so even a small share can outweigh the bulk.
const GUARD_SHARES: [f64; 6] = [0.0, 1e-8, 1e-6, 1e-4, 1e-3, 1e-2];
/// Largest error accepted on the guard samples, relative to the largest gate in reach. A function with a kink
/// missing or a spike in its tail exceeds it; a tail that bends away does not.
const GUARD_ERROR: f64 = 0.25;
/// Steepest slope accepted beyond the guard samples. SiLU's own slope is at most 1.1.
const GUARD_SLOPE: f64 = 2.0;
/// Powers of 2 at which that slope is checked.
const GUARD_POWERS: RangeInclusive<i32> = -10..=30;
/// Gates up to which f32 must be able to evaluate a function, far beyond any seen in a published checkpoint.
const FAR: f64 = 1e4;
/// Half-width of the range around 0 within which [`silu`] has a small relative error.
const NARROW: f64 = 1.0;
/// Half-width of the range of SiLU's coefficients everywhere else.
const WIDE: f64 = 8.0;

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
        // Too few samples for degrees that were not requested is not a failure.
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
    /// Smaller is better: the number of fitted groups without a guard, then the largest relative error.
    fn rank(&self) -> (usize, f64) {
        let fitted = self.groups.iter().filter(|group| group.origin == Origin::Fitted);
        let unguarded = fitted.filter(|group| !group.guarded).count();
        let worst = self.groups.iter().map(|group| group.relative_error).fold(0.0, f64::max);
        (unguarded, worst)
    }
}

/// The samples of one group, and the part of its report that is known before the fit.
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
        origin: Origin::Fitted,
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
    let fitted: Vec<Result<_, ModelError>> = thread::scope(|scope| {
        let workers: Vec<_> = samples
            .chunks(share)
            .map(|share| scope.spawn(move || fit_share(share, degrees, form)))
            .collect();
        // A panic in a worker is a bug of the fit: pass it on.
        let results = workers.into_iter().map(|worker| worker.join());
        results
            .flat_map(|result| result.unwrap_or_else(|payload| std::panic::resume_unwind(payload)))
            .collect()
    });
    let (coefficients, groups) = fitted.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    Ok(LayerFit {
        coefficients,
        groups,
        degrees,
    })
}

fn fit_share(
    share: &[(Samples, GroupReport)],
    degrees: Degrees,
    form: Denominator,
) -> Vec<Result<(Coefficients, GroupReport), ModelError>> {
    share
        .iter()
        .map(|(samples, report)| fit_group(samples, report, degrees, form))
        .collect()
}

fn fit_group(
    samples: &Samples,
    report: &GroupReport,
    degrees: Degrees,
    form: Denominator,
) -> Result<(Coefficients, GroupReport), ModelError> {
    let (coefficients, origin) = choose(samples, degrees, form).map_err(|source| ModelError::Fit {
        layer: report.layer,
        group: report.group,
        source,
    })?;
    let (relative_error, max_error) = errors(samples, &coefficients, form);
    let report = GroupReport {
        degrees,
        origin,
        relative_error,
        max_error,
        guarded: is_safe(&coefficients, samples.range(), form),
        ..report.clone()
    };
    Ok((coefficients, report))
}

/// The coefficients of one group, each representable in f32, and where they come from.
fn choose(samples: &Samples, degrees: Degrees, form: Denominator) -> Result<(Coefficients, Origin), RationalError> {
    let range = samples.range();
    let origin = if is_dead(samples, degrees) {
        Origin::Dead
    } else {
        match fit_guarded(samples, degrees, form)? {
            // Near 0 there is a safe function as close as f32 allows.
            Some(fitted) if !is_narrow(range) || is_safe(&fitted, range, form) => return Ok((fitted, Origin::Fitted)),
            _ => Origin::NoFit,
        }
    };
    Ok((silu(range, degrees, form)?.in_f32(), origin))
}

fn is_narrow((low, high): (f64, f64)) -> bool {
    -NARROW <= low && high <= NARROW
}

/// Whether calibration cannot determine the function: enough values were seen, but too few different gates have an `up`
/// other than 0.
fn is_dead(samples: &Samples, degrees: Degrees) -> bool {
    let weighted = samples.x.iter().zip(&samples.weights);
    let mut live: Vec<f64> = weighted
        .filter(|(_, weight)| **weight > 0.0)
        .map(|(gate, _)| *gate)
        .collect();
    live.sort_by(f64::total_cmp);
    live.dedup();
    samples.x.len() >= degrees.coefficients() && live.len() < degrees.coefficients()
}

/// Least squares with guard samples whose weight is raised until the function is safe outside the range seen. The last
/// one where none is safe; `None` where the coefficients of every fit are too large for f32.
fn fit_guarded(samples: &Samples, degrees: Degrees, form: Denominator) -> Result<Option<Coefficients>, RationalError> {
    let range = samples.range();
    let mut last = None;
    for share in GUARD_SHARES {
        let guarded = samples
            .clone()
            .with_tails(|x| Activation::Swish.eval(x), GUARD_REACH, GUARD_COUNT, share);
        let stored = match weighted_least_squares(&guarded, degrees, form) {
            Ok(fit) => fit.coefficients.in_f32(),
            Err(RationalError::NoFit { .. }) => continue,
            Err(error) => return Err(error),
        };
        if !is_representable(&stored, range) {
            continue;
        }
        if is_safe(&stored, range, form) {
            return Ok(Some(stored));
        }
        last = Some(stored);
    }
    Ok(last)
}

/// SiLU itself. Where all gates are close to 0, a fit of the sigmoid times the gate, whose error vanishes with the
/// gate; elsewhere the best coefficients known.
fn silu(range: (f64, f64), degrees: Degrees, form: Denominator) -> Result<Coefficients, RationalError> {
    let (swish, sigmoid) = (|x| Activation::Swish.eval(x), |x| Activation::Sigmoid.eval(x));
    if !is_narrow(range) || degrees.numerator == 1 {
        return match Activation::Swish.coefficients(degrees, form) {
            Err(RationalError::NoTable { .. }) => Ok(minimax(swish, (-WIDE, WIDE), degrees, form)?.coefficients),
            stored => stored,
        };
    }
    // Higher degrees gain nothing that f32 can hold.
    let enough = Degrees::new(degrees.numerator.min(5) - 1, degrees.denominator.min(4));
    let Coefficients {
        mut numerator,
        denominator,
    } = minimax(sigmoid, (-NARROW, NARROW), enough, form)?.coefficients;
    numerator.insert(0, 0.0);
    Coefficients { numerator, denominator }.padded(degrees)
}

/// Whether f32 can evaluate the function at all gates that may come: no term of either polynomial overflows.
fn is_representable(coefficients: &Coefficients, (low, high): (f64, f64)) -> bool {
    let reach = FAR.max(-GUARD_REACH * low).max(GUARD_REACH * high);
    [(&coefficients.numerator, 0), (&coefficients.denominator, 1)]
        .into_iter()
        .all(|(list, first)| {
            let terms = list.iter().zip(first..).map(|(c, power)| c.abs() * reach.powi(power));
            terms.sum::<f64>() < f64::from(f32::MAX)
        })
}

/// Whether the function stays near SiLU within the guard, and beyond it grows at most linearly with a small slope.
fn is_safe(coefficients: &Coefficients, range: (f64, f64), form: Denominator) -> bool {
    let (low, high) = (GUARD_REACH * range.0.min(0.0), GUARD_REACH * range.1.max(0.0));
    let scale = low.abs().max(high);
    let steps = 8 * GUARD_COUNT;
    let near = (0..=steps).all(|step| {
        let x = low + (high - low) * step as f64 / steps as f64;
        (coefficients.eval(x, form) - Activation::Swish.eval(x)).abs() <= GUARD_ERROR * scale
    });
    let gentle = GUARD_POWERS
        .map(|power| 2f64.powi(power))
        .filter(|distance| *distance >= scale)
        .flat_map(|distance| [-distance, distance])
        .all(|x| coefficients.derivative(x, form).abs() <= GUARD_SLOPE);
    near && gentle && coefficients.growth() <= 1
}

/// Relative and largest error on the samples, without the guard.
fn errors(samples: &Samples, coefficients: &Coefficients, form: Denominator) -> (f64, f64) {
    let (mut squares, mut power, mut largest) = (0.0, 0.0, 0.0f64);
    for ((x, y), weight) in samples.x.iter().zip(&samples.y).zip(&samples.weights) {
        let error = coefficients.eval(*x, form) - y;
        squares += weight * error * error;
        power += weight * y * y;
        largest = largest.max(error.abs());
    }
    // Without an error there is none, whatever it is compared with: the products of a pruned group are all 0.
    let relative = if squares > 0.0 { (squares / power).sqrt() } else { 0.0 };
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
