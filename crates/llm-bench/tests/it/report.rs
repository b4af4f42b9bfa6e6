//! The report's page.

use llm_bench::report::{LearnedFunction, Report, Variant};
use llm_bench::{BenchError, Measure, QuestionOutcomes, Scale};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn variant(name: &str, end: f64) -> Variant {
    Variant {
        name: name.to_owned(),
        parameters: 1_234_567,
        tokens_per_second: Some(8123.4 / end),
        held_out_loss: Some(end),
        curve: (0..200)
            .map(|i| {
                (
                    i as f64 * 5.0,
                    end + 4.0 * (-(i as f64) / 30.0).exp() + 0.03 * (i as f64).sin(),
                )
            })
            .collect(),
    }
}

fn outcomes(random: &mut ChaCha8Rng, n: usize, p: f64) -> Vec<f64> {
    (0..n).map(|_| f64::from(u8::from(random.random_bool(p)))).collect()
}

/// Outcomes of a metric that is a share and has its mean as its score.
fn measured(task: &str, metric: &str, chance: Option<f64>, values: Vec<f64>) -> QuestionOutcomes {
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
    }
}

fn add(report: &mut Report, models: &[QuestionOutcomes]) -> Result<(), BenchError> {
    report.add_task(&models.iter().collect::<Vec<_>>())
}

pub(crate) fn sample() -> Report {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut report = Report {
        title: "SwiGLU and KAT <small>".to_owned(),
        command: "cargo run --release --example compare".to_owned(),
        hardware: "2 cores, CPU".to_owned(),
        date: "2026-01-02 12:00".to_owned(),
        settings: vec![("steps".into(), "1000".into()), ("learning rate".into(), "1e-3".into())],
        variants: vec![
            variant("SwiGLU", 1.92),
            variant("GroupKan", 1.88),
            variant("SiluMlp", 2.01),
        ],
        functions: (0..6).map(|i| learned(i as f64)).collect(),
        ..Default::default()
    };
    let (facts, sums) = ([0.5, 0.7, 0.48], [0.31, 0.34, 0.33]);
    for (task, metric, chance, ps) in [
        ("synthetic_facts", "acc", Some(0.25), facts),
        ("synthetic_sums", "exact_match", None, sums),
    ] {
        let models = ps.map(|p| measured(task, metric, chance, outcomes(&mut random, 300, p)));
        add(&mut report, &models).unwrap();
    }
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
    assert_eq!(html.matches("<svg").count(), 8);
    assert!(!html.contains("#0100F"), "a stand-in colour is left");
    assert!(html.contains("1,234,567"));
}

#[test]
fn the_headline_says_what_the_tests_allow() {
    let mut report = sample();
    let headline = report.headline();
    assert!(
        headline.contains("GroupKan scores")
            && headline.contains("above SwiGLU on synthetic_facts")
            && headline.contains("these trained models"),
        "{headline}"
    );
    assert!(!headline.contains("synthetic_sums"), "{headline}");
    report.comparisons.retain(|comparison| comparison.p_adjusted >= 0.05);
    let headline = report.headline();
    assert!(
        headline.starts_with("No difference was found") && headline.contains("points would have been"),
        "{headline}"
    );
    assert_eq!(Report::default().headline(), "No paired comparison was made.");
}

#[test]
fn an_empty_or_odd_report_is_still_a_page() {
    assert!(Report::default().to_html().unwrap().contains("</html>"));
    let mut report = sample();
    report.variants[0].curve = vec![(0.0, f64::NAN), (1.0, 2.0)];
    report.variants[1].curve.clear();
    report.functions[0].learned = vec![f64::INFINITY; report.functions[0].x.len()];
    report.functions[1] = LearnedFunction {
        label: "empty".into(),
        x: vec![],
        start: vec![],
        learned: vec![],
    };
    assert!(report.to_html().is_ok());
    assert!(add(&mut report, &[measured("t", "acc", None, vec![1.0])]).is_err());
    // Outcomes are finite where nothing is compared, too.
    let mut one = Report {
        variants: vec![variant("alone", 2.0)],
        ..Default::default()
    };
    for odd in [f64::NAN, f64::INFINITY] {
        assert!(add(&mut one, &[measured("t", "acc", None, vec![1.0, odd])]).is_err());
    }
    add(&mut one, &[measured("t", "acc", None, vec![1.0, 0.0])]).unwrap();
    add(&mut one, &[measured("t", "rating", None, vec![1.0, 0.5])]).unwrap();
}

