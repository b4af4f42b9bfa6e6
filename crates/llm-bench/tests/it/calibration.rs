//! How often a study claims a difference: of variants that do not differ, and of variants that do.

use llm_bench::QuestionOutcomes;
use llm_bench::report::{Criteria, Report, Run, Variant};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::report::measured;

const STUDIES: usize = 2000;
const DOCUMENTS: usize = 60;

/// Standard normal, by Box and Muller.
fn normal(random: &mut ChaCha8Rng) -> f64 {
    let (radius, turn): (f64, f64) = (1.0 - random.random::<f64>(), random.random());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * turn).cos()
}

/// Answers of a model of this ability to documents of different difficulty.
fn answers(random: &mut ChaCha8Rng, task: &str, difficulty: &[f64], ability: f64) -> QuestionOutcomes {
    let values = difficulty.iter().map(|difficulty| {
        let probability = 1.0 / (1.0 + (difficulty - ability).exp());
        f64::from(u8::from(random.random_bool(probability)))
    });
    let values = values.collect();
    measured(task, "acc", None, values)
}

fn trained(seed: u64, held_out_loss: Option<f64>, tasks: Vec<QuestionOutcomes>) -> Run {
    Run {
        seed,
        tokens_per_second: None,
        held_out_loss,
        curve: Vec::new(),
        held_out_curve: Vec::new(),
        tasks,
    }
}

fn variant(name: &str, runs: Vec<Run>) -> Variant {
    Variant {
        name: name.to_owned(),
        parameters: 1,
        runs,
        functions: Vec::new(),
    }
}

/// Three variants that do not differ, with two tasks: four comparisons. A seed moves the ability of a trained model, and
/// part of that is shared by the variants, which see the same data in the same order.
fn null_study(random: &mut ChaCha8Rng, seeds: u64) -> Report {
    let difficulty: [Vec<f64>; 2] = std::array::from_fn(|_| (0..DOCUMENTS).map(|_| 1.5 * normal(random)).collect());
    let shared: Vec<f64> = (0..seeds).map(|_| 0.3 * normal(random)).collect();
    let variants = ["a", "b", "c"].map(|name| {
        let runs = shared.iter().zip(1..).map(|(shared, seed)| {
            let tasks = difficulty.iter().zip(["first", "second"]).map(|(difficulty, task)| {
                let ability = shared + 0.3 * normal(random);
                answers(random, task, difficulty, ability)
            });
            let tasks = tasks.collect();
            trained(seed, None, tasks)
        });
        variant(name, runs.collect())
    });
    Report::new(variants.to_vec(), Criteria::default()).unwrap()
}

#[test]
fn a_study_of_equal_variants_rarely_claims_a_difference() {
    for seeds in [3, 5, 10] {
        let mut random = ChaCha8Rng::seed_from_u64(41 + seeds);
        let claims = (0..STUDIES).filter(|_| {
            let report = null_study(&mut random, seeds);
            assert_eq!(report.across_seeds().len(), 4);
            let claims = report.across_seeds().iter().any(|comparison| comparison.is_finding());
            assert_eq!(claims, report.headline().starts_with("Over"));
            claims
        });
        let share = claims.count() as f64 / STUDIES as f64;
        println!("{seeds} seeds: {share}");
        assert!(share <= 0.065, "{seeds} seeds: {share}");
    }
}

/// Held-out losses whose differences have the standard deviation 0.01.
fn planted_study(random: &mut ChaCha8Rng, difference: f64) -> Report {
    let pairs = (1..=5).map(|seed| {
        let base = 2.0 + 0.05 * normal(random);
        let other = base + difference + 0.01 * normal(random);
        [base, other].map(|loss| trained(seed, Some(loss), Vec::new()))
    });
    let (a, b) = pairs.map(|[a, b]| (a, b)).unzip();
    Report::new(vec![variant("a", a), variant("b", b)], Criteria::default()).unwrap()
}

#[test]
fn a_difference_of_two_standard_deviations_is_found_with_five_seeds() {
    let mut random = ChaCha8Rng::seed_from_u64(43);
    let found = (0..STUDIES).filter(|_| planted_study(&mut random, -0.02).across_seeds()[0].is_finding());
    let share = found.count() as f64 / STUDIES as f64;
    println!("{share}");
    // The exact power is 0.909.
    assert!((0.85..0.95).contains(&share), "{share}");
}

/// Equivalence within 0.01 nats is claimed of a difference of 0.01 nats as seldom as the level says.
#[test]
fn equivalence_is_rarely_claimed_of_variants_that_differ_by_the_margin() {
    let mut random = ChaCha8Rng::seed_from_u64(47);
    let claimed = (0..STUDIES).filter(|_| planted_study(&mut random, 0.01).across_seeds()[0].is_equivalent());
    let share = claimed.count() as f64 / STUDIES as f64;
    println!("{share}");
    assert!(share <= 0.065, "{share}");
}
