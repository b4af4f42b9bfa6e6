//! Comparisons of variants, with the seed as the statistical unit.

use crate::report::{measured, outcomes, run, variant};
use llm_bench::report::{Criteria, CurvePoint, Observed, Quantity, Report, Run, SeedComparison, Variant};
use llm_bench::{QuestionOutcomes, Scale};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A variant whose runs end with these losses, all with the same answers.
fn with_losses(name: &str, losses: &[f64]) -> Variant {
    let runs = losses.iter().zip(1..).map(|(loss, seed)| run(seed, *loss, Vec::new()));
    variant(name, runs.collect())
}

fn of_losses(baseline: &[f64], candidate: &[f64]) -> Report {
    let variants = vec![with_losses("swiglu", baseline), with_losses("group-kan", candidate)];
    Report::new(variants, Criteria::default()).unwrap()
}

fn only(report: &Report) -> &SeedComparison {
    assert_eq!(report.across_seeds().len(), 1);
    &report.across_seeds()[0]
}

/// Three variants with five seeds: the first two differ in loss and one task, the third in nothing.
fn variants() -> Vec<Variant> {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let variants = [
        ("swiglu", 2.00, 0.5),
        ("group-kan", 1.90, 0.75),
        ("silu-mlp", 2.001, 0.5),
    ];
    let variants = variants.map(|(name, loss, facts)| {
        let runs = (1..=5).map(|seed| {
            let noise = (random.random::<f64>() - 0.5) * 0.006;
            let tasks = vec![
                measured("facts", "acc", Some(0.25), outcomes(&mut random, 200, facts)),
                measured(
                    "sums",
                    "exact_match,strict-match",
                    None,
                    outcomes(&mut random, 200, 0.3),
                ),
            ];
            run(seed, loss + noise, tasks)
        });
        variant(name, runs.collect())
    });
    variants.to_vec()
}

fn criteria() -> Criteria {
    Criteria {
        target_loss: Some(2.4),
        ..Criteria::default()
    }
}

pub(crate) fn study() -> Report {
    let mut report = Report::new(variants(), criteria()).unwrap();
    report.title = "Which feed-forward?".to_owned();
    report.command = "cargo run --release --example compare -- --seeds 1,2,3,4,5".to_owned();
    report
}

/// The same with names as long as anybody gives, and one variant that never reaches the target.
pub(crate) fn long_study() -> Report {
    let mut long = variants();
    for variant in &mut long {
        variant.name = format!(
            "{} converted with degrees 7 and 6, three epochs, another name",
            variant.name
        );
    }
    long[2].runs[1].held_out_curve.truncate(4);
    Report::new(long, criteria()).unwrap()
}

#[test]
fn the_headline_is_the_claim_across_seeds() {
    let report = study();
    let headline = report.headline();
    assert!(
        headline.starts_with("Over 5 seeds, group-kan has a held-out loss 0.0")
            && headline.contains(" nats lower than swiglu (p "),
        "{headline}"
    );
    assert!(
        headline.contains("Cannot tell with 5 seeds in ") && headline.contains("does not mean that they are equal")
    );
    assert!(
        headline.contains("Shown to be equivalent: silu-mlp and swiglu within 0.01 nats in held-out loss."),
        "{headline}"
    );
    assert!(!headline.contains("trained models"), "{headline}");
    let table = report.table();
    assert!(table.starts_with(&headline), "{table}");
    let (across, documents) = (
        table.find("Across seeds 1, 2, 3, 4, 5"),
        table.find("Trained models of one seed"),
    );
    assert!(across.is_some() && across < documents, "{table}");
    let html = report.to_html().unwrap();
    let places = [
        "class=\"headline\"",
        "<h2>Across 5 seeds",
        "<h2>Learning curves",
        "<h2>Convergence",
        "<h2>Equivalence",
        "<h2>Models compared",
    ];
    let places = places.map(|place| html.find(place).unwrap_or_else(|| panic!("{place}")));
    assert!(places.is_sorted(), "{places:?}");
    assert_eq!(html.matches("<svg").count(), 5);
    assert!(!html.contains("#0100F"), "a stand-in colour is left");
}

#[test]
fn three_seeds_that_do_not_decide_are_said_not_to() {
    let report = of_losses(&[2.0, 2.1, 1.9], &[1.95, 2.12, 1.8]);
    let comparison = only(&report);
    let mean = comparison.mean.unwrap();
    assert!((mean.difference + 0.13 / 3.0).abs() < 1e-12 && !comparison.is_finding());
    assert_eq!((mean.sign_flip.smallest, comparison.seeds_won()), (0.25, (2, 1)));
    let size = mean.detectable.unwrap();
    assert!((0.1..0.3).contains(&size), "{size}");
    let headline = report.headline();
    assert_eq!(
        headline,
        format!(
            "Cannot tell with 3 seeds: the one comparison across seeds found no difference. That does not mean that \
             they are equal: finding a difference reliably takes about {size:.2} nats in held-out loss."
        )
    );
}

