//! cargo run --release --example generate -- --model M --prompt "The Eiffel Tower is in"
//! Short: `cargo run --release --example generate -- --model compare-output/swiglu/seed-1/model --chat --prompt Hi --max-new-tokens 4`
//!
//! Continues a prompt and prints the text as it is generated.

use anyhow::Result;
use clap::Parser;
use examples::device::DeviceKind;
use examples::flags::{SamplingDefaults, SamplingFlags};
use examples::hub::HubFlags;
use examples::terminal::{print, print_line};
use examples::{on_device, open};
use kallm::hub::ModelSource;
use smollm2_infer::GenerationConfig;
use smollm2_model::DecoderBackend;
use smoltalk_data::{ChatTokenizer, Message};

#[derive(Parser)]
#[command(about = "Continue a prompt")]
struct Arguments {
    /// Folder, .gguf file or hub id.
    #[arg(long)]
    model: ModelSource,
    /// The text to continue. If it is empty, generation starts from the tokenizer's begin-of-text token.
    #[arg(long)]
    prompt: String,
    /// Use the prompt as the user's message in the chat template.
    #[arg(long)]
    chat: bool,
    #[command(flatten)]
    sampling: SamplingFlags,
    /// Device to compute on.
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
    let settings = arguments.sampling.settings(&SamplingDefaults {
        max_new_tokens: 128,
        temperature: 0.0,
        top_p: 1.0,
    })?;
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

/// The token ids of the prompt.
fn prompt(arguments: &Arguments, tokenizer: &ChatTokenizer) -> Result<Vec<u32>> {
    if arguments.chat {
        return Ok(tokenizer.encode_chat(&[Message::user(&arguments.prompt)], true)?);
    }
    let ids = tokenizer.encode(&arguments.prompt)?;
    Ok(if ids.is_empty() { vec![tokenizer.bos_id()] } else { ids })
}
