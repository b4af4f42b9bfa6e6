//! cargo run --release --example chat -- --model M
//! Short: `cargo run --release --example chat -- --model compare-output/swiglu/model --say Hi --max-new-tokens 4`
//!
//! Talks with a model in the terminal; an empty line ends.

use anyhow::Result;
use clap::Parser;
use examples::device::DeviceKind;
use examples::hub::HubFlags;
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
    #[arg(long, default_value_t = 0.2)]
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
    let opened = open::model::<B>(&arguments.model, &arguments.hub, device)?;
    let tokenizer = &opened.tokenizer;
    let Arguments { temperature, top_p, .. } = *arguments;
    let settings = GenerationConfig {
        max_new_tokens: arguments.max_new_tokens,
        sampling: match temperature {
            0.0 => Sampling::Greedy,
            _ => Sampling::Sample {
                temperature,
                top_k: 0,
                top_p,
                min_p: 0.0,
            },
        },
        seed: arguments.seed,
        stop_ids: tokenizer.stop_ids(),
        ..GenerationConfig::default()
    };
    let turn = |role: &str, content: &str| Message {
        role: role.to_string(),
        content: content.to_string(),
    };
    let mut messages: Vec<Message> = arguments.system.iter().map(|text| turn("system", text)).collect();
    let mut lines = std::io::stdin().lock().lines();
    loop {
        let said = match &arguments.say {
            Some(text) => text.clone(),
            None => {
                print!("> ");
                std::io::stdout().flush()?;
                match lines.next().transpose()? {
                    Some(line) if !line.trim().is_empty() => line,
                    _ => return Ok(()),
                }
            }
        };
        messages.push(turn("user", &said));
        let prompt = tokenizer.encode(&tokenizer.apply_chat_template(&messages, true)?);
        let (mut answer, mut stream) = (String::new(), tokenizer.decode_stream());
        for id in generate(&opened.loaded.model, &opened.loaded.config, &prompt, &settings)? {
            let text = stream.push(id?);
            print!("{text}");
            std::io::stdout().flush()?;
            answer.push_str(&text);
        }
        let rest = stream.finish();
        println!("{rest}");
        answer.push_str(&rest);
        messages.push(turn("assistant", &answer));
        if arguments.say.is_some() {
            return Ok(());
        }
    }
}
