//! cargo run --release --example chat -- --model M
//! Short: `cargo run --release --example chat -- --model compare-output/swiglu/seed-1/model --say Hi --max-new-tokens 4`
//!
//! Chats with a model in the terminal. Each line of input is one message; empty lines are ignored. To quit, end the
//! input with Ctrl-D (on Windows, Ctrl-Z and Enter).
//!
//! When the conversation becomes too long for the model, the oldest exchanges are dropped and a note says so.

use anyhow::{Result, bail};
use clap::Parser;
use examples::device::DeviceKind;
use examples::flags::{SamplingDefaults, SamplingFlags};
use examples::hub::HubFlags;
use examples::terminal::{note, print, print_line};
use examples::{on_device, open};
use kallm::conversation::encode_latest;
use kallm::hub::ModelSource;
use smollm2_infer::{Decoder, Engine, GenerationConfig};
use smollm2_model::DecoderBackend;
use smoltalk_data::Message;
use std::io::BufRead;

#[derive(Parser)]
#[command(about = "Talk with a model")]
struct Arguments {
    /// Folder, .gguf file or hub id.
    #[arg(long)]
    model: ModelSource,
    /// System message. The default is the template's own.
    #[arg(long)]
    system: Option<String>,
    /// Send this message, print the answer, and exit.
    #[arg(long)]
    say: Option<String>,
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
        max_new_tokens: 512,
        temperature: 0.2,
        top_p: 0.9,
    })?;
    let engine = open::model::<B>(&arguments.model, &arguments.hub, device)?;
    let settings = GenerationConfig {
        stop_ids: engine.stop_ids(),
        ..settings
    };
    // A turn computes only what the turns before it have not.
    let mut decoder = Decoder::new(&engine).with_prefixes(1);
    let mut messages: Vec<Message> = arguments.system.iter().map(Message::system).collect();
    if let Some(text) = &arguments.say {
        messages.push(Message::user(text));
        return match latest(&engine, &mut messages, &settings)? {
            Some(prompt) => answer(&mut decoder, &prompt, &settings).map(drop),
            None => bail!("--say: expected a text that the model has room for, found a longer one; shorten it"),
        };
    }
    for stream in 0.. {
        let Some(said) = ask()? else { break };
        messages.push(Message::user(said));
        let Some(prompt) = latest(&engine, &mut messages, &settings)? else {
            note("(that is longer than the model has room for; shorten it)");
            messages.pop();
            continue;
        };
        // Every answer has random numbers of its own.
        let settings = GenerationConfig {
            stream,
            ..settings.clone()
        };
        match answer(&mut decoder, &prompt, &settings)? {
            Some(answer) => messages.push(Message::assistant(answer)),
            None => break,
        }
    }
    Ok(())
}

/// What the model reads of the conversation; a note says what it no longer has room for.
fn latest<B: DecoderBackend>(
    engine: &Engine<B>,
    messages: &mut Vec<Message>,
    settings: &GenerationConfig,
) -> Result<Option<Vec<u32>>> {
    // The rest is for the answer, but at least half is for the prompt.
    let positions = engine.max_length();
    let room = positions.saturating_sub(settings.max_new_tokens.min(positions / 2).max(1));
    let Some(latest) = encode_latest(engine.tokenizer(), messages, room)? else {
        return Ok(None);
    };
    if latest.forgotten > 0 {
        note(format_args!(
            "(the conversation no longer fits into {room} tokens: the {} oldest of its exchanges are forgotten)",
            latest.forgotten
        ));
    }
    Ok(Some(latest.ids))
}

/// What the user says next; `None` at the end of the input, or when nobody reads the output.
fn ask() -> Result<Option<String>> {
    while print("> ")? {
        let mut line = Vec::new();
        if std::io::stdin().lock().read_until(b'\n', &mut line)? == 0 {
            break;
        }
        match String::from_utf8(line) {
            Ok(line) if line.trim().is_empty() => {}
            Ok(line) => return Ok(Some(line.trim_end_matches(['\r', '\n']).to_string())),
            Err(error) => note(format_args!(
                "(expected a line in UTF-8, found other bytes, which read `{}`; set the terminal to UTF-8)",
                String::from_utf8_lossy(error.as_bytes()).trim_end()
            )),
        }
    }
    Ok(None)
}

/// Prints the answer as it comes; `None` when nobody reads it any more.
fn answer<B: DecoderBackend>(
    decoder: &mut Decoder<B>,
    prompt: &[u32],
    settings: &GenerationConfig,
) -> Result<Option<String>> {
    let mut answer = String::new();
    decoder.admit(prompt, settings)?;
    while !decoder.is_idle() {
        for event in decoder.step()? {
            if !print(&event.text)? {
                return Ok(None);
            }
            answer.push_str(&event.text);
        }
    }
    Ok(print_line("")?.then_some(answer))
}
