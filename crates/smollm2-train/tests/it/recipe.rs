//! Recipes and schedules: what needs no model.

use proptest::prelude::*;
use smollm2_model::{FeedForwardKind, ParameterKind};
use smollm2_train::{
    AdamWConfig, MemoryEstimate, RunOptions, RunProgress, Schedule, StepLine, StepRecord, TrainConfig, TrainError,
    device_peak,
};
use smoltalk_data::{
    ChatTokenizer, DataError, DataLoader, LoaderConfig, Mask, Overlong, Packing, Source, SystemPrompt,
};

use crate::{
    metrics::record,
    small_run::{draw, recipe, start},
};

#[test]
fn presets_survive_toml() {
    for name in ["sft-smol", "sft-1.7b", "quick"] {
        let preset = TrainConfig::preset(name).unwrap();
        assert_eq!(
            TrainConfig::from_toml(&preset.to_toml().unwrap()).unwrap(),
            preset,
            "{name}"
        );
    }
    assert!(TrainConfig::preset("none").is_none());
    let published = TrainConfig::sft_smol();
    let rows = published.micro_batch_rows * published.gradient_accumulation;
    assert_eq!(
        (rows, published.data.sequence_length, published.learning_rate),
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
        ("buffer = 0", "buffer"),
        ("buffer_rows = 0", "buffer_rows"),
        ("max_bad_records = -1", "max_bad_records"),
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
        (
            "[schedule]\nkind = \"wsd\"\ndecay_fraction = 0.95",
            "schedule.decay_fraction",
        ),
        (
            "warmup_ratio = 0.6\n[schedule]\nkind = \"wsd\"\ndecay_fraction = 0.5",
            "schedule.decay_fraction",
        ),
        ("steps = 4000000000000000000", "steps"),
        ("sequence_length = 1000000000000000", "sequence_length"),
        ("gradient_accumulation = 4000000000000000000", "gradient_accumulation"),
        ("micro_batch_rows = 9223372036854775807", "micro_batch_rows"),
        ("loss_chunk = 9223372036854775807", "loss_chunk"),
        ("eval_rows = 9223372036854775807", "eval_rows"),
        ("learning_rate = inf", "learning_rate"),
        ("warmup_ratio = nan", "warmup_ratio"),
        ("[optimizer]\nepsilon = 1e-300", "optimizer.epsilon"),
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

/// 3 warm-up steps, rounded up from 2.5, and 8 of decay, rounded up from 7.5, are more than 10.
#[test]
fn rounding_does_not_make_the_rate_jump() {
    let recipe = TrainConfig {
        steps: 10,
        learning_rate: 1.0,
        warmup_ratio: 0.25,
        schedule: Schedule::Wsd {
            decay_fraction: 0.75,
            minimum: 0.0,
        },
        ..TrainConfig::default()
    };
    recipe.validate().unwrap();
    assert_eq!(recipe.warmup_steps(), 3);
    assert_eq!(recipe.rate(3), 1.0, "the decay begins after the warm-up, at the peak");
    let rates: Vec<f64> = (3..10).map(|step| recipe.rate(step)).collect();
    assert!(rates.windows(2).all(|pair| pair[1] < pair[0]), "{rates:?}");
}

#[test]
fn only_projections_decay() {
    let config = AdamWConfig {
        weight_decay: 0.1,
        ..AdamWConfig::default()
    };
    let switches = [
        (ParameterKind::Norm, "norms"),
        (ParameterKind::Embedding, "embedding"),
        (ParameterKind::Numerator, "rational"),
        (ParameterKind::Denominator, "rational"),
    ];
    assert_eq!(config.decay(ParameterKind::Projection), 0.1);
    let all = AdamWConfig {
        decay_embedding: true,
        decay_norms: true,
        decay_rational: true,
        ..config.clone()
    };
    for (kind, switch) in switches {
        assert_eq!(config.decay(kind), 0.0, "{kind:?}");
        assert_eq!(all.decay(kind), 0.1, "{kind:?}");
        let one = AdamWConfig {
            decay_embedding: switch == "embedding",
            decay_norms: switch == "norms",
            decay_rational: switch == "rational",
            ..config.clone()
        };
        assert_eq!(one.decay(kind), 0.1, "{kind:?} with its own switch");
        let others = AdamWConfig {
            decay_embedding: switch != "embedding",
            decay_norms: switch != "norms",
            decay_rational: switch != "rational",
            ..config.clone()
        };
        assert_eq!(others.decay(kind), 0.0, "{kind:?} with the other switches");
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

#[test]
fn a_line_tells_all() {
    let progress = RunProgress {
        steps: 10,
        remaining: std::time::Duration::from_secs(3723),
    };
    let line = StepLine(&record(2), &progress).to_string();
    let expected = "step 2/10 | loss 1.5000 | lr 1.00e-3 | grad norm 1.500 (rational 1.200, other 0.900) | 2048 tokens/s | \
                    MFU n/a | ETA 1:02:03";
    assert_eq!(line, expected);
    let without = StepRecord {
        rational_norm: Some(0.0),
        ..record(2)
    };
    let line = StepLine(&without, &progress).to_string();
    assert!(line.contains("| grad norm 1.500 | 2048"), "{line}");
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

/// A seed that TOML cannot hold would leave an empty recipe in the checkpoints, which reads as all defaults.
#[test]
fn what_toml_cannot_hold_is_refused() {
    let recipe = TrainConfig {
        data: LoaderConfig {
            seed: u64::MAX,
            ..LoaderConfig::default()
        },
        ..TrainConfig::quick()
    };
    let error = recipe.to_toml().unwrap_err();
    assert!(matches!(error, TrainError::Config { field: "seed", .. }), "{error}");
}

#[test]
fn differences_are_named_with_both_values() {
    let run = TrainConfig::sft_smol();
    let given = TrainConfig {
        schedule: Schedule::Constant {},
        data: LoaderConfig {
            mask: Mask::AssistantOnly,
            ..run.data.clone()
        },
        ..run.clone()
    };
    let found: Vec<String> = run
        .differences(&given)
        .unwrap()
        .iter()
        .map(|difference| format!("{} {} {}", difference.field, difference.here, difference.there))
        .collect();
    let expected = [
        "mask \"all\" \"assistant_only\"",
        "schedule.kind \"cosine\" \"constant\"",
        "schedule.minimum 0.0 absent",
    ];
    assert_eq!(found, expected);
    assert!(run.differences(&run).unwrap().is_empty());
}

/// Packed documents are kept apart by a mask of every pair of tokens of a row.
#[test]
fn the_estimate_counts_the_mask_of_documents() {
    let model = smollm2_model::SmolLm2Config::smollm2_135m();
    let estimate = |packing| {
        let recipe = TrainConfig {
            micro_batch_rows: 4,
            data: LoaderConfig {
                packing,
                sequence_length: 8192,
                ..LoaderConfig::default()
            },
            ..TrainConfig::default()
        };
        MemoryEstimate::new(&model, &recipe)
    };
    assert_eq!(estimate(Packing::Concat).documents, 0);
    let packed = estimate(Packing::BestFit);
    assert_eq!(packed.documents, 4 * 4 * 8192 * 8192);
    assert_eq!(packed.total() - estimate(Packing::Concat).total(), packed.documents);
}

/// An assistant-only recipe with a loader of all defaults would train on every token.
#[test]
fn a_loader_that_contradicts_the_recipe_is_refused() {
    let room = tempfile::tempdir().unwrap();
    draw(&room.path().join("model"), FeedForwardKind::SwiGlu);
    let run = |data: LoaderConfig| {
        let rows = DataLoader::new(Source::from_conversations(Vec::new()), tokenizer(), data);
        let output = RunOptions::new(room.path().join("run"));
        let mut trainer = start(&room.path().join("model"));
        trainer.run(&mut rows.unwrap(), &[], &output, &mut ()).unwrap_err()
    };
    let data = recipe(12).data;
    let error = run(data.clone());
    assert!(matches!(error, TrainError::Data(DataError::NoRows { .. })), "{error}");
    let other = |change: fn(&mut LoaderConfig)| {
        let mut config = data.clone();
        change(&mut config);
        run(config)
    };
    for (error, name) in [
        (other(|data| data.mask = Mask::AssistantOnly), "mask"),
        (other(|data| data.packing = Packing::BestFit), "packing"),
        (other(|data| data.system_prompt = SystemPrompt::Empty), "system_prompt"),
        (other(|data| data.overlong = Overlong::Drop), "overlong"),
        (other(|data| data.shuffle = false), "shuffle"),
        (other(|data| data.buffer = 7), "buffer"),
        (other(|data| data.buffer_rows = 7), "buffer_rows"),
        (other(|data| data.max_bad_records = 7), "max_bad_records"),
        (other(|data| data.seed = 7), "seed"),
        (other(|data| data.sequence_length = 64), "sequence_length"),
    ] {
        let TrainError::OtherRows { field, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(field, name);
    }
}

/// Fields of the loader stand next to the others, and are refused as they are: with their line.
#[test]
fn a_refused_line_is_shown() {
    for (text, shown) in [
        (
            "steps = 2\nsede = 4\n",
            ["2 | sede = 4", "unknown field `sede`", "`seed`"],
        ),
        ("steps = 2\n\nseed = \"x\"", ["3 | seed = \"x\"", "invalid type", "u64"]),
        (
            "steps = 2\nmask = \"some\"",
            ["2 | mask = \"some\"", "unknown variant `some`", "assistant_only"],
        ),
        (
            "seed = 2\nsteps = \"x\"",
            ["2 | steps = \"x\"", "invalid type", "usize"],
        ),
        (
            "seed = 2\n[optimizer]\nbeta3 = 1.0",
            ["3 | beta3 = 1.0", "unknown field `beta3`", "`beta1`"],
        ),
        // A name of the loader's in old positions alone.
        (
            "steps = 2\nsystem = \"none\"",
            ["2 | system = ", "unknown field `system`", "`system_prompt`"],
        ),
        ("steps = 2\nseed =\n", ["2 | seed =", "", ""]),
    ] {
        let error = TrainConfig::from_toml(text).unwrap_err().to_string();
        for part in shown {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}

fn tokenizer() -> ChatTokenizer {
    ChatTokenizer::byte_level().unwrap()
}

const NUMBERS: [&str; 16] = [
    "0",
    "1",
    "2",
    "7",
    "512",
    "1048576",
    "1048577",
    "2147483648",
    "1000000000000000",
    "4000000000000000000",
    "9223372036854775807",
    "-1",
    "0.5",
    "1e300",
    "nan",
    "inf",
];

proptest! {
    /// Whatever numbers a recipe holds, it is refused or can be planned; nothing panics.
    #[test]
    fn any_number_is_refused_or_planned(
        fields in proptest::collection::vec((0usize..FIELDS.len(), 0usize..NUMBERS.len()), 0..6),
        table in 0usize..3,
        inner in proptest::collection::vec((0usize..INNER.len(), 0usize..NUMBERS.len()), 0..3),
    ) {
        let mut text = String::new();
        let mut seen = std::collections::BTreeSet::new();
        for (field, number) in fields {
            if seen.insert(field) {
                text.push_str(&format!("{} = {}\n", FIELDS[field], NUMBERS[number]));
            }
        }
        text.push_str(["", "[schedule]\nkind = \"wsd\"\n", "[optimizer]\n"][table]);
        for (field, number) in inner {
            let (owner, name) = INNER[field];
            if owner == table && seen.insert(FIELDS.len() + field) {
                text.push_str(&format!("{name} = {}\n", NUMBERS[number]));
            }
        }
        if let Ok(recipe) = TrainConfig::from_toml(&text) {
            prop_assert_eq!(&TrainConfig::from_toml(&recipe.to_toml().unwrap()).unwrap(), &recipe);
            prop_assert!(recipe.warmup_steps() <= recipe.steps);
            for step in [0, 1, recipe.warmup_steps(), recipe.steps / 2, recipe.steps - 1] {
                let rate = recipe.rate(step);
                prop_assert!((0.0..=recipe.learning_rate).contains(&rate), "{rate} at {step} of {text}");
            }
            let estimate = MemoryEstimate::new(&smollm2_model::SmolLm2Config::smollm2_1_7b(), &recipe);
            prop_assert!(estimate.total() >= estimate.weights && !estimate.to_string().is_empty());
            recipe.data.validate().unwrap();
        }
    }
}

const FIELDS: [&str; 15] = [
    "seed",
    "buffer",
    "buffer_rows",
    "max_bad_records",
    "steps",
    "learning_rate",
    "warmup_ratio",
    "max_grad_norm",
    "sequence_length",
    "micro_batch_rows",
    "gradient_accumulation",
    "loss_chunk",
    "eval_rows",
    "checkpoint_every",
    "keep_checkpoints",
];

/// Fields of a table, each with the number of its table.
const INNER: [(usize, &str); 8] = [
    (1, "minimum"),
    (1, "decay_fraction"),
    (2, "beta1"),
    (2, "beta2"),
    (2, "epsilon"),
    (2, "weight_decay"),
    (2, "rational_input_size"),
    (2, "decay_norms"),
];
