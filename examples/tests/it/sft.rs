//! `sft` as a program: which recipe it takes, how it ends, how it is resumed.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use burn::backend::Flex;
use burn::tensor::backend::Backend;
use smollm2_model::{SmolLm2Config, weights};
use smollm2_train::{MetricRecord, TrainConfig, checkpoint, read_metrics};
use smoltalk_data::ChatTokenizer;

use crate::example;

/// A folder with a small base model, conversations and a recipe that would take an hour.
struct Room(tempfile::TempDir);

impl Room {
    fn new(vocab_size: usize) -> Self {
        let room = Self(tempfile::tempdir().unwrap());
        let mut config = SmolLm2Config::smollm2_135m();
        (config.vocab_size, config.hidden_size, config.intermediate_size) = (vocab_size, 32, 48);
        (config.num_attention_heads, config.num_key_value_heads, config.head_dim) = (2, 1, 16);
        config.num_hidden_layers = 1;
        config.feed_forward.truncate(1);
        let device = Default::default();
        Flex::seed(&device, 1);
        let model = config.init::<Flex>(&device).unwrap();
        weights::save(&model, &room.path("model")).unwrap();
        ChatTokenizer::byte_level().unwrap().save(&room.path("model")).unwrap();
        let line = |number: usize| {
            format!(
                "{{\"messages\":[{{\"role\":\"user\",\"content\":\"{number}?\"}},{{\"role\":\"assistant\",\"content\":\"{}.\"}}]}}\n",
                3 * number
            )
        };
        fs::write(room.path("train.jsonl"), (0..60).map(line).collect::<String>()).unwrap();
        fs::write(room.path("recipe.toml"), RECIPE).unwrap();
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `sft --data D --output O` with further arguments.
    fn sft(&self, arguments: &[&str]) -> Command {
        let mut command = example("sft");
        command.current_dir(self.0.path());
        command
            .args(["--data", "train.jsonl", "--output", "out"])
            .args(arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The newest checkpoint's step.
    fn saved(&self) -> usize {
        checkpoint::latest(&self.path("out/checkpoints"))
            .unwrap()
            .checkpoint
            .step
    }

    /// Steps in `metrics.jsonl`.
    fn made(&self) -> usize {
        let metrics = read_metrics(&self.path("out/metrics.jsonl")).unwrap_or_default();
        metrics.iter().map(MetricRecord::step).max().unwrap_or(0)
    }
}

const RECIPE: &str = "steps = 1000000\nsequence_length = 64\nmicro_batch_rows = 1\ngradient_accumulation = 1\n\
                      checkpoint_every = 0\neval_every = 0\npacking = \"best_fit\"\nsystem_prompt = \"none\"\n";

/// Standard output and error of a program that succeeded, or failed.
fn said(output: &Output, success: bool) -> String {
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert_eq!(output.status.success(), success, "{}", text.concat());
    text.concat()
}

fn refused(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = said(&output, false);
    assert!(!text.contains("panicked"), "{text}");
    text
}

#[test]
fn a_recipe_must_be_named() {
    let room = Room::new(273);
    let text = refused(&mut room.sft(&["--model", "model"]));
    assert!(text.contains("--config") && text.contains("--preset"), "{text}");
    assert!(!room.path("out").exists());
    let output = room
        .sft(&["--model", "model", "--preset", "quick", "--steps", "2"])
        .output()
        .unwrap();
    let text = said(&output, true);
    for shown in [
        "steps = 2",
        "learning_rate = 0.001",
        "smollm2-train",
        "model model: swiglu",
        "device cpu",
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    assert!(text.contains("trained on 4 rows, 512 tokens"), "{text}");
    // A base model's texts ended with token 0.
    for file in ["config.json", "generation_config.json"] {
        let text = fs::read_to_string(room.path("out/checkpoints/step-00000002").join(file)).unwrap();
        assert!(text.contains("\"eos_token_id\": 2"), "{file}: {text}");
    }
}

/// A recipe of the user's own, in the place where a run writes its recipe.
#[test]
fn a_file_that_is_not_the_run_s_is_refused() {
    let room = Room::new(273);
    fs::create_dir(room.path("out")).unwrap();
    let own = format!("# my recipe\n{RECIPE}");
    fs::write(room.path("out/train.toml"), &own).unwrap();
    let text = refused(&mut room.sft(&["--model", "model", "--config", "out/train.toml", "--steps", "2"]));
    assert!(
        text.contains("train.toml exists") && text.contains("move the file away"),
        "{text}"
    );
    assert_eq!(fs::read_to_string(room.path("out/train.toml")).unwrap(), own);
    assert_eq!(fs::read_dir(room.path("out")).unwrap().count(), 1);
}

#[test]
fn bad_records_of_the_held_out_data_are_named() {
    let room = Room::new(273);
    let good = fs::read_to_string(room.path("train.jsonl")).unwrap();
    fs::write(room.path("held-out.jsonl"), format!("{{\"messages\": \n{good}")).unwrap();
    let flags = [
        "--model",
        "model",
        "--preset",
        "quick",
        "--steps",
        "1",
        "--held-out",
        "held-out.jsonl",
    ];
    let text = said(&room.sft(&flags).output().unwrap(), true);
    assert!(text.contains("skipped a record: held-out.jsonl:1"), "{text}");
    assert!(text.contains("skipped 0 records"), "{text}");
}

#[test]
fn a_tokenizer_with_more_ids_than_the_model_is_an_error() {
    let room = Room::new(200);
    let text = refused(&mut room.sft(&["--model", "model", "--preset", "quick"]));
    assert!(text.contains("ids below 200"), "{text}");
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_run_after_its_step_and_resume_continues_it() {
    let room = Room::new(273);
    let first = ["--model", "model", "--config", "recipe.toml"];
    let output = interrupted(&room, &first, "-TERM", 0);
    assert_eq!(
        output.status.code(),
        Some(143),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let stopped = room.saved();
    assert_eq!(stopped, room.made(), "the last step is saved");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains(&format!("stopped by a signal after step {stopped} of 1000000")),
        "{text}"
    );

    // The run's own recipe and tokenizer: neither has to be given, and the model's folder may be gone.
    fs::rename(room.path("model"), room.path("elsewhere")).unwrap();
    let output = interrupted(&room, &["--resume"], "-INT", stopped);
    assert_eq!(
        output.status.code(),
        Some(130),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(room.saved() > stopped);
    let recipe = fs::read_to_string(room.path("out/train.toml")).unwrap();
    assert_eq!(
        TrainConfig::from_toml(&recipe).unwrap(),
        TrainConfig::from_toml(RECIPE).unwrap()
    );

    contradictions(&room);
    let last = (room.saved() + 2).to_string();
    let end = room
        .sft(&["--resume", "--change-recipe", "--steps", &last])
        .output()
        .unwrap();
    said(&end, true);
    assert_eq!(room.saved().to_string(), last);
    let again = room.sft(&["--resume"]).output().unwrap();
    let text = said(&again, true);
    assert!(
        text.contains(&format!("nothing left to do: the run has made all {last} steps")),
        "{text}"
    );
    let longer = (room.saved() + 3).to_string();
    said(&room.sft(&["--resume", "--steps", &longer]).output().unwrap(), true);
    assert_eq!(room.saved().to_string(), longer);
}

/// Flags that are not the run's are refused by name, with both values.
#[cfg(unix)]
fn contradictions(room: &Room) {
    let slower = RECIPE.replace("micro_batch_rows = 1", "micro_batch_rows = 3") + "learning_rate = 5e-5\n";
    fs::write(room.path("other.toml"), slower).unwrap();
    for (flags, expected) in [
        (
            &["--config", "other.toml"][..],
            &[
                "--config",
                "learning_rate: the run has 0.001, given 0.00005",
                "micro_batch_rows: the run has 1, given 3",
            ][..],
        ),
        (
            &["--preset", "quick"],
            &["--preset", "sequence_length: the run has 64, given 128"],
        ),
        (&["--steps", "5"], &["--steps: the run has 1000000 steps, given 5"]),
        (
            &["--model", "elsewhere"],
            &["--model: the run started from model, given elsewhere"],
        ),
        (
            &["--held-out-share", "0.1"],
            &["--held-out-share: the run has none, given share 0.1"],
        ),
        (
            &["--feed-forward", "silu-mlp"],
            &["--feed-forward: the run in out has swiglu, given silu_mlp"],
        ),
    ] {
        let text = refused(&mut room.sft(&[&["--resume"], flags].concat()));
        for part in expected {
            assert!(text.contains(part), "{flags:?}: {part}: {text}");
        }
    }
    // What decides the order of the data stays, even where a change is wanted.
    fs::write(room.path("seed.toml"), format!("seed = 7\n{RECIPE}")).unwrap();
    let text = refused(&mut room.sft(&["--resume", "--change-recipe", "--config", "seed.toml"]));
    assert!(
        text.contains("`seed` differs from the checkpoint's: expected 42, found 7"),
        "{text}"
    );
}

/// Runs until some steps beyond `from` are made, then sends the signal.
#[cfg(unix)]
fn interrupted(room: &Room, arguments: &[&str], signal: &str, from: usize) -> Output {
    let child = room.sft(arguments).spawn().unwrap();
    // What it prints must be read while it runs, or it waits for room in the pipe.
    let id = child.id().to_string();
    let reader = std::thread::spawn(move || Child::wait_with_output(child).unwrap());
    let start = Instant::now();
    while room.made() < from + 3 && !reader.is_finished() {
        assert!(start.elapsed() < Duration::from_secs(120), "no step in two minutes");
        std::thread::sleep(Duration::from_millis(20));
    }
    if !reader.is_finished() {
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }
    reader.join().unwrap()
}
