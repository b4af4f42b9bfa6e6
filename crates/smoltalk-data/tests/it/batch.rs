//! Rows that make no batch.

use burn::backend::Flex;
use smoltalk_data::{Batch, PackedRow};

fn row(length: usize, documents: bool) -> PackedRow {
    PackedRow {
        ids: vec![3; length],
        loss_mask: vec![true; length],
        positions: documents.then(|| vec![0; length]),
        documents: documents.then(|| vec![0; length]),
    }
}

#[test]
fn rows_of_one_kind_are_a_batch_and_others_are_errors() {
    let batch = |rows: &[PackedRow]| Batch::<Flex>::from_rows(rows, &Default::default());
    let good = batch(&[row(4, true), row(4, true)]).expect("a batch");
    assert_eq!(good.ids.dims(), [2, 4]);
    assert!(good.positions.is_some() && good.documents.is_some());
    assert!(batch(&[row(4, false)]).expect("a batch").documents.is_none());
    for (rows, words) in [
        (vec![], "at least one row"),
        (vec![row(4, true), row(5, true)], "(5, true, true)"),
        (vec![row(4, true), row(4, false)], "(4, false, false)"),
    ] {
        let error = batch(&rows).expect_err("no batch").to_string();
        assert!(error.starts_with("rows: ") && error.contains(words), "{error}");
    }
}
