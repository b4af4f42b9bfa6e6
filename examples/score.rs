//! cargo run --release --example score -- --model M --input in.jsonl --output out.jsonl
//! Short: `cargo run --release --example score -- --model compare-output/swiglu/model --input compare-output/synthetic/train.jsonl --output compare-output/scores.jsonl --greedy 2 --limit 4`
//!
//! Log-probabilities of texts or conversations. Each input line is `{"text": ..}` or
//! `{"messages": [..], "add_generation_prompt": true}`; each output line `{"ids": [..], "logprobs": [..]}`, where
//! `logprobs[i]` is the natural log-probability of `ids[i + 1]` given `ids[..=i]`.

use anyhow::{Context, Result, bail};
use burn::tensor::{Int, Tensor, TensorData, activation::log_softmax};
use clap::Parser;
use examples::device::DeviceKind;
use examples::hub::HubFlags;
use examples::{on_device, open};
use serde::{Deserialize, Serialize};
use smollm2_model::DecoderBackend;
use smollm2_model::generate::{GenerationConfig, generate};
use smollm2_model::weights::ModelSource;
use smollm2_model::{SequenceLayout, SmolLm2, SmolLm2Config};
use smoltalk_data::{ChatTokenizer, Message};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;

#[derive(Parser)]
#[command(about = "Log-probabilities of texts or conversations")]
struct Arguments {
    /// Folder, .gguf file or hub id.
    #[arg(long)]
    model: ModelSource,
    /// JSONL to read.
    #[arg(long)]
    input: PathBuf,
    /// JSONL to write.
    #[arg(long)]
    output: PathBuf,
    /// Also continue each line greedily by up to this many tokens.
    #[arg(long)]
    greedy: Option<usize>,
    /// Lines at most.
    #[arg(long)]
    limit: Option<usize>,
    /// Where to compute.
    #[arg(long, default_value_t)]
    device: DeviceKind,
    #[command(flatten)]
    hub: HubFlags,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Text {
        text: String,
    },
    Chat {
        messages: Vec<Message>,
        #[serde(default = "yes")]
        add_generation_prompt: bool,
    },
}

fn yes() -> bool {
    true
}

#[derive(Serialize)]
struct Scored {
    ids: Vec<u32>,
    logprobs: Vec<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    greedy: Option<Vec<u32>>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    on_device!(arguments.device, |Backend, device| run::<Backend>(&arguments, &device))
}

fn run<B: DecoderBackend>(arguments: &Arguments, device: &B::Device) -> Result<()> {
    let opened = open::model::<B>(&arguments.model, &arguments.hub, device)?;
    let (model, config, tokenizer) = (opened.loaded.model, opened.loaded.config, opened.tokenizer);
    let input = std::fs::File::open(&arguments.input).with_context(|| arguments.input.display().to_string())?;
    let output = std::fs::File::create(&arguments.output).with_context(|| arguments.output.display().to_string())?;
    let mut output = BufWriter::new(output);
    let lines = BufReader::new(input)
        .split(b'\n')
        .take(arguments.limit.unwrap_or(usize::MAX));
    for (number, line) in lines.enumerate() {
        let line = line?;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let place = || format!("{}:{}", arguments.input.display(), number + 1);
        let line: Line = serde_json::from_slice(&line)
            .with_context(|| format!("{}: expected {{\"text\": ..}} or {{\"messages\": [..]}}", place()))?;
        let ids = encode(&tokenizer, line).with_context(place)?;
        if ids.is_empty() || ids.len() > config.max_position_embeddings {
            bail!(
                "{}: expected 1 to {} tokens, found {}",
                place(),
                config.max_position_embeddings,
                ids.len()
            );
        }
        let logprobs = next_token_logprobs(&model, &ids, device);
        let greedy = arguments
            .greedy
            .map(|tokens| continued(&model, &config, &tokenizer, &ids, tokens))
            .transpose()?;
        serde_json::to_writer(&mut output, &Scored { ids, logprobs, greedy })?;
        output.write_all(b"\n")?;
    }
    output.flush()?;
    Ok(())
}

fn encode(tokenizer: &ChatTokenizer, line: Line) -> Result<Vec<u32>> {
    Ok(match line {
        Line::Text { text } => tokenizer.encode(&text),
        Line::Chat {
            messages,
            add_generation_prompt,
        } => tokenizer.encode(&tokenizer.apply_chat_template(&messages, add_generation_prompt)?),
    })
}

/// T tokens, V vocabulary.
fn next_token_logprobs<B: DecoderBackend>(model: &SmolLm2<B>, ids: &[u32], device: &B::Device) -> Vec<f32> {
    let tokens = ids.len();
    if tokens < 2 {
        return Vec::new();
    }
    let data: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
    let ids = Tensor::<B, 2, Int>::from_data(TensorData::new(data, [1, tokens]), device); // [1, T]
    let hidden = model
        .hidden(ids.clone(), &SequenceLayout::default())
        .narrow(1, 0, tokens - 1); // [1, T - 1, D]
    let logits = model.logits(hidden).squeeze_dim::<2>(0); // [T - 1, V]
    let targets = ids.narrow(1, 1, tokens - 1).reshape([tokens - 1, 1]); // [T - 1, 1]
    log_softmax(logits, 1)
        .gather(1, targets)
        .into_data()
        .iter::<f32>()
        .collect()
}

fn continued<B: DecoderBackend>(
    model: &SmolLm2<B>,
    config: &SmolLm2Config,
    tokenizer: &ChatTokenizer,
    ids: &[u32],
    tokens: usize,
) -> Result<Vec<u32>> {
    let settings = GenerationConfig {
        max_new_tokens: tokens,
        stop_ids: tokenizer.stop_ids(),
        ..GenerationConfig::default()
    };
    Ok(generate(model, config, ids, &settings)?.collect::<Result<_, _>>()?)
}
