//! Pair encoding, against a tokenizer of one id per character that merges ` a`.

use llm_bench::{BenchError, LoglikelihoodRequest, encode_pair};
use std::ops::Range;

const PREFIX: u32 = 1;

/// One id per character; a space and the `a` after it are one id, 0.
fn encode(text: &str) -> Vec<u32> {
    text.replace(" a", "\0").chars().map(|c| c as u32).collect()
}

/// The same; a special token is the id 2.
fn encode_special(text: &str, special: &[Range<usize>]) -> Result<Vec<u32>, BenchError> {
    let (mut ids, mut start) = (Vec::new(), 0);
    for range in special {
        ids.extend(encode(&text[start..range.start]));
        ids.push(2);
        start = range.end;
    }
    ids.extend(encode(&text[start..]));
    Ok(ids)
}

fn request(context: &str, continuation: &str) -> LoglikelihoodRequest {
    LoglikelihoodRequest {
        context: context.into(),
        special: Vec::new(),
        continuation: continuation.to_owned(),
    }
}

fn pair(context: &str, continuation: &str) -> (Vec<u32>, Vec<u32>) {
    let pair = encode_pair(0, &request(context, continuation), PREFIX, encode_special).unwrap();
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
    let error = encode_pair(3, &request("q", ""), PREFIX, encode_special)
        .unwrap_err()
        .to_string();
    assert!(error.contains("request 3"), "{error}");
}

#[test]
fn the_input_is_cut_on_the_left_and_lacks_the_last_id() {
    let pair = encode_pair(0, &request("abcd", "ef"), PREFIX, encode_special).unwrap();
    assert_eq!(pair.input(100), encode("abcde"));
    assert_eq!(pair.input(3), encode("cde"));
}

#[test]
fn special_tokens_are_where_the_request_says() {
    // The last one takes the white space behind it along, which belongs to the continuation.
    let request = LoglikelihoodRequest {
        special: vec![0..1, 3..6],
        ..request("<q <> \n", "b")
    };
    let pair = encode_pair(0, &request, PREFIX, encode_special).unwrap();
    assert_eq!(pair.context, [&[2][..], &encode("q "), &[2]].concat());
    assert_eq!(pair.continuation, encode("\nb"));
}
