//! The report's page.

use llm_bench::report::{Criteria, CurvePoint, LearnedFunction, Report, Run, Variant};
use llm_bench::{BenchError, Measure, QuestionOutcomes, Scale};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A run whose loss falls to `end`.
pub(crate) fn run(seed: u64, end: f64, tasks: Vec<QuestionOutcomes>) -> Run {
    let point = |i: u64| CurvePoint {
        step: i * 5,
        tokens: i * 5 * 2048,
        seconds: i as f64 * 2.5,
        loss: end + 4.0 * (-(i as f64) / 30.0).exp() + 0.03 * ((i + 7 * seed) as f64).sin(),
    };
    Run {
        seed,
        tokens_per_second: Some(8123.4 / end),
        held_out_loss: Some(end),
        curve: (0..200).map(point).collect(),
        held_out_curve: (0..200).step_by(20).map(point).collect(),
        tasks,
    }
}

pub(crate) fn variant(name: &str, runs: Vec<Run>) -> Variant {
    Variant {
        name: name.to_owned(),
        parameters: 1_234_567,
        runs,
        functions: Vec::new(),
    }
}

pub(crate) fn outcomes(random: &mut ChaCha8Rng, n: usize, p: f64) -> Vec<f64> {
    (0..n).map(|_| f64::from(u8::from(random.random_bool(p)))).collect()
}

/// Outcomes of a metric that is a share and has its mean as its score.
pub(crate) fn measured(task: &str, metric: &str, chance: Option<f64>, values: Vec<f64>) -> QuestionOutcomes {
    QuestionOutcomes {
        measure: Measure {
            task: task.to_owned(),
            metric: metric.to_owned(),
            higher_is_better: true,
            scale: Scale::Share,
            chance,
        },
        score: values.iter().sum::<f64>() / values.len() as f64,
        questions: (0..values.len()).map(|index| index.to_string()).collect(),
        values,
        clusters: Vec::new(),
    }
}

/// A report on one model per list of outcomes; the models are called A, B and so on.
fn of_models(models: Vec<Vec<QuestionOutcomes>>) -> Result<Report, BenchError> {
    let names = ["A", "B", "C"].into_iter();
    let variants = names
        .zip(models)
        .map(|(name, tasks)| variant(name, vec![run(1, 2.0, tasks)]));
    Report::new(variants.collect(), Criteria::default())
}

/// Three variants with one run each.
fn variants() -> Vec<Variant> {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let facts = [0.5, 0.7, 0.48].map(|p| outcomes(&mut random, 300, p));
    let sums = [0.31, 0.34, 0.33].map(|p| outcomes(&mut random, 300, p));
    let models = [("SwiGLU", 1.92), ("GroupKan", 1.88), ("SiluMlp", 2.01)].into_iter();
    let variants = models
        .zip(facts.into_iter().zip(sums))
        .map(|((name, end), (facts, sums))| {
            let tasks = vec![
                measured("synthetic_facts", "acc", Some(0.25), facts),
                measured("synthetic_sums", "exact_match", None, sums),
            ];
            variant(name, vec![run(42, end, tasks)])
        });
    let mut variants: Vec<Variant> = variants.collect();
    variants[1].functions = (0..6).map(|i| learned(i as f64)).collect();
    variants
}

pub(crate) fn sample() -> Report {
    described(Report::new(variants(), Criteria::default()).unwrap())
}

/// The same with names as long as anybody gives.
pub(crate) fn with_long_names() -> Report {
    let mut long = variants();
    for variant in &mut long {
        variant.name = format!("{} converted with degrees 7 and 6, three epochs", variant.name);
    }
    let mut report = described(Report::new(long, Criteria::default()).unwrap());
    report.command = format!("{} -- --model {}", report.command, "a/very/long/path/".repeat(20));
    report
}

/// One variant without tasks, curves and functions.
pub(crate) fn alone() -> Report {
    let mut alone = variants().swap_remove(0);
    let run = &mut alone.runs[0];
    (run.curve, run.held_out_curve, run.tasks) = (Vec::new(), Vec::new(), Vec::new());
    Report::new(vec![alone], Criteria::default()).unwrap()
}

fn described(mut report: Report) -> Report {
    report.title = "SwiGLU and KAT <small>".to_owned();
    report.command = "cargo run --release --example compare".to_owned();
    report.hardware = "2 cores, CPU".to_owned();
    report.date = "2026-01-02 12:00".to_owned();
    report.settings = vec![("steps".into(), "1000".into()), ("learning rate".into(), "1e-3".into())];
    report
}