#[test]
fn one_seed_makes_no_claim_about_variants() {
    let report = of_losses(&[2.0], &[1.0]);
    assert!(report.across_seeds().is_empty());
    assert!(
        report
            .headline()
            .starts_with("One seed cannot tell how the variants differ."),
        "{}",
        report.headline()
    );
    assert!(!report.to_html().unwrap().contains("<h2>Across"));
}

#[test]
fn two_seeds_are_compared_and_rarely_decide() {
    let report = of_losses(&[2.0, 2.1], &[1.9, 2.01]);
    let comparison = only(&report);
    // t with one degree of freedom: 19 standard errors.
    assert!(
        (comparison.p_value / (1f64 / 19.0).atan() * std::f64::consts::FRAC_PI_2 - 1.0).abs() < 1e-9,
        "{}",
        comparison.p_value
    );
    assert_eq!(comparison.mean.unwrap().sign_flip.p_value, 0.5);
}

#[test]
fn differences_that_do_not_vary_are_not_certain() {
    let comparison = of_losses(&[2.0, 2.5, 3.0], &[1.5, 2.0, 2.5]);
    let comparison = only(&comparison);
    assert_eq!((comparison.p_value, comparison.mean.unwrap().detectable), (0.25, None));
    let same = of_losses(&[2.0, 2.1, 2.2], &[2.0, 2.1, 2.2]);
    let comparison = only(&same);
    assert_eq!((comparison.p_value, comparison.is_equivalent()), (1.0, false));
    // 2^-5 is below 0.05: five equal pairs are enough to call it equivalence.
    let same = of_losses(&[2.0; 5], &[2.0; 5]);
    assert!(only(&same).is_equivalent() && same.headline().starts_with("Shown to be equivalent"));
}

/// A training that failed is worse than any other, and leaves no mean.
#[test]
fn a_failed_training_counts_as_worse() {
    let report = of_losses(&[2.0, 2.1, 2.2, 2.0, 2.0, 2.0], &[1.9, f64::NAN, 2.0, 1.9, 1.9, 1.9]);
    let comparison = only(&report);
    assert!(comparison.mean.is_none());
    assert_eq!((comparison.seeds_won(), comparison.incomplete()), ((5, 1), 1));
    // The sign test of 5 to 1: 2 * 7 / 64.
    assert!((comparison.p_value - 0.21875).abs() < 1e-12);
    let table = report.table();
    assert!(table.contains("better in 5, worse in 1 of 6 seeds"), "{table}");
}

#[test]
fn losses_that_were_not_measured_are_not_compared() {
    let mut variants = vec![with_losses("a", &[2.0, 2.1]), with_losses("b", &[1.9, 2.0])];
    variants[1].runs[0].held_out_loss = None;
    let report = Report::new(variants.clone(), Criteria::default()).unwrap();
    assert_eq!((only(&report).seeds_won(), only(&report).p_value), ((1, 0), 1.0));
    for run in variants.iter_mut().flat_map(|variant| &mut variant.runs) {
        run.held_out_loss = None;
    }
    let report = Report::new(variants, Criteria::default()).unwrap();
    assert!(report.across_seeds().is_empty());
    assert!(
        report.headline().contains("nothing was measured"),
        "{}",
        report.headline()
    );
}

/// A run with held-out losses after 100, 200, .. tokens, which take a second each 100.
fn converging(seed: u64, losses: &[f64]) -> Run {
    let points = losses.iter().zip(1..).map(|(loss, i)| CurvePoint {
        step: i,
        tokens: 100 * i,
        seconds: i as f64,
        loss: *loss,
    });
    Run {
        held_out_loss: None,
        held_out_curve: points.collect(),
        ..run(seed, 2.0, Vec::new())
    }
}

fn convergence(baseline: &[&[f64]], candidate: &[&[f64]]) -> Report {
    let variants = [("a", baseline), ("b", candidate)].map(|(name, curves)| {
        let runs = curves.iter().zip(1..).map(|(losses, seed)| converging(seed, losses));
        variant(name, runs.collect())
    });
    let criteria = Criteria {
        target_loss: Some(2.0),
        ..Criteria::default()
    };
    Report::new(variants.to_vec(), criteria).unwrap()
}

#[test]
fn convergence_is_compared_by_the_ratio_of_tokens() {
    // The target is reached half-way between the second and the third evaluation, and at the second.
    let slow = [3.0, 2.5, 1.5];
    let fast = [3.0, 2.0, 1.0];
    let report = convergence(&[&slow, &slow], &[&fast, &fast]);
    let [tokens, seconds] = report.across_seeds() else {
        panic!("{:?}", report.across_seeds())
    };
    assert_eq!(tokens.quantity, Quantity::Tokens { target: 2.0 });
    assert_eq!(
        tokens.pairs[0],
        (Observed::Value(250f64.ln()), Observed::Value(200f64.ln()))
    );
    assert_eq!(
        seconds.pairs[1],
        (Observed::Value(2.5f64.ln()), Observed::Value(2f64.ln()))
    );
    assert_eq!(tokens.quantity.signed(tokens.mean.unwrap().difference), "-20.0");
    assert_eq!(tokens.seeds_won(), (2, 0));
}

