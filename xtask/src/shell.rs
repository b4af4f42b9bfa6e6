//! Running cargo and the built examples.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(crate) fn cargo(arguments: &[&str]) -> Result<()> {
    cargo_with(arguments, &[])
}

pub(crate) fn cargo_with(arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_string());
    eprintln!("$ cargo {}", arguments.join(" "));
    let status = Command::new(program)
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(root())
        .status()
        .context("cargo could not be started")?;
    if !status.success() {
        bail!("cargo {} failed with {status}", arguments.first().unwrap_or(&""));
    }
    Ok(())
}

/// The examples in the order of need: `compare` leaves the models the others open.
const EXAMPLES: [&str; 9] = [
    "compare",
    "sft",
    "convert",
    "evaluate",
    "score",
    "generate",
    "chat",
    "inspect",
    "inspect-kernel",
];

/// Runs every example in its short form, the line `//! Short: ...` at its head.
pub(crate) fn run_examples() -> Result<()> {
    for entry in std::fs::read_dir(root().join("examples"))? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension == "rs") && !EXAMPLES.contains(&name.as_str()) {
            bail!("examples/{name}.rs is in no order: add it to EXAMPLES in xtask/src/shell.rs");
        }
    }
    // `sft` refuses a folder that an earlier run trained in, `convert` one that holds a model.
    for used in ["compare-output/sft", "compare-output/converted"] {
        let used = root().join(used);
        if used.exists() {
            std::fs::remove_dir_all(&used)?;
        }
    }
    for name in EXAMPLES {
        let path = root().join("examples").join(format!("{name}.rs"));
        let text = std::fs::read_to_string(&path)?;
        let short = text
            .lines()
            .find_map(|line| line.strip_prefix("//! Short: `"))
            .and_then(|line| line.strip_suffix('`'))
            .with_context(|| format!("{name}.rs has no line `//! Short: \\`cargo run ...\\`` at its head"))?;
        let words: Vec<&str> = short.split_whitespace().collect();
        let Some(("cargo", rest)) = words.split_first().map(|(first, rest)| (*first, rest)) else {
            bail!("{name}.rs: the short form must start with `cargo`, found `{short}`");
        };
        cargo(rest)?;
    }
    Ok(())
}

/// Everything a machine with a GPU and no toolchain needs, in `target/gpu`: one stripped binary and one script.
pub(crate) fn package_gpu() -> Result<()> {
    cargo(&[
        "build",
        "--release",
        "--package",
        "examples",
        "--example",
        "inspect-kernel",
        "--features",
        "cuda",
    ])?;
    let folder = root().join("target/gpu");
    std::fs::create_dir_all(&folder)?;
    let binary = folder.join("inspect-kernel");
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let built = root().join(target).join("release/examples/inspect-kernel");
    std::fs::copy(&built, &binary).with_context(|| format!("cannot copy {}", built.display()))?;
    let status = Command::new("strip")
        .arg(&binary)
        .status()
        .context("strip could not be started")?;
    if !status.success() {
        bail!("strip failed with {status}");
    }
    for script in ["gpu.sh", "flashkat.py"] {
        std::fs::copy(root().join("benches/peers").join(script), folder.join(script))?;
    }
    eprintln!("target/gpu holds inspect-kernel and gpu.sh: copy the folder and run `bash gpu.sh`");
    Ok(())
}
