//! Recipes, schedules, metrics: what needs no model.

use smollm2_train::{
    AdamWConfig, EvalRecord, MemoryEstimate, Metric, Metrics, Progress, Schedule, StepLine, StepRecord, TrainConfig,
    device_peak, plot_loss, read_metrics,
};

#[test]
fn presets_survive_toml() {
    for name in ["sft-smol", "sft-1.7b", "quick"] {
        let preset = TrainConfig::preset(name).unwrap();
        assert_eq!(TrainConfig::from_toml(&preset.to_toml()).unwrap(), preset, "{name}");
    }
    assert!(TrainConfig::preset("none").is_none());
    let published = TrainConfig::sft_smol();
    let rows = published.micro_batch_rows * published.gradient_accumulation;
    assert_eq!(
        (rows, published.sequence_length, published.learning_rate),
        (128, 8192, 1e-3)
    );
    assert_eq!(TrainConfig::sft_1_7b().learning_rate, 3e-4);
}

#[test]
fn refused_fields_are_named() {
    for (text, field) in [
        ("steps = 0", "steps"),
        ("loss_chunk = 0", "loss_chunk"),
        ("keep_checkpoints = 0", "keep_checkpoints"),
        ("sequence_length = 1", "sequence_length"),
        ("learning_rate = -1.0", "learning_rate"),
        ("learning_rate = nan", "learning_rate"),
        ("warmup_ratio = 1.5", "warmup_ratio"),
        ("max_grad_norm = inf", "max_grad_norm"),
        ("[optimizer]\nbeta1 = 1.0", "optimizer.beta1"),
        ("[optimizer]\nepsilon = 0.0", "optimizer.epsilon"),
        ("[optimizer]\nweight_decay = -0.1", "optimizer.weight_decay"),
        (
            "[optimizer]\nrational_input_size = 0.5",
            "optimizer.rational_input_size",
        ),
        ("[schedule]\nkind = \"cosine\"\nminimum = 1.5", "schedule.minimum"),
        ("[schedule]\nkind = \"wsd\"\nminimum = -0.5", "schedule.minimum"),
        (
            "[schedule]\nkind = \"wsd\"\ndecay_fraction = 2.0",
            "schedule.decay_fraction",
        ),
        ("epochs = 2", "epochs"),
        ("[optimizer]\nbeta3 = 1.0", "beta3"),
        ("[schedule]\nkind = \"linear\"", "linear"),
    ] {
        let error = TrainConfig::from_toml(text).unwrap_err().to_string();
        assert!(error.contains(field), "{text}: {error}");
    }
}

/// `get_cosine_schedule_with_warmup(warmup 3, total 12)`, `LambdaLR` factors: `s / 3`, then
/// `0.5 (1 + cos(pi (s - 3) / 9))`.
#[test]
fn cosine_is_hugging_faces() {
    let expected = [
        0.0,
        1.0 / 3.0,
        2.0 / 3.0,
        1.0,
        0.969846310392954,
        0.883022221559489,
        0.75,
        0.586824088833465,
    ];
    for (step, expected) in expected.into_iter().enumerate() {
        let found = Schedule::default().factor(step, 3, 12);
        assert!((found - expected).abs() < 1e-12, "step {step}: {found}");
    }
    assert!(Schedule::default().factor(12, 3, 12).abs() < 1e-12);
    // With a minimum the warm-up stays, and the half period ends there.
    let raised = Schedule::Cosine { minimum: 0.2 };
    for (step, expected) in [(1, 1.0 / 3.0), (3, 1.0), (6, 0.8), (12, 0.2)] {
        let found = raised.factor(step, 3, 12);
        assert!((found - expected).abs() < 1e-12, "step {step}: {found}");
    }
}

#[test]
fn wsd_is_flat_then_a_line() {
    let schedule = Schedule::Wsd {
        decay_fraction: 0.2,
        minimum: 0.1,
    };
    let factors: Vec<f64> = [0, 5, 10, 50, 80, 90, 100]
        .map(|step| schedule.factor(step, 10, 100))
        .to_vec();
    for (found, expected) in factors.into_iter().zip([0.0, 0.5, 1.0, 1.0, 1.0, 0.55, 0.1]) {
        assert!((found - expected).abs() < 1e-12);
    }
    assert_eq!(Schedule::Constant {}.factor(70, 10, 100), 1.0);
}

