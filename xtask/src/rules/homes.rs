//! What is done in one place alone.

use super::{Source, is_comment};

/// A piece of code that tells of a job, and where that job is done.
struct Home {
    pattern: &'static str,
    /// Starts of the paths of the files that may hold the pattern.
    files: &'static [&'static str],
    job: &'static str,
}

const HOMES: [Home; 8] = [
    Home {
        pattern: "b\"GGUF\"",
        files: &["crates/gguf-file/src/"],
        job: "GGUF files are read",
    },
    Home {
        pattern: "read_until(",
        files: &["crates/record-files/src/lines.rs", "examples/chat.rs"],
        job: "JSONL files are read",
    },
    Home {
        pattern: "read_line(",
        files: &["crates/record-files/src/lines.rs"],
        job: "JSONL files are read",
    },
    Home {
        pattern: "SerializedPageReader",
        files: &["crates/record-files/src/pages.rs"],
        job: "Parquet files are read",
    },
    Home {
        pattern: ".forward_cached(",
        files: &["crates/smollm2-infer/src/decoder.rs"],
        job: "tokens are decoded",
    },
    Home {
        pattern: "log_softmax(",
        files: &["crates/smollm2-model/src/model/scores.rs", "crates/smollm2-train/src/"],
        job: "log-probabilities without gradient are computed",
    },
    Home {
        pattern: ".gather(1,",
        files: &["crates/smollm2-model/src/model/scores.rs", "crates/smollm2-train/src/"],
        job: "log-probabilities of targets without gradient are gathered",
    },
    Home {
        pattern: "\"self_attn.q_proj.weight\"",
        // GGUF has names of its own for the same tensors.
        files: &[
            "crates/smollm2-model/src/schema.rs",
            "crates/smollm2-model/src/weights/gguf.rs",
        ],
        job: "tensors are listed by name",
    },
];

/// Adds each line that does a job away from its home.
pub(super) fn check(sources: &[Source], broken: &mut Vec<String>) {
    for source in sources {
        for (index, line) in source.text.lines().enumerate().filter(|(_, line)| !is_comment(line)) {
            for home in HOMES.iter().filter(|home| line.contains(home.pattern)) {
                if !home.files.iter().any(|file| source.name.starts_with(file)) {
                    let place = format!("{}:{}", source.name, index + 1);
                    broken.push(format!(
                        "{place}: `{}`: {} in {}",
                        home.pattern, home.job, home.files[0]
                    ));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_reader_is_found() {
        let text = "// b\"GGUF\"\nconst MAGIC: &[u8] = b\"GGUF\";\n".to_owned();
        let source = |name: &str| Source {
            name: name.to_owned(),
            text: text.clone(),
        };
        let mut broken = Vec::new();
        check(
            &[
                source("crates/gguf-file/src/header.rs"),
                source("crates/llm-bench/src/lib.rs"),
            ],
            &mut broken,
        );
        assert_eq!(broken.len(), 1, "{broken:?}");
        assert!(broken[0].starts_with("crates/llm-bench/src/lib.rs:2: "), "{broken:?}");
    }

    /// Every pattern is where it is said to be, so that a second copy of it would be found.
    #[test]
    fn homes_are_inhabited() {
        for home in HOMES {
            let found = home.files.iter().any(|file| {
                let sources = crate::rules::sources(crate::shell::root().join("crates")).unwrap();
                let mut here = sources.into_iter().filter(|source| source.name.starts_with(file));
                here.any(|source| source.text.contains(home.pattern))
            });
            assert!(found, "{}: {:?}", home.pattern, home.files);
        }
    }
}
