//! Power, equivalence, sign flips and clusters against published values and other programs.

use llm_bench::stats::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Hours of sleep that ten patients gained with the second of two drugs more than with the first (Student 1908).
const SLEEP: [f64; 10] = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4];

fn close(found: f64, expected: f64, digits: f64) {
    assert!((found / expected - 1.0).abs() < digits, "{found} {expected}");
}

/// Margins and p-values by statsmodels 0.15.0: `ttost_paired(second, first, -margin, margin)[0]`.
#[test]
fn two_one_sided_tests_equal_statsmodels() {
    for (margin, p) in [
        (2.0, 0.1541572356690974),
        (2.5, 0.021116860246500745),
        (3.0, 0.002655570292658671),
    ] {
        close(equivalence(&SLEEP, margin).unwrap().p_value, p, 1e-9);
    }
    let losses = [-0.004, 0.003, -0.001, 0.002, 0.0005];
    for (margin, p) in [(0.01, 0.0006444572919454901), (0.003, 0.038832029537668004)] {
        let test = equivalence(&losses, margin).unwrap();
        close(test.p_value, p, 1e-9);
        // At level 0.05 the 90 % interval lies within the margin.
        assert!(-margin < test.interval.low && test.interval.high < margin);
        let mirrored = equivalence(&losses.map(|loss| -loss), margin).unwrap();
        close(mirrored.p_value, p, 1e-9);
    }
}

#[test]
fn equivalence_is_not_shown_by_differences_that_do_not_vary() {
    // Three equal differences within the margin: 2^-3, one-sided.
    assert_eq!(equivalence(&[0.0; 3], 0.01).unwrap().p_value, 0.125);
    assert_eq!(equivalence(&[0.002; 3], 0.01).unwrap().p_value, 0.125);
    assert_eq!(equivalence(&[0.02; 3], 0.01).unwrap().p_value, 1.0);
    for margin in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(equivalence(&SLEEP, margin).is_err());
    }
    assert!(equivalence(&[0.1], 0.5).is_err() && equivalence(&[0.1, f64::NAN], 0.5).is_err());
}

/// Equivalence is claimed wrongly at most as often as the level says, also where the difference is the margin itself.
#[test]
fn equivalence_is_rarely_claimed_at_the_margin() {
    let mut random = ChaCha8Rng::seed_from_u64(31);
    let trials = 2000;
    let claimed = (0..trials).filter(|_| {
        let differences: Vec<f64> = (0..8).map(|_| 0.5 + uniform(&mut random) * 0.2).collect();
        equivalence(&differences, 0.5).unwrap().p_value < 0.05
    });
    let share = claimed.count() as f64 / f64::from(trials);
    assert!((0.03..=0.06).contains(&share), "{share}");
    let claimed = (0..trials).filter(|_| {
        let (a, b) = disagreements(&mut random, 3000, 0.3, 0.05);
        paired_equivalence(a, b, 3000, 0.05).unwrap().p_value < 0.05
    });
    let share = claimed.count() as f64 / f64::from(trials);
    assert!((0.03..=0.06).contains(&share), "{share}");
}

/// Between -1 and 1.
fn uniform(random: &mut ChaCha8Rng) -> f64 {
    2.0 * random.random::<f64>() - 1.0
}

/// Documents that only one of two models gets right, which disagree on a share `psi` and differ by `d`.
fn disagreements(random: &mut ChaCha8Rng, n: usize, psi: f64, d: f64) -> (usize, usize) {
    let (mut a, mut b) = (0, 0);
    for _ in 0..n {
        let u = random.random::<f64>();
        b += usize::from(u < (psi + d) / 2.0);
        a += usize::from((psi + d) / 2.0 <= u && u < psi);
    }
    (a, b)
}

#[test]
fn equivalence_of_proportions_agrees_with_tangos_interval() {
    for (a, b, n) in [(16, 6, 161), (25, 28, 618), (0, 0, 200), (3, 9, 40)] {
        for margin in [0.02, 0.05, 0.1, 0.2] {
            let test = paired_equivalence(a, b, n, margin).unwrap();
            let within = -margin < test.interval.low && test.interval.high < margin;
            assert_eq!(test.p_value < 0.05, within, "{a} {b} {n} {margin}: {test:?}");
        }
    }
    assert!(paired_equivalence(1, 1, 10, 1.0).is_err() && paired_equivalence(1, 1, 10, 0.0).is_err());
}

/// SciPy 1.17.1: `permutation_test((x,), mean, permutation_type="samples", n_resamples=inf).pvalue`.
#[test]
fn the_sign_flip_test_equals_scipy() {
    for (differences, p, smallest) in [
        (&[0.0312, 0.0275, 0.041, -0.006, 0.019][..], 0.125, 0.0625),
        (&SLEEP, 0.00390625, 0.00390625),
        (&[0.5, -0.25, 1.0], 0.5, 0.25),
        (&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, -2.5], 0.234375, 0.0078125),
    ] {
        let test = sign_flip(differences).unwrap();
        assert_eq!(
            (test.p_value, test.smallest, test.exact),
            (p, smallest, true),
            "{differences:?}"
        );
    }
}

