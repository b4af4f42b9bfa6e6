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

/// Only the first right, only the second right, documents, confidence, lower and upper end. The first by R's PropCIs
/// 0.3-0; the others by Fagerland, Lydersen and Laake 2014, table VI, whose difference has the other sign.
const TANGO: [(usize, usize, usize, f64, f64, f64); 3] = [
    (25, 28, 618, 0.9, -0.0148, 0.0247),
    (7, 1, 21, 0.95, -0.517, -0.026),
    (16, 6, 161, 0.95, -0.1240, -0.0054),
];

#[test]
fn the_paired_interval_equals_published_values() {
    for (a, b, n, confidence, low, high) in TANGO {
        let interval = paired_score_interval(a, b, n, confidence).unwrap();
        let digits = if n == 21 { 5e-4 } else { 5e-5 };
        assert!(
            (interval.low - low).abs() < digits && (interval.high - high).abs() < digits,
            "{interval:?}"
        );
        let mirrored = paired_score_interval(b, a, n, confidence).unwrap();
        assert!((mirrored.low + interval.high).abs() < 1e-12 && (mirrored.high + interval.low).abs() < 1e-12);
    }
}

#[test]
fn the_paired_interval_has_a_width_without_disagreement_and_stays_within_one() {
    // n d^2 = z^2 (|d| - d^2), so |d| = z^2 / (n + z^2).
    let z = 1.959_963_984_540_054_f64.powi(2);
    for n in [1, 20, 5000] {
        let interval = paired_score_interval(0, 0, n, 0.95).unwrap();
        let expected = z / (n as f64 + z);
        assert!((interval.high - expected).abs() < 1e-9 && (interval.low + expected).abs() < 1e-9);
        assert_eq!(paired_score_interval(n, 0, n, 0.95).unwrap().low, -1.0);
        assert_eq!(paired_score_interval(0, n, n, 0.95).unwrap().high, 1.0);
    }
    assert!(paired_score_interval(0, 0, 0, 0.95).is_err() && paired_score_interval(2, 2, 3, 0.95).is_err());
    assert!(paired_score_interval(1, 1, 3, 1.0).is_err());
}

/// Whether the 95 % interval of these counts holds the true difference.
fn covers(a: usize, b: usize, n: usize, d: f64) -> bool {
    let interval = paired_score_interval(a, b, n, 0.95).unwrap();
    interval.low <= d && d <= interval.high
}

/// Documents, shares of them on which two models disagree, and the difference as a share of that.
const DOCUMENTS: [usize; 6] = [20, 50, 100, 200, 500, 1000];
const DISAGREEMENT: [f64; 6] = [0.02, 0.05, 0.1, 0.2, 0.3, 0.5];
const DIRECTION: [f64; 4] = [0.0, 0.25, 0.5, 0.75];

#[test]
fn the_paired_interval_covers_the_true_difference_in_simulation() {
    let mut random = ChaCha8Rng::seed_from_u64(19);
    for n in DOCUMENTS {
        for psi in DISAGREEMENT {
            for d in DIRECTION.map(|share| share * psi) {
                let trials = 2000;
                let covered = (0..trials).filter(|_| {
                    let (mut a, mut b) = (0, 0);
                    for _ in 0..n {
                        let u = random.random::<f64>();
                        b += usize::from(u < (psi + d) / 2.0);
                        a += usize::from((psi + d) / 2.0 <= u && u < psi);
                    }
                    covers(a, b, n, d)
                });
                let coverage = covered.count() as f64 / trials as f64;
                assert!(coverage >= 0.93, "{n} documents, psi {psi}, d {d}: {coverage}");
                assert!(
                    coverage <= 0.97 || n as f64 * psi < 10.0,
                    "{n} documents, psi {psi}, d {d}: {coverage}"
                );
            }
        }
    }
}

/// The probability that the interval holds the true difference, summed over all counts.
fn exact_coverage(n: usize, psi: f64, d: f64) -> f64 {
    let (only_a, only_b) = ((psi - d) / 2.0, (psi + d) / 2.0);
    let log = |count: usize, p: f64| if count == 0 { 0.0 } else { count as f64 * p.ln() };
    // The logarithms of factorials.
    let mut factorial = vec![0.0];
    factorial.extend((1..=n).scan(0.0, |sum, i| {
        *sum += (i as f64).ln();
        Some(*sum)
    }));
    let mut total = 0.0;
    for a in 0..=n {
        for b in 0..=n - a {
            let orders = factorial[n] - factorial[a] - factorial[b] - factorial[n - a - b];
            let p = (orders + log(a, only_a) + log(b, only_b) + log(n - a - b, 1.0 - psi)).exp();
            if p > 1e-9 && covers(a, b, n, d) {
                total += p;
            }
        }
    }
    total
}

