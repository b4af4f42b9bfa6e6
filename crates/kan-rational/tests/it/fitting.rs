//! The optimisers against stored figures and against problems with a known answer.

use kan_rational::{
    Activation, Coefficients, Degrees, Denominator, RationalError,
    fit::{Samples, minimax, weighted_least_squares},
};
use std::time::Instant;

/// Our error may exceed the stored one by this factor.
const LEVEL: f64 = 1.02;

fn check_stored(name: &str) {
    let Some(path) = fixtures::shared("oracle/minimax_fits.json") else {
        return;
    };
    let stored: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let entry = &stored[name];
    let degrees = Degrees::new(
        entry["a"].as_array().unwrap().len() - 1,
        entry["b"].as_array().unwrap().len(),
    );
    let activation = if name.starts_with("swish") {
        Activation::Swish
    } else {
        Activation::Gelu
    };
    let range = entry["range"].as_f64().unwrap();
    let clock = Instant::now();
    let fit = minimax(|x| activation.eval(x), (-range, range), degrees, Denominator::SumOfAbs).unwrap();
    let goal = entry["max_err"].as_f64().unwrap();
    println!(
        "{name}: {:.4e}, stored {goal:.4e}, ratio {:.4}, {:?}",
        fit.max_error,
        fit.max_error / goal,
        clock.elapsed()
    );
    assert!(
        fit.max_error <= LEVEL * goal,
        "{name}: {} > {LEVEL} x {goal}",
        fit.max_error
    );
    assert!(fit.coefficients.denominator.iter().all(|b| *b >= 0.0));
}

