//! Encodes the strings of a request as token ids, in the same way as lm-evaluation-harness.

use std::ops::Range;

use llm_bench::{BenchError, LoglikelihoodRequest};
use smollm2_infer::ScoreRequest;

/// Encodes requests that share a context, which is encoded once: white space at the context's end moves to the start of
/// the continuations; the ids of a continuation are those of the joined text after as many as the context has alone. An
/// empty context becomes the `prefix` token. `first` is the index of the first request; `encode` takes a text and the
/// byte ranges of the special tokens in it.
///
/// # Errors
/// [`BenchError::Request`] when a continuation has no token to score; what `encode` gives.
pub(super) fn encode(
    first: usize,
    document: &[LoglikelihoodRequest],
    prefix: u32,
    encode: impl Fn(&str, &[Range<usize>]) -> Result<Vec<u32>, BenchError>,
) -> Result<ScoreRequest, BenchError> {
    let shared = &document[0];
    let context = strip_end(&shared.context);
    let head = encode(context, &within(&shared.special, context.len()))?;
    let mut continuations = Vec::with_capacity(document.len());
    for (index, request) in (first..).zip(document) {
        let whole = encode(&format!("{}{}", shared.context, request.continuation), &shared.special)?;
        // A text without context that starts with the prefix token supplies its own.
        let supplied = shared.context.is_empty() && whole.first() == Some(&prefix);
        let skipped = if supplied { 1 } else { head.len() };
        let ids = whole.get(skipped..).unwrap_or_default().to_vec();
        if ids.is_empty() {
            return Err(BenchError::Request {
                index,
                problem: format!("no token to score in the continuation {:?}", request.continuation),
            });
        }
        continuations.push(ids);
    }
    Ok(ScoreRequest {
        context: if head.is_empty() { vec![prefix] } else { head },
        continuations,
    })
}

/// A whole text in pieces of `most` tokens. Each token belongs to exactly one, and is predicted from the tokens before
/// it that a sequence of `most` tokens has room for; the first from the `prefix` token.
pub(super) fn pieces(ids: &[u32], prefix: u32, most: usize) -> Vec<ScoreRequest> {
    let text = [&[prefix], ids].concat();
    let pieces = ids.chunks(most).scan(0, |end, piece| {
        *end += piece.len();
        Some(ScoreRequest {
            context: text[end.saturating_sub(most)..=*end - piece.len()].to_vec(),
            continuations: vec![piece.to_vec()],
        })
    });
    pieces.collect()
}

/// `str.rstrip()` of Python, for which the separators U+001C to U+001F are white space too.
fn strip_end(text: &str) -> &str {
    text.trim_end_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

/// The ranges within the first `length` bytes of a text. White space after a token may belong to the token.
fn within(special: &[Range<usize>], length: usize) -> Vec<Range<usize>> {
    let cut = special.iter().map(|range| range.start..range.end.min(length));
    cut.filter(|range| range.start < range.end).collect()
}

/// Against a tokenizer of one id per character that merges ` a`.
#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: u32 = 1;

    /// One id per character; a space and the `a` after it are one id, 0.
    fn ids(text: &str) -> Vec<u32> {
        text.replace(" a", "\0").chars().map(|c| c as u32).collect()
    }

    /// The same; a special token is the id 2.
    fn ids_with_special(text: &str, special: &[Range<usize>]) -> Result<Vec<u32>, BenchError> {
        let (mut found, mut start) = (Vec::new(), 0);
        for range in special {
            found.extend(ids(&text[start..range.start]));
            found.push(2);
            start = range.end;
        }
        found.extend(ids(&text[start..]));
        Ok(found)
    }

    fn request(context: &str, continuation: &str) -> LoglikelihoodRequest {
        LoglikelihoodRequest {
            context: context.into(),
            special: Vec::new(),
            continuation: continuation.to_owned(),
        }
    }

    fn pair(context: &str, continuation: &str) -> (Vec<u32>, Vec<u32>) {
        let encoded = encode(0, &[request(context, continuation)], PREFIX, ids_with_special).unwrap();
        (encoded.context, encoded.continuations.concat())
    }

    #[test]
    fn white_space_moves_from_the_contexts_end_to_the_continuation() {
        assert_eq!(pair("q: ", "a"), (ids("q:"), vec![0]));
        assert_eq!(pair("q:", " a"), (ids("q:"), vec![0]));
        assert_eq!(pair("q:\n\n", "b"), (ids("q:"), ids("\n\nb")));
        // White space to Python, though not to Unicode.
        assert_eq!(pair("q:\u{1c}", "b"), (ids("q:"), ids("\u{1c}b")));
    }

    #[test]
    fn an_empty_context_becomes_the_prefix_token_once() {
        assert_eq!(pair("", "bc"), (vec![PREFIX], ids("bc")));
        assert_eq!(pair("", "\u{1}bc"), (vec![PREFIX], ids("bc")));
        assert_eq!(pair("  ", "b"), (vec![PREFIX], ids("  b")));
    }

    #[test]
    fn a_continuation_without_tokens_is_refused_by_number() {
        let document = [request("q", "a"), request("q", "")];
        let error = encode(3, &document, PREFIX, ids_with_special).unwrap_err().to_string();
        assert!(error.contains("request 4"), "{error}");
    }

    #[test]
    fn each_continuation_of_a_context_is_encoded_with_it() {
        let document = [request("q ", "a"), request("q ", "bc")];
        let encoded = encode(0, &document, PREFIX, ids_with_special).unwrap();
        assert_eq!(encoded.context, ids("q"));
        assert_eq!(encoded.continuations, [vec![0], ids(" bc")]);
    }

    #[test]
    fn every_token_of_a_text_is_in_one_piece_with_as_much_before_it_as_fits() {
        let found: Vec<_> = pieces(&[10, 11, 12, 13, 14, 15, 16, 17], PREFIX, 3)
            .into_iter()
            .map(|piece| (piece.context, piece.continuations.concat()))
            .collect();
        let expected = [
            (vec![PREFIX], vec![10, 11, 12]),
            (vec![12], vec![13, 14, 15]),
            (vec![14, 15], vec![16, 17]),
        ];
        assert_eq!(found, expected);
        assert_eq!(pieces(&[10], PREFIX, 3)[0].context, [PREFIX]);
        assert!(pieces(&[], PREFIX, 3).is_empty());
    }

    #[test]
    fn special_tokens_are_where_the_request_says() {
        // The last token includes the white space after it, which belongs to the continuation.
        let request = LoglikelihoodRequest {
            special: vec![0..1, 3..6],
            ..request("<q <> \n", "b")
        };
        let encoded = encode(0, &[request], PREFIX, ids_with_special).unwrap();
        assert_eq!(encoded.context, [&[2][..], &ids("q "), &[2]].concat());
        assert_eq!(encoded.continuations, [ids("\nb")]);
    }
}
