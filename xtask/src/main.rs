//! Every chore of the project under one name: `cargo xtask <chore>`. Continuous integration and people run the same.
#![deny(missing_docs)]

mod fuzz;
mod rules;
mod shell;

use anyhow::Result;
use clap::{Parser, Subcommand};
use shell::{cargo, cargo_with};

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
    /// Only the house rules: who may import whom, and the absences.
    Rules,
    /// Every test on the CPU backend.
    Test,
    /// Rational functions, models and training on a real GPU API (WGPU; Mesa's software Vulkan is enough).
    TestWgpu,
    /// Write the losses of ten steps anew, after a change that is meant to change the arithmetic.
    Golden,
    /// The documentation of all crates, private items included.
    Doc,
    /// The criterion benchmarks; arguments after `--` go to criterion.
    Bench {
        /// Passed through to criterion.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Type-check the examples for CUDA and WGPU, and the tests for CUDA (needs no toolkit).
    CheckGpu,
    /// Run every example in its short form.
    Examples,
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
    /// All of the above that continuous integration runs, in its order.
    Ci,
}

fn main() -> Result<()> {
    match Arguments::parse().chore {
        Chore::Check => check(),
        Chore::Rules => rules::enforce(),
        Chore::Test => test(),
        Chore::TestWgpu => test_wgpu(),
        Chore::Golden => golden(),
        Chore::Doc => doc(),
        Chore::Bench { arguments } => bench(&arguments),
        Chore::CheckGpu => check_gpu(),
        Chore::Examples => shell::run_examples(),
        Chore::Fuzz { target, minutes } => fuzz::fuzz(target.as_deref(), minutes),
        Chore::Deny => shell::deny(),
        Chore::Gpu => shell::package_gpu(),
        Chore::Ci => ci(),
    }
}

fn check() -> Result<()> {
    rules::enforce()?;
    cargo(&["fmt", "--all", "--", "--check"])?;
    cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--", "--check"])?;
    cargo(&[
        "clippy",
        "--release",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ])?;
    doc()
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

/// What runs with the GPU features: modules of kan-rational's test binary, whose device the feature chooses, its kernels' unit
/// tests, what CubeCL generates for CUDA, and the module of smollm2-train that compares models and training with Flex. The
/// rest needs no second run.
const ON_WGPU: [&str; 10] = [
    "agreement::",
    "cube::",
    "cuda_source::",
    "edges::",
    "gradients::",
    "graphs::",
    "mismatches::",
    "modules::",
    "oracle::",
    "gpu::",
];

const ON_GPU_APIS: &str = "kan-rational/cuda,kan-rational/wgpu,smollm2-train/wgpu";

/// One build for both crates: WGPU takes minutes to compile. Burn's autotuner takes a minute per matrix shape on
/// software Vulkan, so the `wgpu` features leave it off.
fn test_wgpu() -> Result<()> {
    let mut all = vec!["test", "--release", "--lib", "--test", "it"];
    for package in ["kan-rational", "smollm2-train"] {
        all.extend(["--package", package]);
    }
    all.extend(["--features", ON_GPU_APIS]);
    let mut clippy = all.clone();
    clippy[0] = "clippy";
    clippy.extend(["--", "-D", "warnings"]);
    all.push("--");
    all.extend(ON_WGPU);
    cargo(&all)?;
    cargo(&clippy)
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

/// That the examples compile for GPUs, and for CUDA the tests that only a machine with one can run.
fn check_gpu() -> Result<()> {
    let examples = [
        "check",
        "--release",
        "--package",
        "examples",
        "--examples",
        "--features",
    ];
    for features in ["cuda", "wgpu"] {
        cargo(&[&examples[..], &[features]].concat())?;
    }
    let mut tests = vec!["check", "--release", "--tests"];
    for package in ["kan-rational", "smollm2-train"] {
        tests.extend(["--package", package]);
    }
    tests.extend(["--features", "kan-rational/cuda,smollm2-train/cuda"]);
    cargo(&tests)
}

fn ci() -> Result<()> {
    check()?;
    shell::deny()?;
    test()?;
    fuzz::fuzz(None, None)?;
    shell::run_examples()?;
    test_wgpu()?;
    check_gpu()
}
