//! Checking each crate with its features one at a time.

use crate::shell::{cargo, root, run};
use crate::workspace::{Package, Workspace};
use anyhow::{Context, Result};
use std::ffi::OsStr;

/// Features that compile a GPU stack: `cargo xtask check-gpu` has them.
const ON_GPUS: [&str; 3] = ["cubecl", "cuda", "wgpu"];

/// Checks each crate without its default features and with each feature alone. What other crates of the workspace ask for is
/// left out: a crate must compile with what its own manifest turns on.
pub(crate) fn check() -> Result<()> {
    let workspace = Workspace::read("Cargo.toml")?;
    for package in workspace.members() {
        for features in selections(package) {
            cargo(&alone(package, features))?;
        }
    }
    Ok(())
}

/// No feature, then each of them but `default`. A crate without features has nothing to choose: clippy has seen it. Nobody
/// depends on what is not a library, so that its features alone say little.
fn selections(package: &Package) -> Vec<&str> {
    if package.features.is_empty() {
        return Vec::new();
    }
    let mut selections = vec![""];
    if package.is_library() {
        let names = package.features.keys().map(String::as_str);
        selections.extend(names.filter(|name| *name != "default" && !ON_GPUS.contains(name)));
    }
    selections
}

/// `cargo check` of a crate's library, programs and examples with the given features and no others. Tests are left out: they
/// turn on features of their own.
pub(crate) fn alone<'a>(package: &'a Package, features: &'a str) -> Vec<&'a str> {
    let mut arguments = vec![
        "check",
        "--release",
        "--package",
        &package.name,
        "--no-default-features",
    ];
    if !features.is_empty() {
        arguments.extend(["--features", features]);
    }
    if !package.examples().is_empty() {
        arguments.extend(["--lib", "--examples"]);
    }
    arguments
}

/// The workspace with the oldest compiler that its manifests promise, which rustup brings.
pub(crate) fn check_oldest_compiler() -> Result<()> {
    let workspace = Workspace::read("Cargo.toml")?;
    let promised = workspace
        .members()
        .into_iter()
        .find_map(|package| package.rust_version.as_ref());
    let toolchain = promised
        .context("no `rust-version` in the workspace's manifest")?
        .to_string();
    run(
        "rustup",
        &["toolchain", "install", "--profile", "minimal", &toolchain].map(OsStr::new),
    )?;
    // A separate folder: the compilers do not share their build output.
    let target = root().join("target/oldest");
    let check = [
        "run",
        &toolchain,
        "cargo",
        "check",
        "--workspace",
        "--all-targets",
        "--target-dir",
    ];
    run("rustup", &[&check.map(OsStr::new)[..], &[target.as_os_str()]].concat())
}