fn learned(shift: f64) -> LearnedFunction {
    let x: Vec<f64> = (-40..=40).map(|i| i as f64 / 5.0).collect();
    let swish = |x: f64| x / (1.0 + (-x).exp());
    LearnedFunction {
        label: format!("layer {shift}, group 0"),
        start: x.iter().map(|x| swish(*x)).collect(),
        learned: x
            .iter()
            .map(|x| swish(*x - shift / 3.0) + 0.3 * (*x / 2.0).sin())
            .collect(),
        x,
    }
}

#[test]
fn the_page_is_complete_in_itself() {
    let html = sample().to_html().unwrap();
    for request in ["src=", "href=", "@import", "url(", "<script", "<link"] {
        assert!(!html.contains(request), "{request}");
    }
    // The one address is the name of SVG's namespace, which nothing fetches.
    assert_eq!(
        html.matches("http").count(),
        html.matches("xmlns=\"http://www.w3.org/2000/svg\"").count()
    );
    assert!(html.contains("SwiGLU and KAT &lt;small&gt;"));
    // Dark on a dark screen, never on paper.
    assert_eq!(html.matches("prefers-color-scheme: dark").count(), 1);
    assert!(html.contains("@media screen and (prefers-color-scheme: dark)"));
    assert!(html.contains("@media print { :root { color-scheme: light;"));
    assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
    assert_eq!(html.matches("<svg").count(), 9);
    assert!(!html.contains("#0100F"), "a stand-in colour is left");
    assert!(html.contains("1,234,567"));
}

#[test]
fn the_headline_of_one_seed_speaks_of_its_models() {
    let headline = sample().headline();
    assert!(
        headline.contains("GroupKan scores")
            && headline.contains("above SwiGLU on synthetic_facts")
            && headline.contains("these trained models"),
        "{headline}"
    );
    assert!(!headline.contains("synthetic_sums"), "{headline}");
    let mut alike = variants();
    for variant in &mut alike {
        variant.runs[0].tasks.remove(0);
    }
    let headline = Report::new(alike, Criteria::default()).unwrap().headline();
    assert!(
        headline.contains("No difference was found") && headline.contains("points would have been"),
        "{headline}"
    );
    let alone = Report::new(variants()[..1].to_vec(), Criteria::default()).unwrap();
    assert_eq!(alone.headline(), "There is one model: nothing was compared.");
}

#[test]
fn odd_curves_and_functions_still_make_a_page() {
    let mut odd = variants();
    odd[0].runs[0].curve.truncate(2);
    odd[0].runs[0].curve[0].loss = f64::NAN;
    odd[1].runs[0].curve.clear();
    odd[1].functions[0].learned = vec![f64::INFINITY; odd[1].functions[0].x.len()];
    odd[1].functions[1] = LearnedFunction {
        label: "empty".into(),
        x: vec![],
        start: vec![],
        learned: vec![],
    };
    let report = Report::new(odd, Criteria::default()).unwrap();
    assert!(report.to_html().unwrap().contains("</html>"));
}

#[test]
fn outcomes_are_finite_where_nothing_is_compared_too() {
    for odd in [f64::NAN, f64::INFINITY] {
        assert!(of_models(vec![vec![measured("t", "acc", None, vec![1.0, odd])]]).is_err());
    }
    for values in [vec![1.0, 0.0], vec![1.0, 0.5]] {
        of_models(vec![vec![measured("t", "acc", None, values)]]).unwrap();
    }
}

/// The message with which a report on changed variants is refused.
fn refused(change: impl Fn(&mut Vec<Variant>)) -> String {
    let mut changed = variants();
    change(&mut changed);
    Report::new(changed, Criteria::default()).unwrap_err().to_string()
}

#[test]
fn variants_that_cannot_be_paired_are_refused_by_name() {
    let error = refused(|variants| variants.clear());
    assert!(error.contains("at least one variant"), "{error}");
    let error = refused(|variants| variants[1].runs.clear());
    assert!(
        error.contains("`GroupKan`") && error.contains("[42], found []"),
        "{error}"
    );
    let error = refused(|variants| variants[2].runs[0].seed = 43);
    assert!(
        error.contains("`SiluMlp`") && error.contains("[42], found [43]"),
        "{error}"
    );
    let error = refused(|variants| {
        let run = variants[0].runs[0].clone();
        variants[0].runs.push(run);
    });
    assert!(error.contains("two runs have the seed 42"), "{error}");
    let error = refused(|variants| variants[2].name = "SwiGLU".into());
    assert!(error.contains("two variants are called `SwiGLU`"), "{error}");
    let error = refused(|variants| {
        variants[1].runs[0].tasks.pop();
    });
    assert!(error.contains("`GroupKan`, seed 42: outcomes of"), "{error}");
    let error = refused(|variants| variants[2].runs[0].tasks[1].questions[7] = "another".into());
    assert!(error.contains("index 7: 7 and another"), "{error}");
}