/// Two variants and a metric whose values are nats: the second variant needs fewer on every document.
fn nats(scale: Scale, higher_is_better: bool) -> Report {
    let mut report = Report {
        variants: vec![variant("A", 2.0), variant("B", 2.0)],
        ..Default::default()
    };
    let values: Vec<f64> = (0..40).map(|i| 2.0 + f64::from(i % 7) / 10.0).collect();
    let fewer = values
        .iter()
        .zip([0.1, 0.3].iter().cycle())
        .map(|(value, less)| value - less);
    let mut models = [values.clone(), fewer.collect()].map(|values| measured("text", "nats", None, values));
    for model in &mut models {
        (model.measure.scale, model.measure.higher_is_better) = (scale, higher_is_better);
    }
    add(&mut report, &models).unwrap();
    report
}

#[test]
fn a_metric_that_is_better_when_lower_is_reported_as_such() {
    let (lower, higher) = (nats(Scale::Plain, false), nats(Scale::Plain, true));
    let comparison = &lower.comparisons[0];
    assert!((comparison.result.difference + 0.2).abs() < 1e-12 && comparison.is_finding());
    assert!(comparison.improvement() > 0.0 && higher.comparisons[0].improvement() < 0.0);
    assert_eq!(comparison.documents_won(), (40, 0));
    assert_eq!(higher.comparisons[0].documents_won(), (0, 40));
    let headline = lower.headline();
    assert!(
        headline.starts_with("B scores 0.2000 below A on text (nats, lower is better)"),
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
    let report = nats(Scale::Log, false);
    let headline = report.headline();
    // exp(-0.2) is 0.8187.
    assert!(
        headline.starts_with("B scores 18.1 % lower than A on text (nats, lower is better)."),
        "{headline}"
    );
    assert!(
        report
            .to_html()
            .unwrap()
            .contains("<span class=\"good\">-18.1 %</span>")
    );
    let mut worse = report;
    worse.comparisons[0].result.difference *= -1.0;
    let headline = worse.headline();
    assert!(headline.starts_with("B scores 22.1 % higher than A"), "{headline}");
}

#[test]
fn a_headline_without_percentages_names_no_points() {
    let mut report = nats(Scale::Log, false);
    report.comparisons[0].p_adjusted = 1.0;
    assert_eq!(
        report.headline(),
        "No difference was found in the one comparison. No finding is not equality."
    );
    // Another comparison has a finding.
    let mut found = report.comparisons[0].clone();
    found.p_adjusted = 0.001;
    report.comparisons.push(found);
    let headline = report.headline();
    assert!(
        headline.contains("The other comparison found none. This holds") && !headline.contains("  "),
        "{headline}"
    );
}

#[test]
fn the_interval_of_a_score_is_given_where_the_score_is_a_mean() {
    let report = nats(Scale::Plain, false);
    let interval = report.tasks[0].scores[0].interval.unwrap();
    assert!(interval.low < report.tasks[0].scores[0].value && report.tasks[0].scores[0].value < interval.high);
    let mut one = Report {
        variants: vec![variant("alone", 2.0)],
        ..Default::default()
    };
    // A perplexity, and a correlation of right and wrong.
    for (values, score) in [(vec![2.0, 2.5], 2.25f64.exp()), (vec![1.0, 0.0], -0.2)] {
        let mut model = measured("text", "other", None, values);
        model.score = score;
        add(&mut one, &[model]).unwrap();
        assert_eq!(one.tasks.last().unwrap().scores[0].interval, None);
    }
    let mut empty = measured("text", "acc", None, vec![1.0]);
    empty.values.clear();
    empty.questions.clear();
    assert!(add(&mut one, &[empty]).is_err());
}

#[test]
fn outcomes_of_another_metric_are_refused() {
    let mut report = Report {
        variants: vec![variant("A", 2.0), variant("B", 2.0)],
        ..Default::default()
    };
    let models = ["acc", "acc_norm"].map(|metric| measured("t", metric, None, vec![1.0, 0.0]));
    let error = add(&mut report, &models).unwrap_err();
    assert!(matches!(error, BenchError::DifferentMeasures { .. }), "{error}");
}
