//! No token disappears unseen, and no row is without a target.

use proptest::prelude::*;
use smoltalk_data::{Overlong, PackedRow, Packer, Packing, PackingCounts, Tokenized};

const EOS: u32 = 2;

const CONCAT: Packer = Packer {
    packing: Packing::Concat,
    overlong: Overlong::Truncate,
    sequence_length: 8,
    eos: EOS,
    pad: EOS,
    train_on_separators: true,
};

fn conversations() -> impl Strategy<Value = Vec<Tokenized>> {
    let token = (3u32..1000, any::<bool>());
    let conversation = prop::collection::vec(token, 0..60)
        .prop_map(|tokens| tokens.into_iter().unzip())
        .prop_map(|(ids, loss_mask)| Tokenized { ids, loss_mask });
    prop::collection::vec(conversation, 0..30)
}

fn packers() -> impl Strategy<Value = Packer> {
    let packing = prop_oneof![Just(Packing::Concat), Just(Packing::BestFit), Just(Packing::None)];
    let overlong = prop_oneof![Just(Overlong::Truncate), Just(Overlong::Split), Just(Overlong::Drop)];
    (packing, overlong, 2usize..40, any::<bool>()).prop_map(|(packing, overlong, sequence_length, separators)| Packer {
        packing,
        overlong,
        sequence_length,
        eos: EOS,
        pad: EOS,
        train_on_separators: separators,
    })
}

fn pack(packer: &Packer, buffer: Vec<Tokenized>) -> (Vec<PackedRow>, PackingCounts) {
    let mut counts = PackingCounts::default();
    let rows = packer.pack(buffer, &mut counts);
    (rows, counts)
}

proptest! {
    #[test]
    fn every_token_is_accounted_for(packer in packers(), buffer in conversations()) {
        let empty = buffer.iter().filter(|conversation| conversation.ids.is_empty()).count();
        let given: u64 = buffer.iter().map(|conversation| conversation.ids.len() as u64).sum();
        let (rows, counts) = pack(&packer, buffer);
        prop_assert_eq!(counts.tokens_in, given);
        prop_assert_eq!(
            counts.tokens_in + counts.tokens_added,
            counts.tokens_out + counts.tokens_truncated + counts.tokens_dropped
        );
        prop_assert_eq!(counts.tokens_out, (rows.len() * packer.sequence_length) as u64);
        prop_assert_eq!(counts.rows, rows.len() as u64);
        prop_assert_eq!(counts.conversations_empty, empty as u64);
        let targets = rows.iter().flat_map(|row| &row.loss_mask).filter(|target| **target).count();
        prop_assert_eq!(counts.targets, targets as u64);
    }

    #[test]
    fn every_row_has_its_length_and_a_target(packer in packers(), buffer in conversations()) {
        for row in pack(&packer, buffer).0 {
            let length = packer.sequence_length;
            let optional = [&row.positions, &row.documents].map(|field| field.as_ref().map_or(length, Vec::len));
            let lengths = [row.ids.len(), row.loss_mask.len(), optional[0], optional[1]];
            prop_assert_eq!(lengths, [length; 4]);
            prop_assert!(row.loss_mask.iter().any(|target| *target));
            prop_assert!(!row.loss_mask[0], "the first token has nothing before it");
        }
    }

    #[test]
    fn concat_is_the_joined_stream_in_pieces(buffer in conversations(), length in 2usize..40) {
        let packer = Packer { sequence_length: length, ..CONCAT };
        let (mut ids, mut mask) = (Vec::new(), Vec::new());
        for conversation in buffer.iter().filter(|conversation| !conversation.ids.is_empty()) {
            ids.extend(conversation.ids.iter().chain([&EOS]));
            mask.extend(conversation.loss_mask.iter().chain([&true]));
        }
        let pieces = ids.chunks_exact(length).zip(mask.chunks_exact(length));
        let pieces = pieces.map(|(ids, mask): (&[u32], &[bool])| (ids.to_vec(), [&[false], &mask[1..]].concat()));
        let mut pieces: Vec<_> = pieces.filter(|(_, mask)| mask.contains(&true)).collect();
        let (rows, _) = pack(&packer, buffer);
        let mut rows: Vec<_> = rows.into_iter().map(|row| (row.ids, row.loss_mask)).collect();
        pieces.sort();
        rows.sort();
        prop_assert_eq!(rows, pieces);
    }

    #[test]
    fn documents_occur_exactly_once(buffer in conversations(), length in 2usize..40) {
        let packer = Packer {
            packing: Packing::BestFit,
            overlong: Overlong::Drop,
            sequence_length: length,
            ..CONCAT
        };
        // All targets and more than one, so that no row is left out for having none.
        let long_enough = |conversation: &Tokenized| (2..=length).contains(&conversation.ids.len());
        let mut given: Vec<Vec<u32>> =
            buffer.into_iter().filter(long_enough).map(|conversation| conversation.ids).collect();
        let whole = |ids: &Vec<u32>| Tokenized { ids: ids.clone(), loss_mask: vec![true; ids.len()] };
        let (rows, _) = pack(&packer, given.iter().map(whole).collect());
        let mut found: Vec<Vec<u32>> = Vec::new();
        for row in rows {
            let documents = row.documents.expect("best fit has documents");
            let tokens: Vec<(u32, u32)> = documents.into_iter().zip(row.ids).collect();
            let cut = tokens.chunk_by(|one, next| one.0 == next.0);
            found.extend(cut.map(|document| document.iter().map(|(_, id)| *id).collect()));
        }
        // Padding is a document of its own.
        found.retain(|document| !document.contains(&EOS));
        found.sort();
        given.sort();
        prop_assert_eq!(found, given);
    }

    #[test]
    fn documents_keep_their_tokens_positions_and_masks(buffer in conversations(), length in 2usize..40) {
        let packer = Packer {
            packing: Packing::BestFit,
            overlong: Overlong::Drop,
            sequence_length: length,
            eos: EOS,
            pad: EOS,
            train_on_separators: false,
        };
        for row in pack(&packer, buffer.clone()).0 {
            let documents = row.documents.as_ref().expect("best fit has documents");
            let given_positions = row.positions.as_ref().expect("best fit has positions");
            let mut start = 0;
            while start < length {
                let end = (start..length).find(|at| documents[*at] != documents[start]).unwrap_or(length);
                let positions: Vec<u32> = (0..(end - start) as u32).collect();
                prop_assert_eq!(&given_positions[start..end], positions.as_slice());
                prop_assert!(!row.loss_mask[start], "a document is not predicted from the one before");
                let same = |given: &Tokenized| {
                    given.ids == row.ids[start..end]
                        && (given.ids.len() < 2 || given.loss_mask[1..] == row.loss_mask[start + 1..end])
                };
                let padding = row.ids[start..end].iter().all(|id| *id == EOS);
                prop_assert!(padding || buffer.iter().any(same));
                start = end;
            }
        }
    }
}

#[test]
fn concat_is_the_published_recipe() {
    let conversation = |ids: [u32; 3]| Tokenized {
        ids: ids.to_vec(),
        loss_mask: vec![true; 3],
    };
    let packer = Packer {
        sequence_length: 3,
        ..CONCAT
    };
    let (mut rows, counts) = pack(&packer, vec![conversation([10, 11, 12]), conversation([20, 21, 22])]);
    rows.sort_by_key(|row| row.ids[0]);
    assert_eq!(rows[0].ids, [EOS, 20, 21]);
    assert_eq!(rows[1].ids, [10, 11, 12]);
    assert_eq!((counts.tokens_added, counts.tokens_truncated), (2, 2));
}
