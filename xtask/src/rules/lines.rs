//! What no line of a library may hold.

use super::{Source, is_comment};

/// A pattern that must not stand in library sources, and why.
struct Absence {
    pattern: &'static str,
    reason: &'static str,
}

/// `print!(` stands in `eprint!(` too, and `println!(` in `eprintln!(`.
const ABSENCES: [Absence; 12] = [
    Absence {
        pattern: "print!(",
        reason: "no library prints",
    },
    Absence {
        pattern: "println!(",
        reason: "no library prints",
    },
    Absence {
        pattern: "dbg!(",
        reason: "no library prints",
    },
    Absence {
        pattern: "io::stdout",
        reason: "no library prints",
    },
    Absence {
        pattern: "io::stderr",
        reason: "no library prints",
    },
    Absence {
        pattern: "env::var",
        reason: "no hidden environment variables",
    },
    Absence {
        pattern: "thread_local!",
        reason: "no global state",
    },
    Absence {
        pattern: "todo!(",
        reason: "a stub is not done",
    },
    Absence {
        pattern: "unimplemented!(",
        reason: "a stub is not done",
    },
    Absence {
        pattern: "#[ignore",
        reason: "an ignored test looks green",
    },
    Absence {
        pattern: "```ignore",
        reason: "an ignored doctest looks green",
    },
    Absence {
        pattern: "```no_run",
        reason: "a doctest that does not run looks green",
    },
];

/// Types through which a `static` that is not `mut` changes all the same.
const CHANGING: [&str; 8] = [
    "Mutex", "RwLock", "OnceLock", "OnceCell", "LazyLock", "LazyCell", "Atomic", "Cell<",
];

/// Most lines of a file.
const LONGEST_FILE: usize = 500;

/// Adds what breaks a rule in a file of the crate `library`.
pub(super) fn check(library: &str, source: &Source, broken: &mut Vec<String>) {
    let Source { name, text } = source;
    let lines = text.lines().count();
    if lines > LONGEST_FILE {
        broken.push(format!("{name} has {lines} lines; the limit is {LONGEST_FILE}"));
    }
    for (index, line) in text.lines().enumerate() {
        let mut breaks = absences(line);
        if library == "smollm2-model" && !name.contains("/weights") && !is_comment(line) && opens_a_file(line) {
            breaks.push("files are opened only in weights/".to_owned());
        }
        let place = format!("{name}:{}", index + 1);
        broken.extend(breaks.into_iter().map(|reason| format!("{place}: {reason}")));
    }
}

/// What a line holds that no library may.
fn absences(line: &str) -> Vec<String> {
    // An attribute of a doctest stands in a comment.
    if is_comment(line) && !line.contains("```") {
        return Vec::new();
    }
    let found = ABSENCES.iter().filter(|absence| line.contains(absence.pattern));
    let mut broken: Vec<String> = found
        .map(|absence| format!("`{}`: {}", absence.pattern, absence.reason))
        .collect();
    if is_global_state(line) {
        broken.push("a `static` that changes: no global state".to_owned());
    }
    broken
}

/// A table is no state; what is `mut`, locked, atomic or filled later is.
fn is_global_state(line: &str) -> bool {
    let item = line.trim_start();
    // `pub(super) static`: what stands between the brackets is one word.
    let item = item
        .strip_prefix("pub")
        .map_or(item, |rest| rest.trim_start_matches(|c| c != ' ').trim_start());
    let Some(declared) = item.strip_prefix("static ") else {
        return false;
    };
    declared.starts_with("mut ") || CHANGING.iter().any(|kind| declared.contains(kind))
}

fn opens_a_file(line: &str) -> bool {
    ["File::open", "File::create", "fs::read", "fs::write"]
        .iter()
        .any(|pattern| line.contains(pattern))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_and_global_state_are_found() {
        for line in [
            "    print!(\"x\");",
            "eprint!(\"x\")",
            "eprintln!(\"x\")",
            "static mut COUNT: u32 = 0;",
            "pub(crate) static CACHE: Mutex<Vec<u8>> = Mutex::new(Vec::new());",
            "    static ONCE: OnceLock<u8> = OnceLock::new();",
            "pub static SEEN: AtomicUsize = AtomicUsize::new(0);",
            "thread_local! {",
            "/// ```no_run",
        ] {
            assert_eq!(absences(line).len(), 1, "{line}");
        }
        for line in [
            "pub(super) static TABLE: &[Entry] = &[",
            "fn name() -> &'static str {",
            "// println!(\"x\") would be seen by nobody",
            "let cache: Mutex<u8> = Mutex::new(0);",
        ] {
            assert!(absences(line).is_empty(), "{line}");
        }
    }
}