/// The table of docs/evaluation.md. Where one model is never right alone, coverage reaches further on both sides.
#[test]
fn the_paired_interval_has_the_coverage_that_is_documented() {
    for n in [20, 50, 100] {
        for psi in DISAGREEMENT {
            for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
                let coverage = exact_coverage(n, psi, share * psi);
                let low = if share < 1.0 { 0.935 } else { 0.927 };
                let high = if share < 1.0 { 0.965 } else { 0.98 };
                assert!(coverage >= low, "{n} {psi} {share}: {coverage}");
                assert!(
                    coverage <= high || (n as f64) * psi < 10.0,
                    "{n} {psi} {share}: {coverage}"
                );
            }
        }
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
    let trials = 2000;
    let found = (0..trials).filter(|_| {
        let (a, b) = outcomes(&mut random, 200, 0.3, 0.0);
        compare_paired(&a, &b).unwrap().p_value < 0.05
    });
    assert!(found.count() as f64 / trials as f64 <= 0.06);
}

#[test]
fn a_comparison_is_deterministic_and_counts_right() {
    let (a, b) = ([1.0, 0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 1.0, 1.0]);
    let comparison = compare_paired(&a, &b).unwrap();
    assert_eq!((comparison.n, comparison.larger_a, comparison.larger_b), (5, 1, 2));
    assert!((comparison.difference - 0.2).abs() < 1e-12);
    assert_eq!(comparison, compare_paired(&a, &b).unwrap());
}

#[test]
fn degenerate_input_is_refused_or_answered_plainly() {
    assert!(compare_paired(&[], &[]).is_err());
    assert!(compare_paired(&[1.0], &[1.0, 0.0]).is_err());
    assert!(compare_paired(&[0.5], &[1.0]).is_err());
    assert!(compare_paired(&[f64::NAN], &[1.0]).is_err());
    assert!(compare_paired(&[0.5, f64::INFINITY], &[1.0, 2.0]).is_err());
    assert!(mean_interval(&[0.5], 0.95).is_err() && mean_interval(&[0.5, 1.0], 1.0).is_err());
    let same = compare_paired(&[1.0, 0.0], &[1.0, 0.0]).unwrap();
    assert_eq!((same.p_value, same.difference), (1.0, 0.0));
    assert!(same.interval.low < -0.6 && same.interval.high > 0.6, "{same:?}");
    assert!(wilson(1, 0, 0.95).is_err() && wilson(3, 2, 0.95).is_err() && wilson(1, 2, 1.0).is_err());
    assert!(minimal_detectable_difference(0, 0.1, 0.05, 0.8).is_err());
    assert!(minimal_detectable_difference(10, f64::NAN, 0.05, 0.8).is_err());
    // Too few documents to find anything.
    assert_eq!(minimal_detectable_difference(2, 0.1, 0.05, 0.8).unwrap(), 1.0);
    // Models that never disagreed: about (z_0.975 + z_0.8)^2 / n, not zero.
    let agreeing = minimal_detectable_difference(300, 0.0, 0.05, 0.8).unwrap();
    assert!((0.022..0.027).contains(&agreeing), "{agreeing}");
}

/// Outcomes of two models with standard error, p-value and interval of the difference, by SciPy 1.17.1:
/// `r = stats.ttest_rel(b, a)`, `r.pvalue`, `r.confidence_interval()`.
type Student = (Vec<f64>, Vec<f64>, [f64; 4]);

fn student_references() -> [Student; 3] {
    // Hours of sleep that ten patients gained with each of two drugs: the data that Student published the test with.
    let first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
    let second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
    let wide = |factor: u64, shift: u64| (0..1000).map(move |i| ((i * factor + shift) % 1000) as f64 / 1000.0);
    [
        (
            first.to_vec(),
            second.to_vec(),
            [
                0.3889587238883952,
                0.002832890197384273,
                0.7001142367230175,
                2.459885763276983,
            ],
        ),
        (
            vec![0.25, 0.5],
            vec![0.75, 0.625],
            [
                0.18749999999999997,
                0.34404173924526144,
                -2.069913388032755,
                2.694913388032755,
            ],
        ),
        (
            wide(7919, 0).collect(),
            wide(104729, 17).map(|value| value + 0.02).collect(),
            [
                0.013504939221758216,
                0.13893796797414318,
                -0.006501302164943438,
                0.046501302164943456,
            ],
        ),
    ]
}

