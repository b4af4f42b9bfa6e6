//! Licences and sources of the dependencies.

use crate::shell::{cargo, root, run};
use anyhow::Result;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

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
