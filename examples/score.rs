//! cargo run --release --example score -- --model M --input in.jsonl --output out.jsonl
//! Short: `cargo run --release --example score -- --model compare-output/swiglu/seed-1/model --input compare-output/synthetic/seed-1/train.jsonl --output compare-output/scores.jsonl --greedy 2 --limit 4`
//!
//! Computes log-probabilities of texts or conversations. Each input line is `{"text": ..}` or
//! `{"messages": [..], "add_generation_prompt": true}`. Each output line is `{"ids": [..], "logprobs": [..]}`, where
//! `logprobs[i]` is the natural log-probability of `ids[i + 1]` given `ids[..=i]`.

use anyhow::{Context, Result, bail};
use clap::Parser;
use examples::device::DeviceKind;
use examples::flags::at_least_one;
use examples::hub::HubFlags;
use examples::{on_device, open, progress};
use kallm::files::{self, WholeFile};
use kallm::hub::ModelSource;
use serde::{Deserialize, Serialize};
use smollm2_infer::{Engine, GenerationConfig, ScoreRequest};
use smollm2_model::DecoderBackend;
use smoltalk_data::{ChatTokenizer, Message};
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Parser)]
#[command(about = "Log-probabilities of texts or conversations")]
struct Arguments {
    /// Folder, .gguf file or hub id.
    #[arg(long)]
    model: ModelSource,
    /// JSONL file to read.
    #[arg(long)]
    input: PathBuf,
    /// JSONL file to write. An existing file is replaced only when every line has been scored. Until then, the results
    /// are in a file next to it whose name contains `.partial`.
    #[arg(long)]
    output: PathBuf,
    /// Also generate up to this many tokens after each line, greedily.
    #[arg(long)]
    greedy: Option<usize>,
    /// Maximum number of lines to read.
    #[arg(long, value_parser = at_least_one)]
    limit: Option<usize>,
    /// Device to compute on.
    #[arg(long, default_value_t)]
    device: DeviceKind,
    #[command(flatten)]
    hub: HubFlags,
}

/// One line of the input: a text or a conversation.
#[derive(Deserialize)]
struct Line {
    text: Option<String>,
    messages: Option<Vec<Message>>,
    add_generation_prompt: Option<bool>,
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
    check_different(&arguments.input, &arguments.output)?;
    files::prepare_file(&arguments.output)?;
    let engine = open::model::<B>(&arguments.model, &arguments.hub, device)?;
    let limit = arguments.limit.unwrap_or(usize::MAX);
    let lines = read(&arguments.input, limit, longest(arguments, &engine), engine.tokenizer())?;
    let mut output = WholeFile::create(&arguments.output)?;
    let bar = progress::bar("score (lines)", lines.len());
    for (place, ids) in lines {
        let scored = score(&engine, ids, arguments.greedy).with_context(|| place)?;
        serde_json::to_writer(&mut output, &scored)?;
        output.write_all(b"\n")?;
        // An interruption loses the line in progress alone.
        output.flush()?;
        bar.inc(1);
    }
    output.finish()?;
    progress::finish(&bar);
    Ok(())
}

/// Returns an error if the output would overwrite the input.
fn check_different(input: &Path, output: &Path) -> Result<()> {
    if let (Ok(input), Ok(target)) = (input.canonicalize(), output.canonicalize())
        && input == target
    {
        bail!(
            "{}: expected another file than --input, found the same; choose another --output",
            output.display()
        );
    }
    Ok(())
}

/// The maximum number of tokens of a line: the model's limit, or one less if the line is continued.
fn longest<B: DecoderBackend>(arguments: &Arguments, engine: &Engine<B>) -> usize {
    engine.max_length() - usize::from(arguments.greedy.is_some())
}

