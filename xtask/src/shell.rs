//! Running cargo and the built examples.

use anyhow::{Context, Result, bail};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn cargo_program() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

pub(crate) fn cargo(arguments: &[&str]) -> Result<()> {
    cargo_with(arguments, &[])
}

pub(crate) fn cargo_with(arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    cargo_in(&root(), arguments, environment)
}

fn cargo_in(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    eprintln!("$ cargo {}", arguments.join(" "));
    let status = Command::new(cargo_program())
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
    // In a folder of their own: they must not meet what a person's commands left.
    let folder = root().join("target/short-examples");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
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
        cargo_in(&folder, rest, &[])?;
    }
    Ok(())
}

/// Everything a machine with a GPU and no toolchain needs, in `target/gpu.tar.xz`: the kernels' program, the tests of kernels
/// and models, what they read, and one script.
pub(crate) fn package_gpu() -> Result<()> {
    let folder = root().join("target/gpu");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let example = [
        "build",
        "--release",
        "--package",
        "examples",
        "--example",
        "inspect-kernel",
    ];
    let tests = [
        "test",
        "--no-run",
        "--release",
        "--test",
        "it",
        "--package",
        "kan-rational",
        "--package",
        "smollm2-train",
    ];
    let builds = [
        (&example[..], "examples/cuda"),
        (&tests[..], "kan-rational/cuda,smollm2-train/cuda"),
    ];
    for (arguments, features) in builds {
        for (package, program) in built_programs(&[arguments, &["--features", features]].concat())? {
            let name = match package.as_str() {
                "kan-rational" => "kernel-tests",
                "smollm2-train" => "model-tests",
                _ => "inspect-kernel",
            };
            std::fs::copy(&program, folder.join(name))?;
            run("strip", &[folder.join(name).as_os_str()])?;
        }
    }
    for script in ["gpu.sh", "flashkat.py"] {
        std::fs::copy(root().join("benches/peers").join(script), folder.join(script))?;
    }
    for part in [
        "oracle",
        "models/tiny-swiglu",
        "models/tiny-gated_rational_a",
        "models/tiny-gated_rational_b",
        "models/tiny-group_kan_a",
    ] {
        copy_folder(&root().join("../shared").join(part), &folder.join("shared").join(part))?;
    }
    let commit = Command::new("git")
        .args(["rev-parse", "HEAD"])
        .current_dir(root())
        .output()?;
    std::fs::write(folder.join("commit.txt"), commit.stdout)?;
    let target = root().join("target");
    let archive = target.join("gpu.tar.xz");
    run(
        "tar",
        &[
            "-cJf".as_ref(),
            archive.as_os_str(),
            "-C".as_ref(),
            target.as_os_str(),
            "gpu".as_ref(),
        ],
    )?;
    eprintln!("target/gpu.tar.xz: unpack it on the machine with the GPU and run `bash gpu/gpu.sh`");
    Ok(())
}

/// Runs cargo and returns the programs it built, each with the name of its package.
fn built_programs(arguments: &[&str]) -> Result<Vec<(String, PathBuf)>> {
    eprintln!("$ cargo {}", arguments.join(" "));
    let output = Command::new(cargo_program())
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
                .unwrap_or_default();
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

const DENY: &str = "cargo-deny";
const DENY_VERSION: &str = "0.20.2";

/// Licences and sources of every dependency, those of `fuzz/` included. Known advisories need a database that is not among
/// the package registries: `cargo deny check` asks for it.
pub(crate) fn deny() -> Result<()> {
    let program = deny_program()?;
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        eprintln!("$ cargo deny --manifest-path {manifest} check licenses bans sources");
        let manifest = root().join(manifest);
        let config = root().join("deny.toml");
        let arguments = [
            "--manifest-path".as_ref(),
            manifest.as_os_str(),
            "--config".as_ref(),
            config.as_os_str(),
        ];
        let checks = ["check", "licenses", "bans", "sources"].map(OsStr::new);
        run(&program.to_string_lossy(), &[&arguments[..], &checks].concat())?;
    }
    Ok(())
}

/// The one on the search path, else the one in `target/tools`, which is built at the first call.
fn deny_program() -> Result<PathBuf> {
    if Command::new(DENY).arg("--version").output().is_ok() {
        return Ok(DENY.into());
    }
    let built = root().join("target/tools/bin").join(DENY);
    if !built.exists() {
        cargo(&[
            "install",
            DENY,
            "--version",
            DENY_VERSION,
            "--locked",
            "--root",
            "target/tools",
        ])?;
    }
    Ok(built)
}

/// Copies the files of a folder that has no folders in it.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let missing = || format!("{}: the tests on the GPU read it", from.display());
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).with_context(missing)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