#[test]
fn only_projections_decay() {
    let config = AdamWConfig {
        weight_decay: 0.1,
        ..AdamWConfig::default()
    };
    for (name, decay) in [
        ("model.layers.0.self_attn.q_proj.weight", 0.1),
        ("model.layers.0.mlp.fc1.weight", 0.1),
        ("model.layers.0.input_layernorm.weight", 0.0),
        ("model.norm.weight", 0.0),
        ("model.embed_tokens.weight", 0.0),
        ("model.layers.0.mlp.gate_rational.numerator", 0.0),
        ("model.layers.1.mlp.act2.denominator", 0.0),
    ] {
        assert_eq!(config.decay(name), decay, "{name}");
    }
    let all = AdamWConfig {
        decay_embedding: true,
        decay_norms: true,
        decay_rational: true,
        ..config.clone()
    };
    for (name, switch) in [
        ("model.norm.weight", "norms"),
        ("model.layers.0.post_attention_layernorm.weight", "norms"),
        ("model.embed_tokens.weight", "embedding"),
        ("model.layers.0.mlp.gate_rational.numerator", "rational"),
    ] {
        assert_eq!(all.decay(name), 0.1, "{name}");
        let one = AdamWConfig {
            decay_embedding: switch == "embedding",
            decay_norms: switch == "norms",
            decay_rational: switch == "rational",
            ..config.clone()
        };
        assert_eq!(one.decay(name), 0.1, "{name} with its own switch");
        let others = AdamWConfig {
            decay_embedding: switch != "embedding",
            decay_norms: switch != "norms",
            decay_rational: switch != "rational",
            ..config.clone()
        };
        assert_eq!(others.decay(name), 0.0, "{name} with the other switches");
    }
}

/// Two sets of gradients exist while one is added to the other.
#[test]
fn accumulation_needs_a_second_set_of_gradients() {
    let model = smollm2_model::SmolLm2Config::smollm2_135m();
    let estimate = |gradient_accumulation| {
        let recipe = TrainConfig {
            gradient_accumulation,
            ..TrainConfig::default()
        };
        MemoryEstimate::new(&model, &recipe)
    };
    let parameters = 4 * model.num_parameters() as u64;
    let embedding = 4 * (model.vocab_size * model.hidden_size) as u64;
    let (one, four) = (estimate(1), estimate(4));
    assert_eq!((one.weights, one.optimizer), (parameters, 2 * parameters));
    assert_eq!(one.gradients, parameters + embedding);
    assert_eq!(four.gradients, 2 * parameters + embedding);
    assert_eq!(four.total() - one.total(), parameters);
}

fn record(step: usize) -> StepRecord {
    let loss = 3.0 / step as f64;
    StepRecord {
        step,
        loss,
        learning_rate: 1e-3,
        gradient_norm: 1.5,
        tokens: 1024,
        target_tokens: 900,
        seconds: 0.5,
        mfu: None,
    }
}

#[test]
fn metrics_are_cut_to_the_resumed_step() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("metrics.jsonl");
    let mut metrics = Metrics::open(&path, 0).unwrap();
    for step in 1..=5 {
        metrics.append(&Metric::Train(record(step))).unwrap();
    }
    metrics
        .append(&Metric::Eval(EvalRecord {
            step: 3,
            loss: 2.0,
            target_tokens: 7,
        }))
        .unwrap();
    drop(metrics);
    // A crash in the middle of a line.
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str("{\"kind\":\"tra");
    std::fs::write(&path, text).unwrap();
    let mut metrics = Metrics::open(&path, 3).unwrap();
    metrics.append(&Metric::Train(record(4))).unwrap();
    let steps: Vec<usize> = read_metrics(&path).unwrap().iter().map(Metric::step).collect();
    assert_eq!(steps, [1, 2, 3, 3, 4]);
    let figure = room.path().join("loss.svg");
    plot_loss(&read_metrics(&path).unwrap(), &figure).unwrap();
    let svg = std::fs::read_to_string(figure).unwrap();
    assert!(svg.contains("optimiser steps") && svg.contains("held out"));
    plot_loss(&[], &room.path().join("empty.svg")).unwrap();
    std::fs::write(&path, "no record\n").unwrap();
    assert!(read_metrics(&path).unwrap_err().to_string().contains("line 1"));
}

#[test]
fn a_line_tells_all() {
    let progress = Progress {
        steps: 10,
        remaining: std::time::Duration::from_secs(3723),
    };
    let line = StepLine(&record(2), &progress).to_string();
    let expected = "step 2/10 | loss 1.5000 | lr 1.00e-3 | grad norm 1.500 | 2048 tokens/s | MFU n/a | ETA 1:02:03";
    assert_eq!(line, expected);
    assert_eq!(device_peak("NVIDIA H100 80GB HBM3"), Some(989e12));
    assert_eq!(device_peak("NVIDIA L40S"), Some(362e12));
    for (name, peak) in [
        ("NVIDIA L4", Some(121e12)),
        ("NVIDIA L40", Some(181e12)),
        ("NVIDIA A10", Some(125e12)),
        ("NVIDIA A100-SXM4-80GB", Some(312e12)),
        ("NVIDIA H100 PCIe", Some(756e12)),
        ("NVIDIA GH200 480GB", Some(989e12)),
        ("NVIDIA GeForce RTX 4090", Some(165e12)),
        ("NVIDIA RTX A1000", None),
        ("some CPU", None),
    ] {
        assert_eq!(device_peak(name), peak, "{name}");
    }
}
