//! Rows as batches, and rows that make none.

use burn::backend::{Autodiff, Flex};
use smollm2_model::FeedForwardKind;
use smollm2_train::{Batch, TrainError};
use smoltalk_data::PackedRow;

use crate::small_run::{draw, rows, start};

fn row(length: usize, documents: bool) -> PackedRow {
    PackedRow {
        ids: vec![3; length],
        loss_mask: vec![true; length],
        positions: documents.then(|| vec![0; length]),
        documents: documents.then(|| vec![0; length]),
    }
}

fn batch(rows: &[PackedRow]) -> Result<Batch<Flex>, TrainError> {
    Batch::from_rows(rows, &Default::default())
}

#[test]
fn rows_of_one_kind_are_a_batch_and_others_are_errors() {
    assert_eq!(batch(&[row(4, true), row(4, true)]).unwrap().tokens(), 8);
    assert_eq!(batch(&[row(4, false)]).unwrap().tokens(), 4);
    let mut short = row(4, true);
    short.documents = Some(vec![0; 3]);
    for (rows, text) in [
        (vec![], "at least one row"),
        (vec![row(0, false)], "at least one row"),
        (vec![row(4, true), row(5, true)], "(5, true, true)"),
        (vec![row(4, true), row(4, false)], "(4, false, false)"),
        (vec![short], "one of 3"),
    ] {
        let error = batch(&rows).unwrap_err();
        assert!(
            matches!(error, TrainError::Rows { .. }) && error.to_string().contains(text),
            "{error}"
        );
    }
}

/// A prediction counts where the next token's mask is set, within a row and a document.
#[test]
fn targets_stay_within_rows_documents_and_masks() {
    let rows = [
        PackedRow {
            ids: vec![10, 11, 12, 13],
            loss_mask: vec![true, false, true, true],
            positions: Some(vec![0, 1, 0, 1]),
            documents: Some(vec![5, 5, 6, 6]),
        },
        PackedRow {
            ids: vec![20, 21, 22, 23],
            loss_mask: vec![true; 4],
            positions: Some(vec![0, 1, 2, 3]),
            documents: Some(vec![1; 4]),
        },
    ];
    let batch = batch(&rows).unwrap();
    assert_eq!(batch.targets().positions, [2, 4, 5, 6]);
    assert_eq!(batch.targets().ids, [13, 21, 22, 23]);
}

/// A tokenizer of another model gives ids that this one has no embedding for.
#[test]
fn ids_and_positions_beyond_the_model_are_errors() {
    let room = tempfile::tempdir().unwrap();
    draw(room.path(), FeedForwardKind::SwiGlu);
    let mut trainer = start(room.path());
    let mut foreign = rows()[..1].to_vec();
    foreign[0].ids[5] = 96;
    let mut far = rows()[..1].to_vec();
    far[0].positions = Some(vec![8192; far[0].ids.len()]);
    for (rows, text) in [(&foreign, "token id 96"), (&far, "position 8192")] {
        let tracked = Batch::<Autodiff<Flex>>::from_rows(rows, &Default::default()).unwrap();
        let error = trainer.step(&[tracked]).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
        let error = trainer.evaluate(&[batch(rows).unwrap()]).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
    assert_eq!(trainer.step_count(), 0);
}
