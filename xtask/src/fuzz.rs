//! Building and running the targets of `fuzz/` with the stable compiler.

use crate::shell::{cargo_with, root, run};
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

/// Coverage counters, comparisons and a table of places in every crate: what libFuzzer steers by. `cargo fuzz` passes the
/// same, and an address sanitizer where it has a nightly compiler.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Builds every target, then runs one or all of them: for this many minutes each, or once over its seeds.
pub(crate) fn fuzz(target: Option<&str>, minutes: Option<u32>) -> Result<()> {
    let targets = targets()?;
    if let Some(unknown) = target.filter(|name| targets.iter().all(|known| known != name)) {
        bail!("no target {unknown}; there are {}", targets.join(", "));
    }
    let host = host()?;
    // With `--target` the flags are not given to build scripts and macros.
    let mut build = vec!["build", "--manifest-path", "fuzz/Cargo.toml", "--target", &host];
    // Seeds alone need neither speed nor coverage, and compile in half the time without them.
    let (profile, flags) = match minutes {
        Some(_) => ("release", COVERAGE),
        None => ("debug", "--cfg fuzzing"),
    };
    if minutes.is_some() {
        build.push("--release");
    }
    cargo_with(&build, &[("RUSTFLAGS", flags)])?;
    let built = root().join("fuzz/target").join(&host).join(profile);
    for name in targets {
        if target.is_none_or(|target| target == name) {
            run_target(&built.join(&name), &name, minutes)?;
        }
    }
    Ok(())
}

/// The programs of `fuzz/Cargo.toml`. Each has a dictionary and seeds under its name.
fn targets() -> Result<Vec<String>> {
    let workspace = Workspace::read("fuzz/Cargo.toml")?;
    let members = workspace.members();
    let programs = members
        .iter()
        .flat_map(|package| &package.targets)
        .filter(|target| target.is("bin"));
    let mut names: Vec<String> = programs.map(|program| program.name.clone()).collect();
    names.sort();
    Ok(names)
}

fn run_target(program: &Path, name: &str, minutes: Option<u32>) -> Result<()> {
    let folder = root().join("fuzz");
    let (corpus, found) = (folder.join("corpus").join(name), folder.join("artifacts").join(name));
    for folder in [&corpus, &found] {
        std::fs::create_dir_all(folder)?;
    }
    let dictionary = folder.join("dictionaries").join(format!("{name}.txt"));
    let mut arguments: Vec<OsString> = vec![
        labelled("-dict=", &dictionary),
        labelled("-artifact_prefix=", &found.join("")),
        "-timeout=10".into(),
        "-rss_limit_mb=2048".into(),
        "-print_final_stats=1".into(),
    ];
    match minutes {
        Some(minutes) => arguments.extend([format!("-max_total_time={}", 60 * minutes).into(), corpus.into()]),
        // The same inputs every time: a change does not fail for what chance finds in the code of another.
        None => arguments.push("-runs=0".into()),
    }
    arguments.push(folder.join("seeds").join(name).into());
    eprintln!("$ {name}");
    let arguments: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
    run(&program.to_string_lossy(), &arguments)
        .with_context(|| format!("the input that {name} failed on is in {}", found.display()))
}

fn labelled(label: &str, path: &Path) -> OsString {
    let mut text = OsString::from(label);
    text.push(path);
    text
}

/// The triple of this machine's compiler.
fn host() -> Result<String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .context("rustc could not be started")?;
    let text = String::from_utf8(output.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_owned())
}
