//! A tokenizer learned from texts.

use super::specification::{byte_level, from_vocabulary};
use super::{ChatTokenizer, SPECIAL_TOKENS, built_in};
use crate::DataError;
use serde_json::Value;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{
    AddedToken, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Result as TokenizersResult, Tokenizer,
    Trainer,
};

/// Ids that no merge makes: a special token each, and a byte each.
const FEWEST: usize = SPECIAL_TOKENS.len() + 256;
/// Far above any vocabulary, and below what would not fit into ids.
const MOST: usize = 1 << 24;

pub(super) fn train_bpe(
    texts: impl Iterator<Item = String> + Send,
    vocab_size: usize,
) -> Result<ChatTokenizer, DataError> {
    if !(FEWEST..=MOST).contains(&vocab_size) {
        let expected = format!("between {FEWEST} (special tokens and bytes) and {MOST}");
        return Err(DataError::tokenizer(&built_in(), "vocab_size", &expected, vocab_size));
    }
    let splitter = byte_level()?.tokenizer;
    let special = SPECIAL_TOKENS.map(|token| AddedToken::from(token, true));
    let mut trainer = BpeTrainer::builder()
        .vocab_size(vocab_size)
        .show_progress(false)
        .special_tokens(special.to_vec())
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let mut model = BPE::default();
    let learned = trainer.feed(texts, |text| split(&splitter, text));
    learned
        .and_then(|()| trainer.train(&mut model))
        .map_err(DataError::Encoding)?;
    let written = serde_json::to_value(&model).expect("a BPE model is maps, lists and text");
    let (Value::Object(vocabulary), Value::Array(merges)) = (&written["vocab"], &written["merges"]) else {
        unreachable!("a BPE model is written with the object `vocab` and the list `merges`");
    };
    from_vocabulary(vocabulary.clone(), merges.clone())
}

/// The pieces of a text that merges stay within, in the alphabet of bytes.
fn split(splitter: &Tokenizer, text: &str) -> TokenizersResult<Vec<String>> {
    let mut pieces = PreTokenizedString::from(text);
    if let Some(pre_tokenizer) = splitter.get_pre_tokenizer() {
        pre_tokenizer.pre_tokenize(&mut pieces)?;
    }
    let pieces = pieces.get_splits(OffsetReferential::Original, OffsetType::Byte);
    Ok(pieces.into_iter().map(|(piece, _, _)| piece.to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Vec<String> {
        let text = |index: usize| {
            format!(
                "The {index}th little bear is {} and the bear's 12 friends sleep.",
                index % 7
            )
        };
        (0..300).map(text).collect()
    }

    #[test]
    fn what_occurs_often_becomes_a_token() {
        let tokenizer = ChatTokenizer::train_bpe(texts().into_iter(), 330).unwrap();
        // These texts have no more pairs to merge.
        assert_eq!(tokenizer.vocab_size(), 304);
        let ids = tokenizer.encode(" bear the bear").unwrap();
        assert_eq!(ids.len(), 3, "{ids:?}");
        assert_eq!(tokenizer.decode(&ids).unwrap(), " bear the bear");
        // Digits stay single, as SmolLM2 has them.
        assert_eq!(tokenizer.encode("2112").unwrap().len(), 4);
        assert_eq!((tokenizer.bos_id(), tokenizer.eos_id(), tokenizer.pad_id()), (1, 2, 2));
        // Bytes that no text had are still there.
        let unseen = "Zürich 日本 🦀";
        assert_eq!(tokenizer.decode(&tokenizer.encode(unseen).unwrap()).unwrap(), unseen);
    }

    #[test]
    fn the_order_of_the_texts_changes_nothing() {
        let expected = ChatTokenizer::train_bpe(texts().into_iter(), 400)
            .unwrap()
            .specification();
        for _ in 0..4 {
            let reversed = ChatTokenizer::train_bpe(texts().into_iter().rev(), 400).unwrap();
            assert_eq!(reversed.specification(), expected);
        }
    }

    #[test]
    fn a_saved_tokenizer_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let tokenizer = ChatTokenizer::train_bpe(texts().into_iter(), 300).unwrap();
        tokenizer.save(folder.path()).unwrap();
        let opened = ChatTokenizer::from_folder(folder.path()).unwrap();
        assert_eq!(opened.specification(), tokenizer.specification());
    }

    #[test]
    fn sizes_without_meaning_are_refused() {
        for size in [0, FEWEST - 1, usize::MAX] {
            let error = ChatTokenizer::train_bpe(texts().into_iter(), size).unwrap_err();
            assert!(error.to_string().contains("vocab_size"), "{error}");
        }
    }
}
