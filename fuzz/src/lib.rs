//! What the fuzz targets share: a folder in memory, an allocator with a limit, a language model that answers at once.
#![deny(missing_docs)]

mod allocation;
mod model;

pub use allocation::Limited;
pub use model::{builtin, evaluate_in, evaluate_with_journal};

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Calls `parse` with a folder that holds these files and is removed afterwards; in memory where the system has a place
/// for that.
pub fn in_folder(files: &[(&str, &[u8])], parse: impl FnOnce(&Path)) {
    let memory = Path::new("/dev/shm");
    let folder = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    let folder = folder.expect("a temporary folder");
    for (name, bytes) in files {
        let path = folder.path().join(name);
        let parent = path.parent().expect("a path below the folder");
        std::fs::create_dir_all(parent).expect("a folder for the file");
        std::fs::write(path, bytes).expect("a file in the folder");
    }
    parse(folder.path());
}

/// For `init:` of a target whose parser catches the panics of a library below it: they pass silently.
pub fn allow_caught_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}

/// Ends the run, with the message, when a panic escapes `parse`.
pub fn escaping(parse: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(parse)) {
        let message = payload.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| payload.downcast_ref::<&str>().copied());
        eprintln!("panicked: {}", message.unwrap_or("with a payload that is no text"));
        std::process::abort();
    }
}
