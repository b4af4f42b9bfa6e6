//! Every chore of the project under one name: `cargo xtask <chore>`. Continuous integration and people run the same.
#![deny(missing_docs)]

mod commands;
mod deny;
mod examples;
mod features;
mod fuzz;
mod gpu;
mod kills;
mod outside;
mod rules;
mod shell;
mod sizes;
mod stages;
mod workspace;

use anyhow::Result;
use clap::{Parser, Subcommand};
use shell::{cargo, cargo_with};
use stages::Stage;

#[derive(Parser)]
#[command(about = "The project's chores")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Format, clippy and documentation with warnings denied, and the house rules of docs/architecture.md.
    Check,
    /// Only the house rules: who may import whom, the absences, one home per job, the snippets of the documentation, and the
    /// limits of `sizes`.
    Rules,
    /// Lengths of files and functions, named closures, public items and thin documentation, for each crate.
    Sizes {
        /// Fail where the workspace passes its limits.
        #[arg(long)]
        check: bool,
    },
    /// Each crate without default features, then with each of its features alone.
    Features,
    /// Every test on the CPU backend.
    Test,
    /// The commands that the documentation shows, against the flags the programs have.
    Commands,
    /// Rational functions, models and training on a real GPU API (WGPU; Mesa's software Vulkan is enough).
    TestWgpu,
    /// Write the losses of ten steps again, after a change that is meant to change the arithmetic.
    Golden,
    /// The documentation of all crates, private items included.
    Doc,
    /// The criterion benchmarks; arguments after `--` go to criterion.
    Bench {
        /// Passed through to criterion.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Clippy over everything that has CUDA or WGPU features, tests and examples included (needs no toolkit).
    CheckGpu,
    /// Run every example in its short form.
    Examples,
    /// Build and run README.md's Rust in a crate outside the workspace, and count the crates that `kallm` brings.
    Outside,
    /// Build the fuzz targets and run each once over its seeds.
    Fuzz {
        /// Only this target.
        target: Option<String>,
        /// Minutes each target runs instead.
        #[arg(long)]
        minutes: Option<u32>,
    },
    /// Licences and sources of every dependency.
    Deny,
    /// Pack programs, tests and the script that runs them on a machine with a GPU and no toolchain.
    Gpu,
    /// All of the above that continuous integration runs, in its order; at the end, how long each stage took.
    Ci,
    /// What is too long for continuous integration; run it before a release.
    Long,
}

/// What a change must pass. Cheap stages come first.
const CI: [Stage; 13] = [
    ("rules", rules::enforce),
    ("sizes", || sizes::report(true)),
    ("format", format),
    ("clippy", clippy),
    ("doc", doc),
    ("deny", deny::deny),
    ("test", test),
    ("commands", commands::check),
    ("examples", examples::run),
    ("outside", outside::run),
    ("fuzz seeds", || fuzz::fuzz(None, None)),
    ("test-wgpu", gpu::test_wgpu),
    ("check-gpu", gpu::check_gpu),
];

/// What a release must pass as well.
const LONG: [Stage; 8] = [
    ("features", features::check),
    ("oldest compiler", features::check_oldest_compiler),
    ("each GPU API alone", gpu::check_each_api),
    ("many random cases", many_random_cases),
    ("benchmarks once", benches_once),
    ("compare in full", examples::compare_in_full),
    ("compare killed ten times", kills::kill_at_random),
    ("fuzz, 10 minutes each", || fuzz::fuzz(None, Some(10))),
];

fn main() -> Result<()> {
    match Arguments::parse().chore {
        Chore::Check => check(),
        Chore::Rules => rules::enforce(),
        Chore::Sizes { check } => sizes::report(check),
        Chore::Features => features::check(),
        Chore::Test => test(),
        Chore::Commands => commands::check(),
        Chore::TestWgpu => gpu::test_wgpu(),
        Chore::Golden => golden(),
        Chore::Doc => doc(),
        Chore::Bench { arguments } => bench(&arguments),
        Chore::CheckGpu => gpu::check_gpu(),
        Chore::Examples => examples::run(),
        Chore::Outside => outside::run(),
        Chore::Fuzz { target, minutes } => fuzz::fuzz(target.as_deref(), minutes),
        Chore::Deny => deny::deny(),
        Chore::Gpu => gpu::package(),
        Chore::Ci => stages::run(&CI),
        Chore::Long => stages::run(&LONG),
    }
}

fn check() -> Result<()> {
    rules::enforce()?;
    format()?;
    clippy()?;
    doc()
}

fn format() -> Result<()> {
    cargo(&["fmt", "--all", "--", "--check"])?;
    cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--", "--check"])
}

fn clippy() -> Result<()> {
    cargo(&[
        "clippy",
        "--release",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ])
}

fn doc() -> Result<()> {
    cargo_with(
        &[
            "doc",
            "--release",
            "--workspace",
            "--no-deps",
            "--document-private-items",
        ],
        &[("RUSTDOCFLAGS", "-D warnings")],
    )
}

fn test() -> Result<()> {
    cargo(&["test", "--release", "--workspace"])
}

/// Every property test with 2,000 cases.
fn many_random_cases() -> Result<()> {
    cargo_with(
        &["test", "--release", "--workspace", "--lib", "--test", "it"],
        &[("PROPTEST_CASES", "2000")],
    )
}

/// That the benchmarks run: each of them once, without timing.
fn benches_once() -> Result<()> {
    cargo(&["bench", "--package", "benches", "--", "--test"])
}

/// The test that compares the losses writes them instead when it is told to.
fn golden() -> Result<()> {
    cargo_with(
        &[
            "test",
            "--release",
            "--package",
            "smollm2-train",
            "--test",
            "it",
            "--",
            "--exact",
            "golden_losses::ten_steps_are_the_recorded_ones",
        ],
        &[("KALLM_WRITE_GOLDEN", "1"), ("KALLM_REQUIRE_SHARED", "1")],
    )
}

fn bench(arguments: &[String]) -> Result<()> {
    let mut all = vec!["bench", "--package", "benches"];
    if !arguments.is_empty() {
        all.push("--");
        all.extend(arguments.iter().map(String::as_str));
    }
    cargo(&all)
}