/// The place and the tokens of every line. All errors in the input are found before the first line is scored.
fn read(path: &Path, limit: usize, longest: usize, tokenizer: &ChatTokenizer) -> Result<Vec<(String, Vec<u32>)>> {
    let input = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    // Only the byte \n ends a line: U+2028 and its like may stand inside a JSON string.
    let lines = input.split(|byte| *byte == b'\n').enumerate();
    let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty()).take(limit);
    let read = lines.map(|(index, line)| {
        let place = format!("{}:{}", path.display(), index + 1);
        let ids = encode(tokenizer, line).with_context(|| place.clone())?;
        if ids.is_empty() || ids.len() > longest {
            bail!("{place}: expected 1 to {longest} tokens, found {}", ids.len());
        }
        Ok((place, ids))
    });
    let read: Vec<_> = read.collect::<Result<_>>()?;
    if read.is_empty() {
        bail!(
            "{}: expected lines of {{\"text\": ..}} or {{\"messages\": [..]}}, found none",
            path.display()
        );
    }
    Ok(read)
}

fn encode(tokenizer: &ChatTokenizer, line: &[u8]) -> Result<Vec<u32>> {
    const EXPECTED: &str = "expected {\"text\": ..} or {\"messages\": [..]}";
    let line: Line = match serde_json::from_slice(line) {
        Ok(line) => line,
        Err(error) => bail!("{EXPECTED} with `role` and `content` in each message; found another line: {error}"),
    };
    match (line.text, line.messages) {
        (Some(text), None) => Ok(tokenizer.encode(&text)?),
        (None, Some(messages)) => {
            let open_turn = line.add_generation_prompt.unwrap_or(true);
            Ok(tokenizer.encode_chat(&messages, open_turn)?)
        }
        (Some(_), Some(_)) => bail!("{EXPECTED}, found both fields; keep one of them"),
        (None, None) => bail!("{EXPECTED}, found neither field"),
    }
}

fn score<B: DecoderBackend>(engine: &Engine<B>, ids: Vec<u32>, greedy: Option<usize>) -> Result<Scored> {
    let logprobs = next_token_logprobs(engine, &ids)?;
    let greedy = greedy.map(|tokens| continued(engine, &ids, tokens)).transpose()?;
    Ok(Scored { ids, logprobs, greedy })
}

/// The log-probability of every token but the first.
fn next_token_logprobs<B: DecoderBackend>(engine: &Engine<B>, ids: &[u32]) -> Result<Vec<f32>> {
    if ids.len() == 1 {
        return Ok(Vec::new());
    }
    let request = ScoreRequest {
        context: ids[..1].to_vec(),
        continuations: vec![ids[1..].to_vec()],
    };
    let scores = engine.score(&[request], 1)?;
    let tokens = scores.into_iter().flatten().flat_map(|score| score.tokens);
    Ok(tokens.map(|token| token.logprob).collect())
}

fn continued<B: DecoderBackend>(engine: &Engine<B>, ids: &[u32], tokens: usize) -> Result<Vec<u32>> {
    let settings = GenerationConfig {
        max_new_tokens: tokens,
        stop_ids: engine.stop_ids(),
        ..GenerationConfig::default()
    };
    engine.generate(ids, &settings)?.map(|event| Ok(event?.token)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("in.jsonl");
        std::fs::write(&file, "{}").unwrap();
        assert!(check_different(&file, &folder.path().join("./in.jsonl")).is_err());
        assert!(check_different(&file, &folder.path().join("absent")).is_ok());
    }

    #[test]
    fn blank_lines_do_not_count_and_bad_ones_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.jsonl");
        let tokenizer = ChatTokenizer::byte_level().unwrap();
        let read = |bytes: &[u8], limit, longest| {
            std::fs::write(&path, bytes).unwrap();
            read(&path, limit, longest, &tokenizer)
        };
        let lines = b"\n{\"text\": \"ab\"}\n\n \n{\"text\": \"abc\"}\n{\"text\": \"a\"}\n";
        let lengths = |read: Vec<(String, Vec<u32>)>| read.iter().map(|(_, ids)| ids.len()).collect::<Vec<_>>();
        assert_eq!(lengths(read(lines, 2, 3).unwrap()), [2, 3]);
        let error = read(lines, 2, 2).unwrap_err().to_string();
        assert!(error.contains("in.jsonl:5: expected 1 to 2 tokens, found 3"), "{error}");
        // Latin-1.
        let error = format!("{:#}", read(b"{\"text\": \"\xe9\"}\n", 2, 3).unwrap_err());
        assert!(
            error.contains("in.jsonl:1") && error.contains("expected {\"text\""),
            "{error}"
        );
    }
}
