//! cargo run --release --example chat -- --model M
//! Short: `cargo run --release --example chat -- --model compare-output/swiglu/model --say Hi --max-new-tokens 4`
//!
//! Talks with a model in the terminal; an empty line ends.

use anyhow::Result;
use clap::Parser;
use examples::device::DeviceKind;
use examples::hub::HubFlags;
use examples::open::Opened;
use examples::{on_device, open};
use smollm2_model::DecoderBackend;
use smollm2_model::generate::{GenerationConfig, Sampling, generate};
use smollm2_model::weights::ModelSource;
use smoltalk_data::Message;
use std::io::{BufRead, Write};

#[derive(Parser)]
#[command(about = "Talk with a model")]
struct Arguments {
    /// Folder, .gguf file or hub id.
    #[arg(long)]
    model: ModelSource,
    /// A system turn; without it the template's own.
    #[arg(long)]
    system: Option<String>,
    /// Say this, print the answer, and end.
    #[arg(long)]
    say: Option<String>,
    /// Most tokens of an answer.
    #[arg(long, default_value_t = 512)]
    max_new_tokens: usize,
    /// 0 is greedy.
    #[arg(long, default_value_t = 0.2, allow_negative_numbers = true)]
    temperature: f64,
    /// Keep the most probable tokens up to this much probability.
    #[arg(long, default_value_t = 0.9)]
    top_p: f64,
    /// Seed of the draws.
    #[arg(long, default_value_t = 0)]
    seed: u64,
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
    let opened = open::model::<B>(&arguments.model, &arguments.hub, device)?;
    let settings = GenerationConfig {
        stop_ids: opened.tokenizer.stop_ids(),
        ..settings
    };
    let mut messages: Vec<Message> = arguments.system.iter().map(|text| turn("system", text)).collect();
    if let Some(text) = &arguments.say {
        messages.push(turn("user", text));
        return answer(&opened, &messages, &settings).map(|_| ());
    }
    while let Some(said) = ask()? {
        messages.push(turn("user", &said));
        let answer = answer(&opened, &messages, &settings)?;
        messages.push(turn("assistant", &answer));
    }
    Ok(())
}

fn settings(arguments: &Arguments) -> GenerationConfig {
    let sampling = match arguments.temperature {
        0.0 => Sampling::Greedy,
        temperature => Sampling::Sample {
            temperature,
            top_k: 0,
            top_p: arguments.top_p,
            min_p: 0.0,
        },
    };
    GenerationConfig {
        max_new_tokens: arguments.max_new_tokens,
        sampling,
        seed: arguments.seed,
        ..GenerationConfig::default()
    }
}

fn turn(role: &str, content: &str) -> Message {
    Message {
        role: role.to_string(),
        content: content.to_string(),
    }
}

/// What the user says; `None` at an empty line or the end.
fn ask() -> Result<Option<String>> {
    print!("> ");
    std::io::stdout().flush()?;
    let line = std::io::stdin().lock().lines().next().transpose()?;
    Ok(line.filter(|line| !line.trim().is_empty()))
}

/// Prints the answer as it comes.
fn answer<B: DecoderBackend>(opened: &Opened<B>, messages: &[Message], settings: &GenerationConfig) -> Result<String> {
    let (loaded, tokenizer) = (&opened.loaded, &opened.tokenizer);
    let prompt = tokenizer.encode_chat(messages, true)?;
    let (mut answer, mut stream) = (String::new(), tokenizer.decode_stream());
    for id in generate(&loaded.model, &loaded.config, &prompt, settings)? {
        let text = stream.push(id?)?;
        print!("{text}");
        std::io::stdout().flush()?;
        answer.push_str(&text);
    }
    let rest = stream.finish()?;
    println!("{rest}");
    answer.push_str(&rest);
    Ok(answer)
}
