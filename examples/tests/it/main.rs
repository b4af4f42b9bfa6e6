//! The examples as programs. `cargo test -p examples` builds them first; with `--test it` alone, build them before with
//! `cargo build --release --examples`.

mod sft;

use std::path::Path;
use std::process::Command;

/// An example's program: it lies in `examples`, next to the folder of this test's.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap().join("examples");
    let program = folder.join(name).with_extension(std::env::consts::EXE_EXTENSION);
    assert!(program.is_file(), "{} is not built", program.display());
    Command::new(program)
}