#[test]
fn criteria_that_mean_nothing_are_refused() {
    for (margin_nats, margin_points, target_loss, named) in [
        (0.0, 1.0, None, "margin_nats"),
        (0.01, f64::NAN, None, "margin_points"),
        (0.01, 1.0, Some(f64::INFINITY), "target_loss"),
    ] {
        let criteria = Criteria {
            margin_nats,
            margin_points,
            target_loss,
        };
        let error = Report::new(variants(), criteria).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
}

/// Two models and a metric whose values are nats: the second needs fewer on every document.
fn nats(scale: Scale, higher_is_better: bool, fewer: f64) -> Report {
    let values: Vec<f64> = (0..40).map(|i| 2.0 + f64::from(i % 7) / 10.0).collect();
    let less = [0.5 * fewer, 1.5 * fewer].into_iter().cycle();
    let second = values.iter().zip(less).map(|(value, less)| value - less).collect();
    let models = [values.clone(), second].map(|values| {
        let mut model = measured("text", "nats", None, values);
        (model.measure.scale, model.measure.higher_is_better) = (scale, higher_is_better);
        vec![model]
    });
    of_models(models.to_vec()).unwrap()
}

#[test]
fn a_metric_that_is_better_when_lower_is_reported_as_such() {
    let (lower, higher) = (nats(Scale::Plain, false, 0.2), nats(Scale::Plain, true, 0.2));
    let comparison = &lower.comparisons()[0];
    assert!((comparison.result.difference + 0.2).abs() < 1e-12 && comparison.is_finding());
    assert!(comparison.improvement() > 0.0 && higher.comparisons()[0].improvement() < 0.0);
    assert_eq!(comparison.documents_won(), (40, 0));
    assert_eq!(higher.comparisons()[0].documents_won(), (0, 40));
    let headline = lower.headline();
    assert!(
        headline.contains("B scores 0.2000 below A on text (nats, lower is better)"),
        "{headline}"
    );
    let (lower, higher) = (lower.to_html().unwrap(), higher.to_html().unwrap());
    assert!(lower.contains("<span class=\"good\">-0.2000</span>") && lower.contains("nats, lower is better"));
    assert!(higher.contains("<span class=\"bad\">-0.2000</span>"));
    // Nats are not percentages: they are not drawn on the axis of points.
    assert!(!lower.contains("difference in points"), "{lower}");
}

/// Outcomes of a perplexity are logarithms, which nobody reads next to a perplexity.
#[test]
fn perplexities_differ_by_a_percentage() {
    let report = nats(Scale::Log, false, 0.2);
    let headline = report.headline();
    // exp(-0.2) is 0.8187.
    assert!(
        headline.contains("B scores 18.1 % lower than A on text (nats, lower is better)."),
        "{headline}"
    );
    assert!(
        report
            .to_html()
            .unwrap()
            .contains("<span class=\"good\">-18.1 %</span>")
    );
    assert!(report.table().contains("-18.1 ["), "{}", report.table());
    let headline = nats(Scale::Log, false, -0.2).headline();
    assert!(headline.contains("B scores 22.1 % higher than A"), "{headline}");
}

#[test]
fn a_headline_without_percentages_names_no_points() {
    let values: Vec<f64> = (0..40).map(|i| f64::from(i % 7)).collect();
    let swapped = values.iter().rev().copied().collect();
    let mut models = [values, swapped].map(|values| vec![measured("text", "nats", None, values)]);
    for model in &mut models {
        model[0].measure.scale = Scale::Plain;
    }
    let headline = of_models(models.to_vec()).unwrap().headline();
    assert!(
        headline.contains("No difference was found in the one comparison. No finding is not equality."),
        "{headline}"
    );
}

#[test]
fn the_interval_of_a_score_is_given_where_the_score_is_a_mean() {
    let report = nats(Scale::Plain, false, 0.2);
    let score = report.tasks()[0].scores[0];
    let interval = score.interval.unwrap();
    assert!(interval.low < score.value && score.value < interval.high);
    // A perplexity, and a correlation of right and wrong.
    for (values, score) in [(vec![2.0, 2.5], 2.25f64.exp()), (vec![1.0, 0.0], -0.2)] {
        let mut model = measured("text", "other", None, values);
        model.score = score;
        let report = of_models(vec![vec![model]]).unwrap();
        assert_eq!(report.tasks()[0].scores[0].interval, None);
    }
    let mut empty = measured("text", "acc", None, vec![1.0]);
    empty.values.clear();
    empty.questions.clear();
    assert!(of_models(vec![vec![empty]]).is_err());
}
