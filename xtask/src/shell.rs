//! Running cargo and other programs.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Cargo, with the environment that a person's shell would give it. What `cargo run` adds about this package would make build
/// scripts run again, and much be compiled again, whenever cargo was called with and without `xtask` in turn.
pub(crate) fn cargo_command() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

pub(crate) fn cargo(arguments: &[&str]) -> Result<()> {
    cargo_with(arguments, &[])
}

pub(crate) fn cargo_with(arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    cargo_in(&root(), arguments, environment)
}

pub(crate) fn cargo_in(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    eprintln!("$ cargo {}", arguments.join(" "));
    let status = cargo_command()
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(folder)
        .status()
        .context("cargo could not be started")?;
    if !status.success() {
        bail!("cargo {} failed with {status}", arguments.first().unwrap_or(&""));
    }
    Ok(())
}

/// Runs cargo and returns the programs it built, each with the name of its package.
pub(crate) fn built_programs(arguments: &[&str]) -> Result<Vec<(String, PathBuf)>> {
    eprintln!("$ cargo {}", arguments.join(" "));
    let output = cargo_command()
        .args(arguments)
        .arg("--message-format=json-render-diagnostics")
        .current_dir(root())
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cargo could not be started")?;
    if !output.status.success() {
        bail!("cargo {} failed with {}", arguments[0], output.status);
    }
    let mut programs = Vec::new();
    for line in output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let message: serde_json::Value = serde_json::from_slice(line)?;
        if let (Some(program), Some(manifest)) = (message["executable"].as_str(), message["manifest_path"].as_str()) {
            let package = Path::new(manifest)
                .parent()
                .and_then(Path::file_name)
                .context("a manifest lies in a folder")?;
            programs.push((package.to_string_lossy().into_owned(), PathBuf::from(program)));
        }
    }
    Ok(programs)
}

pub(crate) fn run(program: &str, arguments: &[&OsStr]) -> Result<()> {
    let status = Command::new(program)
        .args(arguments)
        .status()
        .with_context(|| format!("{program} could not be started"))?;
    if !status.success() {
        bail!("{program} failed with {status}");
    }
    Ok(())
}

/// Files of the checkout that match, those that git does not ignore: tracked or new.
pub(crate) fn listed_files(patterns: &[&str]) -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "--"])
        .args(patterns)
        .current_dir(root())
        .output()
        .context("git could not be started")?;
    let text = String::from_utf8(output.stdout)?;
    let names = text.lines().filter(|name| root().join(name).exists());
    Ok(names.map(str::to_owned).collect())
}
