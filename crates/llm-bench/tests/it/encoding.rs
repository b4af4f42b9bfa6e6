//! Pair encoding, against a tokenizer of one id per character that merges ` a`.

use llm_bench::{LoglikelihoodRequest, encode_pair};

const PREFIX: u32 = 1;

/// One id per character; a space and the `a` after it are one id, 0.
fn encode(text: &str) -> Vec<u32> {
    text.replace(" a", "\0").chars().map(|c| c as u32).collect()
}

fn pair(context: &str, continuation: &str) -> (Vec<u32>, Vec<u32>) {
    let request = LoglikelihoodRequest {
        context: context.into(),
        continuation: continuation.to_owned(),
    };
    let pair = encode_pair(0, &request, PREFIX, encode).unwrap();
    (pair.context, pair.continuation)
}

#[test]
fn white_space_moves_from_the_contexts_end_to_the_continuation() {
    assert_eq!(pair("q: ", "a"), (encode("q:"), vec![0]));
    assert_eq!(pair("q:", " a"), (encode("q:"), vec![0]));
    assert_eq!(pair("q:\n\n", "b"), (encode("q:"), encode("\n\nb")));
    // White space to Python, though not to Unicode.
    assert_eq!(pair("q:\u{1c}", "b"), (encode("q:"), encode("\u{1c}b")));
}

#[test]
fn an_empty_context_becomes_the_prefix_token_once() {
    assert_eq!(pair("", "bc"), (vec![PREFIX], encode("bc")));
    assert_eq!(pair("", "\u{1}bc"), (vec![PREFIX], encode("bc")));
    assert_eq!(pair("  ", "b"), (vec![PREFIX], encode("  b")));
}

#[test]
fn a_continuation_without_tokens_is_refused_by_number() {
    let request = LoglikelihoodRequest {
        context: "q".into(),
        continuation: String::new(),
    };
    let error = encode_pair(3, &request, PREFIX, encode).unwrap_err().to_string();
    assert!(error.contains("request 3"), "{error}");
}

#[test]
fn the_input_is_cut_on_the_left_and_lacks_the_last_id() {
    let request = LoglikelihoodRequest {
        context: "abcd".into(),
        continuation: "ef".to_owned(),
    };
    let pair = encode_pair(0, &request, PREFIX, encode).unwrap();
    assert_eq!(pair.input(100), encode("abcde"));
    assert_eq!(pair.input(3), encode("cde"));
}