#[test]
fn the_sign_flip_test_of_right_and_wrong_is_mcnemars() {
    for (a, b) in [(3, 9), (0, 5), (8, 8), (1, 14)] {
        let differences: Vec<f64> = (0..a + b).map(|i| if i < a { -1.0 } else { 1.0 }).collect();
        close(sign_flip(&differences).unwrap().p_value, mcnemar_exact(a, b), 1e-12);
    }
    // Patterns are drawn where there are too many to count: the standard error of the p-value is 0.0015.
    let differences: Vec<f64> = (0..44).map(|i| if i < 14 { -1.0 } else { 1.0 }).collect();
    let test = sign_flip(&differences).unwrap();
    assert!(!test.exact && test.smallest == 1e-4);
    assert!((test.p_value - mcnemar_exact(14, 30)).abs() < 0.006, "{test:?}");
    assert_eq!(test, sign_flip(&differences).unwrap());
}

#[test]
fn sign_flips_of_odd_differences() {
    let none = sign_flip(&[0.0, 0.0]).unwrap();
    assert_eq!((none.p_value, none.smallest), (1.0, 1.0));
    assert_eq!(sign_flip(&[0.3]).unwrap().p_value, 1.0);
    // Equal but for rounding: all patterns with the sum of 0.1 + 0.2 and of 0.3 count.
    assert_eq!(sign_flip(&[0.1, 0.2, -0.3]).unwrap().p_value, 1.0);
    assert!(sign_flip(&[]).is_err() && sign_flip(&[f64::NAN]).is_err());
}

/// Differences, effect, level and power by SciPy 1.17.1: `nct.sf(c, n - 1, effect * sqrt(n)) + nct.cdf(-c, ..)` with
/// `c = t.ppf(1 - alpha / 2, n - 1)`; statsmodels 0.15.0's `TTestPower().power(effect, n, alpha)` gives the same.
const POWER: [(usize, f64, f64, f64); 12] = [
    (2, 0.5, 0.05, 0.06194860668713364),
    (2, 2.0, 0.0125, 0.04430740705590627),
    (3, 0.5, 0.05, 0.08410705589638942),
    (3, 2.0, 0.05, 0.47074943127843494),
    (3, 2.0, 0.0125, 0.14925367234440517),
    (5, 0.5, 0.0125, 0.04192849408107166),
    (5, 2.0, 0.05, 0.9088848681009404),
    (5, 2.0, 0.0125, 0.6062799785090289),
    (10, 0.5, 0.05, 0.29317560651407687),
    (10, 2.0, 0.0125, 0.9956734145109319),
    (30, 0.5, 0.05, 0.7539647157437906),
    (200, 0.5, 0.05, 0.9999998079562155),
];

#[test]
fn power_is_that_of_the_noncentral_t_distribution() {
    for (n, effect, alpha, power) in POWER {
        close(t_power(n, effect, alpha).unwrap(), power, 1e-9);
        close(t_power(n, -effect, alpha).unwrap(), power, 1e-9);
        close(t_power(n, 0.0, alpha).unwrap(), alpha, 1e-9);
    }
    // By the same program's root finder.
    close(t_detectable(30, 0.05, 0.8).unwrap(), 0.5292356151129544, 1e-8);
    close(t_detectable(30, 0.0125, 0.8).unwrap(), 0.6447182184339493, 1e-8);
    close(t_detectable(200, 0.05, 0.8).unwrap(), 0.19906417540694138, 1e-8);
}

#[test]
fn the_detectable_effect_is_found_as_often_as_asked() {
    for n in [2, 3, 5, 10, 1000, 100_000] {
        for alpha in [0.05, 0.0005] {
            let effect = t_detectable(n, alpha, 0.8).unwrap();
            close(t_power(n, effect, alpha).unwrap(), 0.8, 1e-7);
        }
    }
    assert!(t_detectable(3, 0.05, 0.8).unwrap() > t_detectable(5, 0.05, 0.8).unwrap());
    assert!(t_power(1, 1.0, 0.05).is_err() && t_power(3, f64::NAN, 0.05).is_err());
    assert!(t_detectable(3, 0.05, 1.0).is_err() && t_detectable(3, 0.0, 0.8).is_err());
}