#[test]
fn students_paired_test_equals_scipy() {
    for (a, b, [stderr, p_value, low, high]) in student_references() {
        let comparison = compare_paired(&a, &b).unwrap();
        assert_eq!(comparison.test, PairedTest::StudentT);
        for (found, expected) in [
            (comparison.stderr, stderr),
            (comparison.p_value, p_value),
            (comparison.interval.low, low),
            (comparison.interval.high, high),
        ] {
            assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
        }
        let mirrored = compare_paired(&b, &a).unwrap();
        assert!((mirrored.p_value / p_value - 1.0).abs() < 1e-9 && (mirrored.interval.low + high).abs() < 1e-9);
        assert_eq!(
            (mirrored.larger_a, mirrored.larger_b),
            (comparison.larger_b, comparison.larger_a)
        );
    }
}

#[test]
fn a_p_value_far_in_the_tail_keeps_its_digits() {
    let a: Vec<f64> = (0..40).map(|i| f64::from(i % 7) / 10.0 + 2.0).collect();
    let b: Vec<f64> = a
        .iter()
        .zip([0.1, 0.3].iter().cycle())
        .map(|(a, less)| a - less)
        .collect();
    let comparison = compare_paired(&a, &b).unwrap();
    // SciPy 1.17.1.
    assert!(
        (comparison.p_value / 3.307904985699013e-15 - 1.0).abs() < 1e-6,
        "{}",
        comparison.p_value
    );
    assert!((comparison.interval.low + 0.232_388_976_274_379_96).abs() < 1e-9);
}

#[test]
fn right_and_wrong_are_compared_by_mcnemar_and_other_numbers_by_student() {
    let (right, rated) = ([1.0, 0.0, 1.0], [1.0, 0.5, 0.5]);
    assert_eq!(compare_paired(&right, &right).unwrap().test, PairedTest::McNemar);
    assert_eq!(compare_paired(&right, &rated).unwrap().test, PairedTest::StudentT);
}

#[test]
fn differences_that_do_not_vary_are_not_taken_for_certainty() {
    let a = [0.25, 0.5, 0.125, 0.0];
    let same = compare_paired(&a, &a).unwrap();
    assert_eq!((same.p_value, same.detectable(0.05, 0.8).unwrap()), (1.0, None));
    // The sign-flip test: all four signs alike, in one of two directions, of 2^4.
    let better = compare_paired(&a, &a.map(|value| value + 0.1)).unwrap();
    assert_eq!(better.p_value, 0.125);
}

#[test]
fn students_interval_covers_the_true_difference() {
    let mut random = ChaCha8Rng::seed_from_u64(23);
    for n in [10, 100] {
        let trials = 2000;
        let covered = (0..trials).filter(|_| {
            // Ratings whose difference has the mean 0.05 and is not normal.
            let a: Vec<f64> = (0..n).map(|_| random.random::<f64>()).collect();
            let b: Vec<f64> = (0..n).map(|_| random.random::<f64>() + 0.05).collect();
            let interval = compare_paired(&a, &b).unwrap().interval;
            interval.low <= 0.05 && 0.05 <= interval.high
        });
        let coverage = covered.count() as f64 / f64::from(trials);
        assert!((0.93..=0.97).contains(&coverage), "{n}: {coverage}");
    }
}

#[test]
fn a_difference_of_the_detectable_size_is_found_as_often_as_promised() {
    let mut random = ChaCha8Rng::seed_from_u64(29);
    let mut noise = |n: usize, shift: f64| -> Vec<f64> { (0..n).map(|_| random.random::<f64>() + shift).collect() };
    let detectable = compare_paired(&noise(20_000, 0.0), &noise(20_000, 0.0)).unwrap();
    // The standard error falls with the root of the number of documents.
    let size = detectable.detectable(0.05, 0.8).unwrap().unwrap() * (20_000.0f64 / 200.0).sqrt();
    let found = (0..1000).filter(|_| compare_paired(&noise(200, 0.0), &noise(200, size)).unwrap().p_value < 0.05);
    let power = found.count() as f64 / 1000.0;
    assert!((0.76..=0.84).contains(&power), "{power}");
}
