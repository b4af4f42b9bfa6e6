//! Conversion of SwiGLU layers: on a model in memory, and with the real weights against the figures in docs.

use std::{fs, path::Path, time::Instant};

use burn::{
    backend::{Autodiff, Flex},
    module::AutodiffModule,
    tensor::{Int, Tensor, TensorData},
};
use fixtures::{shared, tolerance};
use kan_rational::Degrees;
use smollm2_model::{
    FeedForward, FeedForwardConfig, FeedForwardKind, ModelError, SequenceLayout, SmolLm2, SmolLm2Config,
    convert::{Comparison, ConversionOptions, ConversionReport, Stage, compare, to_exact, to_gated_rational},
    weights::{ModelSource, load, named_tensors, save},
};
use tokenizers::Tokenizer;

type B = Flex;

fn tokens(tokenizer: &Tokenizer, text: &str, count: usize) -> Vec<u32> {
    let ids = tokenizer.encode(text, false).unwrap().get_ids().to_vec();
    assert!(ids.len() >= count, "only {} tokens", ids.len());
    ids[..count].to_vec()
}

fn rows(ids: &[u32], length: usize) -> Vec<Vec<u32>> {
    ids.chunks(length).map(<[u32]>::to_vec).collect()
}

/// The first `count` characters of a text file.
fn start_of(path: &Path, count: usize) -> String {
    fs::read_to_string(path).unwrap().chars().take(count).collect()
}

/// Conversations in the model's chat format, as many as `characters` hold.
fn conversations(path: &Path, characters: usize) -> String {
    let mut text = String::new();
    for line in fs::read_to_string(path)
        .unwrap()
        .split('\n')
        .filter(|line| !line.is_empty())
    {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        for message in value["messages"].as_array().unwrap() {
            let (role, content) = (message["role"].as_str().unwrap(), message["content"].as_str().unwrap());
            text.push_str(&format!("<|im_start|>{role}\n{content}<|im_end|>\n"));
        }
        if text.len() > characters {
            break;
        }
    }
    text
}

struct Real {
    model: SmolLm2<B>,
    config: SmolLm2Config,
    /// 2,048 tokens of WikiText-2 valid and 2,048 of everyday conversations.
    calibration: Vec<Vec<u32>>,
    /// 3,072 tokens of WikiText-2 test.
    held_out: Vec<Vec<u32>>,
    tokenizer: Tokenizer,
}

fn real() -> Option<Real> {
    let model = shared("models/SmolLM2-135M-Instruct.Q4_1.gguf")?;
    let tokenizer = Tokenizer::from_file(shared("models/tokenizer/tokenizer.json")?).unwrap();
    let (wiki, chat) = (
        shared("data/text/wikitext2/valid.txt")?,
        shared("data/sft/everyday/train.jsonl")?,
    );
    let mut calibration = rows(&tokens(&tokenizer, &start_of(&wiki, 14_000), 2048), 512);
    calibration.extend(rows(&tokens(&tokenizer, &conversations(&chat, 14_000), 2048), 512));
    let test = start_of(&shared("data/text/wikitext2/test.txt")?, 14_000);
    let held_out = rows(&tokens(&tokenizer, &test, 3072), 768);
    let loaded = load::<B>(&ModelSource::Gguf(model), &Default::default()).unwrap();
    Some(Real {
        model: loaded.model,
        config: loaded.config,
        calibration,
        held_out,
        tokenizer,
    })
}

fn convert_real(real: &Real, options: &ConversionOptions) -> (SmolLm2<B>, SmolLm2Config, ConversionReport) {
    let start = Instant::now();
    let mut fitting = None;
    let progress = |stage, _, _| {
        if stage == Stage::Fit {
            fitting.get_or_insert_with(Instant::now);
        }
    };
    let result = to_gated_rational(real.model.clone(), &real.config, &real.calibration, options, progress).unwrap();
    eprintln!(
        "degrees {}: {:.1} s, of which {:.1} s fit; worst group {:.1e}",
        options.degrees,
        start.elapsed().as_secs_f64(),
        fitting.map_or(0.0, |fitting: Instant| fitting.elapsed().as_secs_f64()),
        result.2.worst_relative_error()
    );
    result
}

fn show(name: &str, comparison: &Comparison) {
    eprintln!(
        "{name}: perplexity {:.4} -> {:.4} (x {:.5}), KL {:.2e}, top-1 {:.4}, {} tokens",
        comparison.perplexity_before,
        comparison.perplexity_after,
        comparison.perplexity_ratio(),
        comparison.mean_kl,
        comparison.top1_agreement,
        comparison.tokens
    );
}

#[test]
#[ignore = "exploration"]
fn explore() {
    let Some(real) = real() else { return };
    for degrees in [Degrees::new(5, 4), Degrees::new(7, 6)] {
        let options = ConversionOptions {
            degrees,
            ..Default::default()
        };
        let (model, config, report) = convert_real(&real, &options);
        let mut worst: Vec<_> = report.groups.iter().collect();
        worst.sort_by(|a, b| b.relative_error.total_cmp(&a.relative_error));
        for group in &worst[..5] {
            eprintln!("{group:?}");
        }
        show("wiki", &compare(&real.model, &model, &config, &real.held_out).unwrap());
        for (name, path) in [("stories", "data/text/tinystories/tiny_stories.txt")] {
            let text = start_of(&shared(path).unwrap(), 12_000);
            show(
                name,
                &compare(
                    &real.model,
                    &model,
                    &config,
                    &rows(&tokens(&real.tokenizer, &text, 1536), 768),
                )
                .unwrap(),
            );
        }
        let text = conversations(&shared("data/sft/oasst1/heldout.jsonl").unwrap(), 14_000);
        show(
            "oasst",
            &compare(
                &real.model,
                &model,
                &config,
                &rows(&tokens(&real.tokenizer, &text, 1536), 768),
            )
            .unwrap(),
        );
    }
}