/// Logarithm of no seconds would be less than any time.
#[test]
fn an_amount_that_was_not_counted_is_missing() {
    let mut runs = [1, 2].map(|seed| converging(seed, &[1.9, 1.8]));
    runs[1].held_out_curve[0].seconds = 0.0;
    let variants = ["a", "b"].map(|name| variant(name, runs.to_vec()));
    let criteria = Criteria {
        target_loss: Some(2.0),
        ..Criteria::default()
    };
    let report = Report::new(variants.to_vec(), criteria).unwrap();
    let seconds = &report.across_seeds()[1];
    assert_eq!(seconds.pairs[1], (Observed::Missing, Observed::Missing));
    assert!(matches!(seconds.pairs[0].0, Observed::AtMost(_)));
}

/// A seed that never got there leaves no mean, which would be of the quicker seeds alone.
#[test]
fn seeds_that_never_reach_the_target_are_counted() {
    let (reached, never, at_once) = ([3.0, 2.5, 1.5], [3.0, 2.5, 2.2], [1.9, 1.8, 1.7]);
    let report = convergence(&[&never, &never, &reached], &[&reached, &never, &at_once]);
    let tokens = &report.across_seeds()[0];
    assert_eq!(
        tokens.pairs,
        [
            (Observed::AtLeast(300f64.ln()), Observed::Value(250f64.ln())),
            (Observed::AtLeast(300f64.ln()), Observed::AtLeast(300f64.ln())),
            (Observed::Value(250f64.ln()), Observed::AtMost(100f64.ln())),
        ]
    );
    assert!(tokens.mean.is_none());
    // Of two that never got there, nobody knows which would have been first.
    assert_eq!(
        (tokens.seeds_won(), tokens.incomplete(), tokens.p_value),
        ((2, 0), 3, 0.5)
    );
    let (html, table) = (report.to_html().unwrap(), report.table());
    assert!(html.contains("&gt; 300") && html.contains("&lt; 100"), "{html}");
    assert!(table.contains("1 of 3   > 300  > 300  250"), "{table}");
}

/// A budget that ended before the other variant got there decides nothing.
#[test]
fn a_training_that_was_cut_short_decides_nothing() {
    let report = convergence(&[&[3.0, 2.5], &[3.0, 2.5]], &[&[3.0, 2.5, 2.4, 1.9], &[3.0, 1.0]]);
    assert_eq!(report.across_seeds()[0].seeds_won(), (1, 0));
}

#[test]
fn perplexities_are_compared_by_their_ratio() {
    let with = |name: &str, scores: [f64; 3]| {
        let runs = scores.iter().zip(1..).map(|(score, seed)| {
            let mut task: QuestionOutcomes = measured("text", "word_perplexity", None, vec![score.ln(); 2]);
            (task.score, task.measure.scale, task.measure.higher_is_better) = (*score, Scale::Log, false);
            Run {
                held_out_loss: None,
                ..run(seed, 2.0, vec![task])
            }
        });
        variant(name, runs.collect())
    };
    let variants = vec![with("a", [20.0, 21.0, 22.0]), with("b", [18.0, 18.9, 19.8])];
    let report = Report::new(variants, Criteria::default()).unwrap();
    let comparison = only(&report);
    assert_eq!(comparison.quantity.signed(comparison.mean.unwrap().difference), "-10.0");
    assert_eq!(comparison.seeds_won(), (3, 0));
    // No margin is stated for a ratio.
    assert!(comparison.mean.unwrap().equivalence.is_none());
}

#[test]
fn holms_correction_is_over_all_comparisons_across_seeds() {
    let report = study();
    let count = report.across_seeds().len();
    // Loss, tokens, seconds and two tasks, of two candidates.
    assert_eq!(count, 10);
    let smallest = report.across_seeds().iter().map(|c| c.p_value).fold(1.0, f64::min);
    let adjusted = report.across_seeds().iter().map(|c| c.p_adjusted).fold(1.0, f64::min);
    assert!((adjusted / (smallest * count as f64) - 1.0).abs() < 1e-12);
    let tested = report.across_seeds().iter().filter_map(|c| c.mean?.equivalence);
    assert_eq!(tested.count(), 6);
}

#[test]
fn the_report_is_json_for_programs() {
    let json = study().to_json();
    assert_eq!(json["across_seeds"].as_array().map(Vec::len), Some(10));
    assert_eq!(json["across_seeds"][0]["quantity"], "held-out loss");
    assert_eq!(json["across_seeds"][0]["differences"].as_array().map(Vec::len), Some(5));
    assert_eq!(json["on_documents"].as_array().map(Vec::len), Some(20));
    assert_eq!(json["on_documents"][0]["test"], "mc_nemar");
}