/// Documents, discordance, difference, level and power: the binomial probabilities of all counts that the exact test
/// rejects, summed with SciPy 1.17.1's `binom`.
#[test]
fn power_of_mcnemars_test_is_exact() {
    for (n, discordance, difference, alpha, power) in [
        (100, 0.2, 0.12, 0.05, 0.7356912179411625),
        (800, 0.25, 0.05, 0.05, 0.7917382853390901),
        (50, 0.5, 0.3, 0.0125, 0.6681485866073996),
        (2000, 0.1, 0.0, 0.05, 0.04237848443057467),
        (300, 0.05, 0.05, 0.01, 0.9840319992029114),
    ] {
        close(mcnemar_power(n, discordance, difference, alpha).unwrap(), power, 1e-8);
        close(mcnemar_power(n, discordance, -difference, alpha).unwrap(), power, 1e-8);
    }
    // It never rejects too often.
    for n in [10, 100, 20_000] {
        assert!(mcnemar_power(n, 0.3, 0.0, 0.05).unwrap() <= 0.05);
    }
    let found = minimal_detectable_difference(100, 0.2, 0.05, 0.8).unwrap();
    close(mcnemar_power(100, 0.2, found, 0.05).unwrap(), 0.8, 1e-5);
    assert_eq!(mcnemar_power(10, 0.0, 0.0, 0.05).unwrap(), 0.0);
    assert!(mcnemar_power(10, 0.1, 0.2, 0.05).is_err() && mcnemar_power(0, 0.1, 0.0, 0.05).is_err());
}

/// Holm's values by statsmodels 0.15.0: `multipletests(p, method="holm")[1]`.
#[test]
fn holms_correction_equals_statsmodels() {
    let adjusted = holm(&[0.01, 0.04, 0.03, 0.005, 0.2, 0.0004]);
    for (found, expected) in adjusted.iter().zip([0.04, 0.09, 0.09, 0.025, 0.2, 0.0024]) {
        close(*found, expected, 1e-12);
    }
}

/// 24 values in seven clusters.
fn clustered() -> (Vec<f64>, Vec<String>) {
    let values = (0..24).map(|i| f64::from((i * 7919) % 101) / 101.0 - 0.4);
    let clusters = (0..24).map(|i| if i < 16 { i / 4 } else { 4 + i % 3 });
    (
        values.collect(),
        clusters.map(|cluster: i32| cluster.to_string()).collect(),
    )
}

/// By statsmodels 0.15.0: `OLS(v, ones).fit(cov_type="cluster", cov_kwds={"groups": g}, use_t=True)`.
#[test]
fn clustered_standard_errors_equal_statsmodels() {
    let (values, clusters) = clustered();
    let comparison = compare_clustered(&[0.0; 24], &values, &clusters).unwrap();
    assert_eq!((comparison.test, comparison.clusters), (PairedTest::ClusteredT, 7));
    close(comparison.difference, 0.059983498349834984, 1e-9);
    close(comparison.stderr, 0.043487583571307505, 1e-9);
    close(comparison.p_value, 0.2170012682203195, 1e-9);
    close(comparison.interval.low, -0.04642678526845501, 1e-9);
    close(comparison.interval.high, 0.166393781968125, 1e-9);
}

#[test]
fn a_cluster_for_each_document_changes_nothing() {
    let (values, _) = clustered();
    let own: Vec<String> = (0..24).map(|i| i.to_string()).collect();
    let stderr = clustered_stderr(&values, &own).unwrap().unwrap();
    close(stderr, mean_stderr(&values).unwrap(), 1e-12);
    // Copies of every document are no more documents.
    let twice: Vec<f64> = values.iter().flat_map(|value| [*value, *value]).collect();
    let pairs: Vec<String> = (0..48).map(|i| (i / 2).to_string()).collect();
    close(clustered_stderr(&twice, &pairs).unwrap().unwrap(), stderr, 1e-12);
    let zeros = [0.0; 48];
    let (whole, single) = (
        permutation_test(&zeros, &twice, Some(&pairs)).unwrap(),
        permutation_test(&zeros[..24], &values, None).unwrap(),
    );
    assert_eq!(whole.p_value, single.p_value);
    assert_eq!(clustered_stderr(&values, &vec!["one".to_owned(); 24]).unwrap(), None);
    assert!(compare_clustered(&zeros[..24], &values, &vec!["one".to_owned(); 24]).is_err());
    assert!(clustered_stderr(&values, &own[1..]).is_err());
}

/// Questions on one passage are right or wrong together: intervals that take them for independent cover too seldom.
#[test]
fn the_clustered_interval_covers_the_true_difference() {
    let mut random = ChaCha8Rng::seed_from_u64(37);
    let clusters: Vec<String> = (0..200).map(|i| (i / 5).to_string()).collect();
    let trials = 2000;
    let (mut clustered, mut single) = (0, 0);
    for _ in 0..trials {
        let shared: Vec<f64> = (0..40).map(|_| uniform(&mut random)).collect();
        let values: Vec<f64> = (0..200).map(|i| 0.1 + shared[i / 5] + uniform(&mut random)).collect();
        let zeros = [0.0; 200];
        let interval = compare_clustered(&zeros, &values, &clusters).unwrap().interval;
        clustered += usize::from(interval.low <= 0.1 && 0.1 <= interval.high);
        let interval = compare_paired(&zeros, &values).unwrap().interval;
        single += usize::from(interval.low <= 0.1 && 0.1 <= interval.high);
    }
    let [clustered, single] = [clustered, single].map(|count| count as f64 / f64::from(trials));
    assert!((0.93..=0.97).contains(&clustered), "{clustered}");
    assert!(single < 0.85, "{single}");
}
