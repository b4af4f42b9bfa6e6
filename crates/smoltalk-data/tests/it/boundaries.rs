//! Conversations just as long as a row, one token longer, one shorter.

use smoltalk_data::{Overlong, PackedRow, Packer, Packing, PackingCounts, Tokenized};

const LENGTH: usize = 8;
const PAD: u32 = 2;

/// Tokens `first`, `first + 1`, ..; the last one is the only target, as of a short answer.
fn conversation(first: u32, tokens: usize) -> Tokenized {
    Tokenized {
        ids: (first..).take(tokens).collect(),
        loss_mask: (1..=tokens).map(|at| at == tokens).collect(),
    }
}

fn pack(packing: Packing, overlong: Overlong, buffer: Vec<Tokenized>) -> (Vec<PackedRow>, PackingCounts) {
    let packer = Packer {
        packing,
        overlong,
        sequence_length: LENGTH,
        eos: PAD,
        pad: PAD,
        train_on_separators: false,
    };
    let mut counts = PackingCounts::default();
    let rows = packer.pack(buffer, &mut counts);
    (rows, counts)
}

fn best_fit(overlong: Overlong, buffer: Vec<Tokenized>) -> (Vec<PackedRow>, PackingCounts) {
    pack(Packing::BestFit, overlong, buffer)
}

const ALL: [Overlong; 3] = [Overlong::Truncate, Overlong::Split, Overlong::Drop];

#[test]
fn a_conversation_as_long_as_a_row_is_the_row() {
    for overlong in ALL {
        let (rows, counts) = best_fit(overlong, vec![conversation(10, LENGTH)]);
        let [row] = rows.as_slice() else {
            panic!("{overlong:?}: {rows:?}")
        };
        assert_eq!(row.ids, (10..18).collect::<Vec<u32>>());
        assert_eq!(row.positions, Some((0..8).collect()));
        assert_eq!(row.documents, Some(vec![0; LENGTH]));
        assert_eq!(row.loss_mask.iter().position(|target| *target), Some(LENGTH - 1));
        let lost = (counts.tokens_added, counts.tokens_truncated, counts.tokens_dropped);
        assert_eq!(lost, (0, 0, 0), "{overlong:?}");
    }
}

#[test]
fn one_a_token_shorter_gets_one_token_of_padding_as_a_document_of_its_own() {
    for overlong in ALL {
        let (rows, counts) = best_fit(overlong, vec![conversation(10, LENGTH - 1)]);
        let [row] = rows.as_slice() else {
            panic!("{overlong:?}: {rows:?}")
        };
        assert_eq!(row.ids, [10, 11, 12, 13, 14, 15, 16, PAD]);
        assert_eq!(row.positions, Some(vec![0, 1, 2, 3, 4, 5, 6, 0]));
        assert_eq!(row.documents, Some(vec![0, 0, 0, 0, 0, 0, 0, 1]));
        let targets: Vec<usize> = (0..LENGTH).filter(|at| row.loss_mask[*at]).collect();
        assert_eq!(targets, [6], "the padding is no target");
        assert_eq!((counts.tokens_added, counts.tokens_truncated), (1, 0));
    }
}

#[test]
fn one_a_token_longer_is_cut_split_or_dropped_and_counted() {
    let given = || vec![conversation(10, LENGTH + 1)];
    // What is left of it has no target, so there is no row to train on.
    let (rows, counts) = best_fit(Overlong::Truncate, given());
    assert_eq!(rows, []);
    let lost = (counts.tokens_truncated, counts.tokens_dropped, counts.rows_dropped);
    assert_eq!(lost, (1, LENGTH as u64, 1));

    // The second piece is one token, which has nothing before it to be predicted from.
    let (rows, counts) = best_fit(Overlong::Split, given());
    assert_eq!(rows, []);
    assert_eq!((counts.tokens_truncated, counts.rows_dropped), (0, 2));
    assert_eq!(
        counts.tokens_dropped,
        2 * LENGTH as u64,
        "with the padding of the second"
    );
    assert_eq!(counts.tokens_added, LENGTH as u64 - 1);

    let (rows, counts) = best_fit(Overlong::Drop, given());
    assert_eq!(rows, []);
    assert_eq!((counts.tokens_dropped, counts.rows_dropped), (LENGTH as u64 + 1, 0));

    // With a target in what is left, it stays.
    let mut early = conversation(10, LENGTH + 1);
    early.loss_mask[3] = true;
    let (rows, counts) = best_fit(Overlong::Truncate, vec![early]);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].ids, (10..18).collect::<Vec<u32>>());
    assert_eq!((counts.targets, counts.tokens_truncated), (1, 1));
}

#[test]
fn a_token_fills_the_row_that_lacks_one() {
    let buffer = vec![
        conversation(50, 1),
        conversation(10, LENGTH - 1),
        conversation(30, LENGTH),
    ];
    let (mut rows, counts) = best_fit(Overlong::Truncate, buffer);
    rows.sort_by_key(|row| row.ids[0]);
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].ids, [10, 11, 12, 13, 14, 15, 16, 50]);
    assert_eq!(rows[0].documents, Some(vec![0, 0, 0, 0, 0, 0, 0, 1]));
    assert!(
        !rows[0].loss_mask[LENGTH - 1],
        "the first token of a document is no target"
    );
    assert_eq!(rows[1].ids, (30..38).collect::<Vec<u32>>());
    assert_eq!(counts.tokens_added, 0);
}

#[test]
fn no_row_is_without_targets() {
    let silent = |first, tokens| Tokenized {
        loss_mask: vec![false; tokens],
        ..conversation(first, tokens)
    };
    for packing in [Packing::Concat, Packing::BestFit, Packing::None] {
        for overlong in ALL {
            let buffer = vec![silent(100, LENGTH), silent(200, LENGTH - 1), silent(300, 3 * LENGTH)];
            let (rows, counts) = pack(packing, overlong, buffer);
            assert_eq!(rows, [], "{packing:?}, {overlong:?}");
            assert_eq!((counts.rows, counts.tokens_out, counts.targets), (0, 0, 0));
        }
    }
    // Next to a conversation with a target, one without targets stays as it is.
    let (rows, _) = best_fit(Overlong::Truncate, vec![silent(100, 4), conversation(10, 4)]);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].loss_mask.iter().filter(|target| **target).count(), 1);
}
