//! Statistics against exact values, their coverage by simulation, and degenerate input.

use llm_bench::stats::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Two-sided binomial tails summed in exact rational arithmetic.
const MCNEMAR: &[(usize, usize, f64)] = &[
    (30, 14, 0.022628841205914796),
    (0, 5, 0.0625),
    (1, 9, 0.021484375),
    (12, 12, 1.0),
    (700, 610, 0.013902723449447754),
    (3000, 2800, 0.008969436001193416),
    (0, 1, 1.0),
    (0, 0, 1.0),
];

#[test]
fn mcnemar_equals_exact_arithmetic() {
    for &(b, c, expected) in MCNEMAR {
        let p = mcnemar_exact(b, c);
        assert!((p / expected - 1.0).abs() < 1e-9, "{b} {c}: {p} {expected}");
        assert_eq!(p, mcnemar_exact(c, b));
    }
}

#[test]
fn standard_error_is_the_sample_standard_deviation_over_root_n() {
    // 49 of 100: sqrt(0.49 * 0.51 / 99).
    let values: Vec<f64> = (0..100).map(|i| f64::from(i < 49)).collect();
    let stderr = mean_stderr(&values).unwrap();
    assert!((stderr - (0.49f64 * 0.51 / 99.0).sqrt()).abs() < 1e-15);
    assert_eq!(mean_stderr(&[1.0]), None);
    assert_eq!(mean_stderr(&[]), None);
}

#[test]
fn wilson_equals_its_closed_form() {
    // Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611.
    let interval = wilson(81, 263, 0.95).unwrap();
    assert!((interval.low - 0.2553).abs() < 5e-5 && (interval.high - 0.3662).abs() < 5e-5);
    let none = wilson(0, 20, 0.95).unwrap();
    assert!(none.low == 0.0 && (none.high - 0.1611).abs() < 5e-5);
    assert_eq!(wilson(20, 20, 0.95).unwrap().high, 1.0);
}

#[test]
fn holm_steps_down() {
    let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
    let expected = [0.03, 0.06, 0.06, 0.02];
    assert!(
        adjusted.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12),
        "{adjusted:?}"
    );
    assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    assert!(holm(&[]).is_empty());
}

#[test]
fn wilson_covers_as_often_as_it_says() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    for p in [0.05, 0.3, 0.5] {
        let trials = 4000;
        let covered = (0..trials).filter(|_| {
            let successes = (0..80).filter(|_| random.random_bool(p)).count();
            let interval = wilson(successes, 80, 0.95).unwrap();
            interval.low <= p && p <= interval.high
        });
        let coverage = covered.count() as f64 / trials as f64;
        assert!((0.92..=0.985).contains(&coverage), "{p}: {coverage}");
    }
}

/// Outcomes of two models that disagree on `psi` of the documents, the second better by `d`.
fn outcomes(random: &mut ChaCha8Rng, n: usize, psi: f64, d: f64) -> (Vec<f64>, Vec<f64>) {
    let pair = |u: f64| match u {
        u if u < (psi + d) / 2.0 => (0.0, 1.0),
        u if u < psi => (1.0, 0.0),
        u if u < psi + (1.0 - psi) / 2.0 => (1.0, 1.0),
        _ => (0.0, 0.0),
    };
    (0..n).map(|_| pair(random.random::<f64>())).unzip()
}

#[test]
fn bootstrap_covers_the_true_difference() {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let options = PairedOptions {
        resamples: 400,
        ..Default::default()
    };
    let trials = 600;
    let covered = (0..trials).filter(|_| {
        let (a, b) = outcomes(&mut random, 150, 0.3, 0.08);
        let interval = paired_bootstrap(&a, &b, &options).unwrap();
        interval.low <= 0.08 && 0.08 <= interval.high
    });
    let coverage = covered.count() as f64 / trials as f64;
    assert!((0.91..=0.98).contains(&coverage), "{coverage}");
}

#[test]
fn a_difference_of_the_minimal_size_is_found_as_often_as_promised() {
    let mut random = ChaCha8Rng::seed_from_u64(13);
    let (n, psi) = (800, 0.25);
    let d = minimal_detectable_difference(n, psi, 0.05, 0.8).unwrap();
    let trials = 600;
    let found = (0..trials).filter(|_| {
        let (a, b) = outcomes(&mut random, n, psi, d);
        let only = |x: f64| a.iter().zip(&b).filter(|(a, b)| **a == x && **b != x).count();
        mcnemar_exact(only(1.0), only(0.0)) < 0.05
    });
    let power = found.count() as f64 / trials as f64;
    assert!((0.73..=0.86).contains(&power), "{power}");
}

#[test]
fn two_equal_models_are_rarely_told_apart() {
    let mut random = ChaCha8Rng::seed_from_u64(17);
    let options = PairedOptions {
        resamples: 10,
        ..Default::default()
    };
    let trials = 2000;
    let found = (0..trials).filter(|_| {
        let (a, b) = outcomes(&mut random, 200, 0.3, 0.0);
        compare_paired(&a, &b, &options).unwrap().p_value < 0.05
    });
    assert!(found.count() as f64 / trials as f64 <= 0.06);
}

#[test]
fn a_comparison_is_deterministic_and_counts_right() {
    let (a, b) = ([1.0, 0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 1.0, 1.0]);
    let comparison = compare_paired(&a, &b, &PairedOptions::default()).unwrap();
    assert_eq!((comparison.n, comparison.only_a, comparison.only_b), (5, 1, 2));
    assert!((comparison.difference - 0.2).abs() < 1e-12);
    assert_eq!(comparison, compare_paired(&a, &b, &PairedOptions::default()).unwrap());
}

#[test]
fn degenerate_input_is_refused_or_answered_plainly() {
    let options = PairedOptions::default();
    assert!(compare_paired(&[], &[], &options).is_err());
    assert!(compare_paired(&[1.0], &[1.0, 0.0], &options).is_err());
    assert!(compare_paired(&[0.5], &[1.0], &options).is_err());
    assert!(compare_paired(&[f64::NAN], &[1.0], &options).is_err());
    let same = compare_paired(&[1.0, 0.0], &[1.0, 0.0], &options).unwrap();
    assert_eq!((same.p_value, same.difference), (1.0, 0.0));
    assert!(wilson(1, 0, 0.95).is_err() && wilson(3, 2, 0.95).is_err() && wilson(1, 2, 1.0).is_err());
    assert!(minimal_detectable_difference(0, 0.1, 0.05, 0.8).is_err());
    assert!(minimal_detectable_difference(10, f64::NAN, 0.05, 0.8).is_err());
    // Too few documents to find anything.
    assert_eq!(minimal_detectable_difference(2, 0.1, 0.05, 0.8).unwrap(), 1.0);
    // Models that never disagreed: about (z_0.975 + z_0.8)^2 / n, not zero.
    let agreeing = minimal_detectable_difference(300, 0.0, 0.05, 0.8).unwrap();
    assert!((0.022..0.027).contains(&agreeing), "{agreeing}");
}
