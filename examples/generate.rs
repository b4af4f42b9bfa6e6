//! cargo run --release --example generate -- --model M --prompt "The Eiffel Tower is in"
//! Short: `cargo run --release --example generate -- --model compare-output/swiglu/model --chat --prompt Hi --max-new-tokens 4`
//!
//! Continues a prompt, printing the text as it comes.

use anyhow::Result;
use clap::Parser;
use examples::device::DeviceKind;
use examples::flags::random_seed;
use examples::hub::HubFlags;
use examples::terminal::{print, print_line};
use examples::{on_device, open};
use smollm2_infer::{GenerationConfig, Sampling};
use smollm2_model::DecoderBackend;
use smollm2_model::weights::ModelSource;
use smoltalk_data::{ChatTokenizer, Message};

#[derive(Parser)]
#[command(about = "Continue a prompt")]
struct Arguments {
    /// Folder, .gguf file or hub id.
    #[arg(long)]
    model: ModelSource,
    /// The text to continue; an empty one begins with the tokenizer's begin-of-text token.
    #[arg(long)]
    prompt: String,
    /// Put the prompt into the chat template as the user's turn.
    #[arg(long)]
    chat: bool,
    /// Most tokens to add.
    #[arg(long, default_value_t = 128)]
    max_new_tokens: usize,
    /// 0 is greedy.
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    temperature: f64,
    /// Keep this many of the most probable tokens; 0 keeps all.
    #[arg(long, default_value_t = 0)]
    top_k: usize,
    /// Keep the most probable tokens up to this much probability.
    #[arg(long, default_value_t = 1.0)]
    top_p: f64,
    /// Keep tokens at least this times as probable as the most probable.
    #[arg(long, default_value_t = 0.0)]
    min_p: f64,
    /// Above 1 makes repetition less probable.
    #[arg(long, default_value_t = 1.0)]
    repetition_penalty: f64,
    /// Seed of the draws; without it a random one, which is printed.
    #[arg(long)]
    seed: Option<u64>,
    /// Where to compute.
    #[arg(long, default_value_t)]
    device: DeviceKind,
    #[command(flatten)]
    hub: HubFlags,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    on_device!(arguments.device, |Backend, device| run::<Backend>(&arguments, &device))
}

fn run<B: DecoderBackend>(arguments: &Arguments, device: &B::Device) -> Result<()> {
    let settings = settings(arguments);
    settings.validate()?;
    let engine = open::model::<B>(&arguments.model, &arguments.hub, device)?;
    let settings = GenerationConfig {
        stop_ids: engine.stop_ids(),
        ..settings
    };
    let prompt = prompt(arguments, engine.tokenizer())?;
    if !arguments.chat {
        print(&arguments.prompt)?;
    }
    for event in engine.generate(&prompt, &settings)? {
        if !print(event?.text)? {
            return Ok(());
        }
    }
    print_line("")?;
    Ok(())
}

fn settings(arguments: &Arguments) -> GenerationConfig {
    let chosen = GenerationConfig {
        max_new_tokens: arguments.max_new_tokens,
        repetition_penalty: arguments.repetition_penalty,
        ..GenerationConfig::default()
    };
    if arguments.temperature == 0.0 {
        return chosen;
    }
    GenerationConfig {
        sampling: Sampling::Sample {
            temperature: arguments.temperature,
            top_k: arguments.top_k,
            top_p: arguments.top_p,
            min_p: arguments.min_p,
        },
        seed: arguments.seed.unwrap_or_else(random_seed),
        ..chosen
    }
}

/// The prompt as the model reads it.
fn prompt(arguments: &Arguments, tokenizer: &ChatTokenizer) -> Result<Vec<u32>> {
    if arguments.chat {
        return Ok(tokenizer.encode_chat(&[Message::user(&arguments.prompt)], true)?);
    }
    let ids = tokenizer.encode(&arguments.prompt)?;
    Ok(if ids.is_empty() { vec![tokenizer.bos_id()] } else { ids })
}