macro_rules! stored {
    ($($name:ident),+) => { $(#[test] fn $name() { check_stored(stringify!($name)); })+ };
}

stored!(
    swish_5_4_minimax_3,
    swish_5_4_minimax_5,
    swish_5_4_minimax_8,
    swish_5_4_minimax_16,
    swish_7_6_minimax_8,
    swish_7_6_minimax_10,
    swish_7_6_minimax_16,
    gelu_5_4_minimax_3,
    gelu_5_4_minimax_8,
    gelu_5_4_minimax_16,
    gelu_7_6_minimax_8,
    gelu_7_6_minimax_16
);

/// Samples like a gate's: most values small, a few far out.
fn gate_samples(count: usize, scale: f64) -> Samples {
    let spread = |i: usize| {
        let t = 2.0 * (i as f64 + 0.5) / count as f64 - 1.0;
        scale * (0.15 * t + 0.85 * t.powi(7)) * if t > 0.0 { 1.0 } else { 0.7 }
    };
    let x: Vec<f64> = (0..count).map(spread).collect();
    let weights = (0..count).map(|i| 1.0 + (i as f64 * 0.7).sin().powi(2)).collect();
    Samples::of(|x| Activation::Swish.eval(x), x, weights)
}

#[test]
fn least_squares_recovers_a_rational_exactly() {
    for form in [Denominator::SumOfAbs, Denominator::AbsOfSum] {
        let truth = Coefficients::new(&[0.1, 0.5, 0.25, 0.05, 0.006, 0.0003], &[0.02, 0.1, 0.004, 0.0006]);
        let samples = gate_samples(1000, 12.0);
        let samples = Samples::of(|x| truth.eval(x, form), samples.x, samples.weights);
        let fit = weighted_least_squares(&samples, Degrees::default(), form).unwrap();
        println!("{form:?}: {:e}", fit.max_error);
        assert!(fit.max_error < 1e-6, "{form:?}: {}", fit.max_error);
    }
}

#[test]
fn least_squares_is_no_worse_than_minimax_in_rms() {
    for (degrees, scale) in [
        (Degrees::new(5, 4), 8.0),
        (Degrees::new(5, 4), 16.0),
        (Degrees::new(7, 6), 16.0),
    ] {
        let samples = gate_samples(4096, scale);
        let clock = Instant::now();
        let fit = weighted_least_squares(&samples, degrees, Denominator::SumOfAbs).unwrap();
        let stored = Activation::Swish.minimax(degrees, scale as u32).unwrap().coefficients();
        let rms = |c: &Coefficients| {
            let sum = |f: &dyn Fn(usize) -> f64| (0..samples.x.len()).map(f).sum::<f64>();
            let squares =
                sum(&|i| samples.weights[i] * (c.eval(samples.x[i], Denominator::SumOfAbs) - samples.y[i]).powi(2));
            (squares / sum(&|i| samples.weights[i])).sqrt()
        };
        println!(
            "{degrees} {scale}: {:e} against {:e} in {:?}",
            fit.rms,
            rms(&stored),
            clock.elapsed()
        );
        assert!((rms(&fit.coefficients) / fit.rms - 1.0).abs() < 1e-6);
        assert!(fit.rms < 0.7 * rms(&stored));
    }
}

#[test]
fn outliers_do_not_upset_the_fit_and_it_is_quick() {
    let clock = Instant::now();
    for scale in [1.0, 5.0, 20.0, 50.0] {
        for degrees in [Degrees::new(5, 4), Degrees::new(7, 6)] {
            let samples = gate_samples(8192, scale);
            let clock = Instant::now();
            let fit = weighted_least_squares(&samples, degrees, Denominator::SumOfAbs).unwrap();
            println!(
                "{scale} {degrees}: rms {:e}, max {:e}, {:?}",
                fit.rms,
                fit.max_error,
                clock.elapsed()
            );
            assert!(fit.rms.is_finite() && fit.max_error < 0.05 * scale);
        }
    }
    assert!(
        clock.elapsed().as_secs_f64() < 8.0,
        "a model has 240 of these: {:?}",
        clock.elapsed()
    );
}

#[test]
fn tails_bound_the_error_outside_the_range_seen() {
    let swish = |x| Activation::Swish.eval(x);
    let bare = weighted_least_squares(&gate_samples(2048, 6.0), Degrees::default(), Denominator::SumOfAbs).unwrap();
    let samples = gate_samples(2048, 6.0).with_tails(swish, 2.0, 64, 1e-3);
    let safe = weighted_least_squares(&samples, Degrees::default(), Denominator::SumOfAbs).unwrap();
    let outside = |c: &Coefficients| c.max_error(Denominator::SumOfAbs, swish, (-8.0, 12.0), 4001);
    assert!(outside(&safe.coefficients) < 0.5 * outside(&bare.coefficients));
    assert_eq!(safe.coefficients.growth(), 1);
}

#[test]
fn fits_are_deterministic() {
    let fit = || weighted_least_squares(&gate_samples(3000, 9.0), Degrees::new(7, 6), Denominator::SumOfAbs).unwrap();
    assert_eq!(fit(), fit());
}

#[test]
fn impossible_requests_are_named() {
    let degrees = Degrees::default();
    let form = Denominator::SumOfAbs;
    assert!(matches!(
        minimax(|x| x, (1.0, 1.0), degrees, form),
        Err(RationalError::Range { .. })
    ));
    assert!(matches!(
        minimax(|x| 1.0 / x, (0.0, 1.0), degrees, form),
        Err(RationalError::NotFinite { .. })
    ));
    assert!(matches!(
        minimax(|x| x, (0.0, 1.0), Degrees::new(0, 4), form),
        Err(RationalError::Degrees { .. })
    ));
    let mut samples = gate_samples(9, 1.0);
    let refused = weighted_least_squares(&samples, degrees, form);
    assert_eq!(refused, Err(RationalError::TooFewSamples { expected: 10, found: 9 }));
    samples = gate_samples(100, 1.0);
    samples.weights[3] = -1.0;
    let refused = weighted_least_squares(&samples, degrees, form);
    assert_eq!(
        refused,
        Err(RationalError::NotFinite {
            what: "weights",
            index: 3,
            value: -1.0
        })
    );
    samples.weights.pop();
    assert!(matches!(
        weighted_least_squares(&samples, degrees, form),
        Err(RationalError::Length { .. })
    ));
}
