//! GPU chores: tests on WGPU, type checks, and the package for a machine with a GPU and no toolchain.

use crate::features::alone;
use crate::shell::{built_programs, cargo, root, run};
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

/// What runs with the GPU features: modules of kan-rational's test binary, whose device the feature chooses, the unit
/// tests of the kernels' skeleton, what CubeCL generates for CUDA, and the modules of smollm2-infer and smollm2-train
/// that compare what they do with Flex. The rest needs no second run.
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

/// One build for all four crates: WGPU takes minutes to compile. Burn's autotuner takes a minute per matrix shape on
/// software Vulkan, so the `wgpu` features leave it off.
pub(crate) fn test_wgpu() -> Result<()> {
    let mut arguments = vec!["test", "--release", "--lib", "--test", "it"];
    for package in ["burn-custom-op", "kan-rational", "smollm2-infer", "smollm2-train"] {
        arguments.extend(["--package", package]);
    }
    arguments.extend([
        "--features",
        "burn-custom-op/cubecl,kan-rational/cuda,kan-rational/wgpu,smollm2-infer/wgpu,smollm2-train/wgpu",
        "--",
    ]);
    arguments.extend(ON_WGPU);
    cargo(&arguments)
}

/// Clippy over all that has a `cuda` or `wgpu` feature, with both: the GPU stacks are checked in one selection of
/// features.
pub(crate) fn check_gpu() -> Result<()> {
    let mut arguments = vec!["clippy".to_owned(), "--release".to_owned(), "--all-targets".to_owned()];
    arguments.extend(with_features(&Workspace::read("Cargo.toml")?, &APIS));
    arguments.extend(["--", "-D", "warnings"].map(str::to_owned));
    cargo(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Each API without the other: everything with it, then each crate without default features, so that a GPU build can
/// leave the CPU backend out.
pub(crate) fn check_each_api() -> Result<()> {
    let workspace = Workspace::read("Cargo.toml")?;
    for api in APIS {
        let mut arguments = vec!["check".to_owned(), "--release".to_owned(), "--all-targets".to_owned()];
        arguments.extend(with_features(&workspace, &[api]));
        cargo(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
        for package in workspace.members() {
            if package.features.contains_key(api) {
                cargo(&alone(package, api))?;
            }
        }
    }
    Ok(())
}

/// The packages that have one of the features, with those that they have.
fn with_features(workspace: &Workspace, names: &[&str]) -> Vec<String> {
    let mut arguments = Vec::new();
    for package in workspace.members() {
        let of_package = names.iter().filter(|name| package.features.contains_key(**name));
        let of_package: Vec<String> = of_package.map(|name| format!("{}/{name}", package.name)).collect();
        if !of_package.is_empty() {
            arguments.extend(["--package".to_owned(), package.name.clone()]);
            arguments.extend(["--features".to_owned(), of_package.join(",")]);
        }
    }
    arguments
}

const APIS: [&str; 2] = ["cuda", "wgpu"];

/// Everything a machine with a GPU and no toolchain needs, in `target/gpu.tar.xz`: the kernels' program, the tests of
/// kernels and models, what they read, and one script.
pub(crate) fn package() -> Result<()> {
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

/// Copies the files of a folder that has no folders in it.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    let entries = std::fs::read_dir(from);
    for entry in entries.with_context(|| format!("{}: the tests on the GPU read it", from.display()))? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
