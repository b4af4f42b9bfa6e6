//! From request strings to token ids, as lm-evaluation-harness encodes them.

use std::ops::Range;

use crate::python_text::strip_end;
use crate::{BenchError, LoglikelihoodRequest};

/// A continuation and what stands before it, in tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedPair {
    /// Ids of the context; never empty.
    pub context: Vec<u32>,
    /// Ids of the continuation; never empty.
    pub continuation: Vec<u32>,
}

impl EncodedPair {
    /// What the model reads: everything but the last id, at most `max_length` ids from the right.
    pub fn input(&self, max_length: usize) -> Vec<u32> {
        let whole = [self.context.as_slice(), &self.continuation].concat();
        let start = whole.len().saturating_sub(max_length + 1);
        whole[start..whole.len() - 1].to_vec()
    }
}

/// Encodes a pair: white space at the context's end moves to the continuation's start; the continuation's ids are
/// those of the joined text after as many as the context has alone. An empty context becomes the `prefix` token.
/// `encode` takes a text and the byte ranges of the special tokens in it.
///
/// # Errors
/// [`BenchError::Request`] when no token is left to score; what `encode` gives.
pub fn encode_pair(
    index: usize,
    request: &LoglikelihoodRequest,
    prefix: u32,
    encode: impl Fn(&str, &[Range<usize>]) -> Result<Vec<u32>, BenchError>,
) -> Result<EncodedPair, BenchError> {
    let context = strip_end(&request.context);
    let moved = &request.context[context.len()..];
    let continuation = format!("{moved}{}", request.continuation);
    let pair = if request.context.is_empty() {
        let ids = encode(&continuation, &[])?;
        // A text that starts with the prefix token supplies its own.
        match ids.split_first() {
            Some((first, rest)) if *first == prefix => EncodedPair {
                context: vec![prefix],
                continuation: rest.to_vec(),
            },
            _ => EncodedPair {
                context: vec![prefix],
                continuation: ids,
            },
        }
    } else {
        let special = within(&request.special, context.len());
        let head = encode(context, &special)?;
        let whole = encode(&format!("{context}{continuation}"), &request.special)?;
        let tail = whole.get(head.len()..).unwrap_or_default().to_vec();
        EncodedPair {
            context: if head.is_empty() { vec![prefix] } else { head },
            continuation: tail,
        }
    };
    if pair.continuation.is_empty() {
        return Err(BenchError::Request {
            index,
            problem: format!("no token to score in the continuation {:?}", request.continuation),
        });
    }
    Ok(pair)
}

/// The ranges in the first `length` bytes of a text; the white space behind a token may belong to it.
fn within(special: &[Range<usize>], length: usize) -> Vec<Range<usize>> {
    let cut = special.iter().map(|range| range.start..range.end.min(length));
    cut.filter(|range| range.start < range.end).collect()
}
